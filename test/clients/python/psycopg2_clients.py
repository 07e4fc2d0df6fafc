"""psycopg2 in threads: the simple protocol throughout, with values put into the text by the client."""

import io
import random
from threading import Event

import psycopg2
import psycopg2.extras
from psycopg2 import errors
from questions import ask, check
from scenario import chosen, in_threads, raises, scenario


def connect(**options):
    client = psycopg2.connect("", **options)
    client.autocommit = True
    return client


def fetch_value(client, text, parameters=None):
    with client.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchone()[0]


def execute(client, *statements):
    with client.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@scenario
def questions():
    def work(number):
        rng = random.Random(number)
        client = connect()
        for _ in range(60):
            text, parameters, answer = ask(rng, "%s", "%s")
            check(fetch_value(client, text, parameters), answer, text)
        client.close()

    in_threads(20, work)


@scenario
def transactions():
    """Implicit transactions with isolation levels, rollbacks and rows by the thousand."""
    setup = connect()
    execute(setup, "DROP TABLE IF EXISTS stall", "CREATE TABLE stall (id int PRIMARY KEY, horse text)")

    def work(number):
        client = psycopg2.connect("")
        client.set_session(isolation_level="REPEATABLE READ")
        for n in range(10):
            key = number * 1000 + n * 100
            with client, client.cursor() as cursor:
                rows = [(key + i, f"horse {key + i}") for i in range(100)]
                psycopg2.extras.execute_values(cursor, "INSERT INTO stall VALUES %s", rows)
                cursor.execute("SHOW transaction_isolation")
                check(cursor.fetchone()[0], "repeatable read", "the isolation level")

            def again():
                with client, client.cursor() as cursor:
                    cursor.execute("DELETE FROM stall WHERE id / 1000 = %s", (number,))
                    cursor.execute("INSERT INTO stall VALUES (%s, 'twice'), (%s, 'twice')", (key, key))

            raises(errors.UniqueViolation, again)
        with client, client.cursor() as cursor:
            cursor.execute("SELECT id, horse FROM stall WHERE id / 1000 = %s ORDER BY id", (number,))
            wanted = [(number * 1000 + i, f"horse {number * 1000 + i}") for i in range(1000)]
            check(cursor.fetchall(), wanted, "the rows of one client")
        client.close()

    in_threads(20, work)
    check(fetch_value(setup, "SELECT count(*) FROM stall"), 20_000, "stalls")


@scenario
def copying():
    setup = connect()
    execute(setup, "DROP TABLE IF EXISTS hay", "CREATE TABLE hay (owner int, n int, PRIMARY KEY (owner, n))")

    def work(number):
        client = connect()
        text = "".join(f"{number},{n}\n" for n in range(2000))
        with client.cursor() as cursor:
            cursor.copy_expert("COPY hay FROM STDIN (FORMAT csv)", io.StringIO(text))
            wrong = io.StringIO(f"{number},-1\nnot a number\n")
            raises(
                errors.InvalidTextRepresentation,
                lambda: cursor.copy_expert("COPY hay FROM STDIN (FORMAT csv)", wrong),
            )
            out = io.StringIO()
            query = f"COPY (SELECT * FROM hay WHERE owner = {number} ORDER BY n) TO STDOUT (FORMAT csv)"
            cursor.copy_expert(query, out)
            check(out.getvalue(), text, "COPY out")
        client.close()

    in_threads(20, work)
    check(fetch_value(setup, "SELECT count(*) FROM hay"), 40_000, "rows copied")


@scenario
def cursors():
    def work(number):
        client = psycopg2.connect("")
        for _ in range(3):
            with client, client.cursor("reins") as cursor:
                cursor.itersize = 37
                cursor.execute("SELECT n FROM generate_series(%s::int, %s::int) n", (number, number + 999))
                check([n for (n,) in cursor], list(range(number, number + 1000)), "the rows of a cursor")
        client.close()

    in_threads(20, work)


@scenario
def cancels():
    def work(number):
        client = connect()
        awake = Event()

        def sleep():
            raises(errors.QueryCanceled, lambda: fetch_value(client, "SELECT pg_sleep(60)"))
            awake.set()

        def cancel():
            # Again, because one that comes before its query got a server has nothing to cancel.
            while not awake.wait(0.1):
                client.cancel()

        for n in range(3):
            if number % 4 == 0:
                awake.clear()
                in_threads(2, lambda which: (sleep, cancel)[which]())
            check(fetch_value(client, "SELECT %s", (number * 10 + n,)), number * 10 + n, "the next question")
        client.close()

    in_threads(12, work)


@scenario
def notices():
    def work(number):
        client = connect()
        for n in range(20):
            execute(client, f"DO $$ BEGIN RAISE NOTICE '% neighs %', {number}, {n}; END $$")
        check(client.notices, [f"NOTICE:  {number} neighs {n}\n" for n in range(20)], "the notices")
        client.close()

    in_threads(20, work)


if __name__ == "__main__":
    chosen()()
