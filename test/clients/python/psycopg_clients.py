"""psycopg 3 in threads. With PREPARE set it prepares every statement on the server, under a name."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
from psycopg import sql
from questions import ask, check
from scenario import chosen, in_threads, raises, scenario


def connect(autocommit=True, **options):
    threshold = 0 if "PREPARE" in os.environ else None
    return psycopg.connect(prepare_threshold=threshold, autocommit=autocommit, **options)


def execute(*statements):
    with connect() as client:
        for statement in statements:
            client.execute(statement)


def fetch_value(text):
    with connect() as client:
        return client.execute(text).fetchone()[0]


def ask_some(client, rng, count, **options):
    for _ in range(count):
        text, parameters, answer = ask(rng, "%s", "%s")
        check(client.execute(text, parameters, **options).fetchone()[0], answer, text)


@scenario
def prepared_questions():
    def work(number):
        rng = random.Random(number)
        with connect() as client:
            ask_some(client, rng, 60)
            ask_some(client, rng, 20, binary=True)

    in_threads(20, work)


@scenario
def unprepared_questions():
    def work(number):
        with psycopg.connect(prepare_threshold=None, autocommit=True) as client:
            ask_some(client, random.Random(number), 60)

    in_threads(20, work)


@scenario
def client_side_binding():
    """The simple protocol."""

    def work(number):
        with psycopg.connect(autocommit=True, cursor_factory=psycopg.ClientCursor) as client:
            ask_some(client, random.Random(number), 60)

    in_threads(20, work)


@scenario
def pipelines():
    """Many statements without waiting for any; a mistake ends its transaction and nothing else."""
    execute("DROP TABLE IF EXISTS oats", "CREATE TABLE oats (owner int, n int, PRIMARY KEY (owner, n))")

    def work(number):
        rng = random.Random(number)
        with connect() as client:
            for round in range(5):
                asked = []
                with client.pipeline() as pipeline:
                    for n in range(30):
                        text, parameters, answer = ask(rng, "%s", "%s")
                        asked.append((client.cursor().execute(text, parameters), answer, text))
                        if n % 7 == 0:
                            pipeline.sync()
                    for cursor, answer, text in asked:
                        check(cursor.fetchone()[0], answer, text)

                def mistaken():
                    with client.pipeline():
                        client.execute("INSERT INTO oats VALUES (%s, %s)", (number, round))
                        client.execute("INSERT INTO oats VALUES (%s, %s)", (number, round))
                        client.execute("INSERT INTO oats VALUES (%s, %s)", (number, round + 1000))

                raises(psycopg.errors.UniqueViolation, mistaken)
                with client.transaction(), client.pipeline():
                    client.execute("INSERT INTO oats VALUES (%s, %s)", (number, round))
                    client.execute("INSERT INTO oats VALUES (%s, %s)", (number, round + 100))

    in_threads(20, work)
    check(fetch_value("SELECT count(*) FROM oats WHERE n < 5"), 100, "rows that pipelines inserted")
    check(fetch_value("SELECT count(*) FROM oats"), 200, "rows that pipelines inserted")


@scenario
def copying():
    execute("DROP TABLE IF EXISTS hay", "CREATE TABLE hay (owner int, n int, note text, PRIMARY KEY (owner, n))")

    def copy_in(client, rows, failure=None):
        with client.cursor().copy("COPY hay FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
            if failure is not None:
                raise failure

    def work(number):
        rows = [(number, n, f"bale {n} of {number}\t\\ ü") for n in range(2000)]
        with connect() as client:
            copy_in(client, rows)
            raises(psycopg.errors.UniqueViolation, lambda: copy_in(client, [(number, -1, ""), (number, 5, "")]))
            given_up = ValueError("the client gives up")
            check(raises(ValueError, lambda: copy_in(client, [(number, -2, "")], given_up)), given_up, "the error")
            query = sql.SQL("COPY (SELECT * FROM hay WHERE owner = {} ORDER BY n) TO STDOUT").format(number)
            with client.cursor().copy(query) as copy:
                copy.set_types(["int4", "int4", "text"])
                check(list(copy.rows()), rows, "COPY out")

            def half():
                with client.cursor().copy("COPY (SELECT n, 1 / (1000 - n) FROM generate_series(1, 2000) n) TO STDOUT") as copy:
                    return list(copy.rows())

            raises(psycopg.errors.DivisionByZero, half)
            check(client.execute("SELECT %s::int", (number,)).fetchone()[0], number, "the question after COPY")

    in_threads(20, work)
    check(fetch_value("SELECT count(*) FROM hay"), 40_000, "rows copied")


@scenario
def cancels():
    """A cancel request ends the query of the connection it was made for and no other."""
    over = Event()

    def bystander(number):
        rng = random.Random(number)
        with connect() as client:
            while not over.is_set():
                ask_some(client, rng, 5)

    def sleep_and_cancel(number):
        rng = random.Random(number)
        with connect() as client:
            for _ in range(10):
                awake = Event()

                def sleep():
                    raises(psycopg.errors.QueryCanceled, lambda: client.execute("SELECT pg_sleep(60)"))
                    awake.set()

                def cancel():
                    # Again, because one that comes before its query got a server has nothing to cancel.
                    while not awake.wait(0.05):
                        client.cancel_safe(timeout=10)

                in_threads(2, lambda which: (sleep, cancel)[which]())
                ask_some(client, rng, 3)

    with ThreadPoolExecutor(18) as executor:
        bystanders = [executor.submit(bystander, number) for number in range(18)]
        try:
            in_threads(2, sleep_and_cancel)
        finally:
            over.set()
        for future in bystanders:
            future.result()


@scenario
def cursors():
    """Server-side cursors inside transactions, scrolled and read in parts."""

    def work(number):
        with connect() as client:
            for _ in range(3):
                with client.transaction(), client.cursor(name="reins", scrollable=True) as cursor:
                    cursor.itersize = 37
                    cursor.execute("SELECT n FROM generate_series(%s::int, %s::int) n", (number, number + 999))
                    check([n for (n,) in cursor], list(range(number, number + 1000)), "the rows of a cursor")
                    cursor.scroll(500, mode="absolute")
                    check(cursor.fetchone()[0], number + 500, "the 501st row")

    in_threads(20, work)


@scenario
def notices():
    """What a server says by the way reaches the client whose statement made it say so."""

    def work(number):
        heard = []
        with connect() as client:
            client.add_notice_handler(lambda notice: heard.append(notice.message_primary))
            for n in range(20):
                client.execute(f"DO $$ BEGIN RAISE NOTICE '% neighs %', {number}, {n}; END $$")
        check(heard, [f"{number} neighs {n}" for n in range(20)], "the notices")

    in_threads(20, work)


@scenario
def transactions():
    """Isolation levels and read-only travel in BEGIN; savepoints; a failed transaction stays failed until its end."""
    execute("DROP TABLE IF EXISTS stall", "CREATE TABLE stall (id int PRIMARY KEY, horse text)")

    def work(number):
        with connect(autocommit=False) as client:
            client.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            check(client.execute("SHOW transaction_isolation").fetchone()[0], "serializable", "the isolation level")
            client.rollback()
            client.isolation_level = None
            client.read_only = True
            raises(psycopg.errors.ReadOnlySqlTransaction, lambda: client.execute("INSERT INTO stall VALUES (-1)"))
            raises(psycopg.errors.InFailedSqlTransaction, lambda: client.execute("SELECT 1"))
            client.rollback()
            client.read_only = None
            for n in range(10):
                key = number * 100 + n

                def again():
                    with client.transaction():
                        client.execute("INSERT INTO stall VALUES (%s, 'again')", (key,))

                with client.transaction():
                    client.execute("INSERT INTO stall VALUES (%s, %s)", (key, f"horse {key}"))
                    raises(psycopg.errors.UniqueViolation, again)
                    found = client.execute("SELECT horse FROM stall WHERE id = %s", (key,)).fetchone()[0]
                    check(found, f"horse {key}", "the horse of the stall")
            check(client.execute("SHOW transaction_isolation").fetchone()[0], "read committed", "the isolation level")

    in_threads(20, work)
    check(fetch_value("SELECT count(*) FROM stall"), 200, "stalls")


@scenario
def parameters():
    """What PostgreSQL reports follows its client from server to server: encoding, time zone, date style, name."""

    def work(number):
        zone = ["UTC", "Asia/Tokyo", "America/Lima", "Europe/Berlin"][number % 4]
        encoding = ["UTF8", "LATIN1"][number % 2]
        name = f"client {number}"
        with connect(application_name=name, client_encoding=encoding) as client:
            client.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
            for _ in range(30):
                row = client.execute(
                    "SELECT current_setting('TimeZone'), current_setting('application_name'), 'é' || %s::text", ("ü",)
                ).fetchone()
                check(row, (zone, name, "éü"), "what the client has set")
                check(client.info.parameter_status("TimeZone"), zone, "the time zone that was reported")

    in_threads(20, work)


if __name__ == "__main__":
    chosen()()
