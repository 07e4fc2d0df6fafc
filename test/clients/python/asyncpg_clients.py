"""asyncpg with its defaults: every query is a named prepared statement that it keeps and uses again."""

import asyncio
import io
import random

import asyncpg
from questions import ask, check
from scenario import chosen, scenario

CONNECTIONS = 50


async def connections(count=CONNECTIONS, **options):
    return await asyncio.gather(*(asyncpg.connect(**options) for _ in range(count)))


async def each(clients, work):
    """Does `work(number, client)` on all of them at the same time and closes them."""
    await asyncio.gather(*(work(number, client) for number, client in enumerate(clients)))
    await asyncio.gather(*(client.close() for client in clients))


async def recreate(sql):
    client = await asyncpg.connect()
    await client.execute(sql)
    await client.close()


async def fetch_value(sql):
    client = await asyncpg.connect()
    value = await client.fetchval(sql)
    await client.close()
    return value


@scenario
async def questions():
    async def work(number, client):
        rng = random.Random(number)
        for _ in range(60):
            text, parameters, answer = ask(rng, "$1", "$2")
            check(await client.fetchval(text, *parameters), answer, text)

    await each(await connections(), work)


@scenario
async def transactions():
    """Transfers keep the sum; nested ones, which are savepoints, are undone alone."""
    await recreate(
        """DROP TABLE IF EXISTS purse;
        CREATE TABLE purse (id int PRIMARY KEY, coins int NOT NULL CHECK (coins >= 0));
        INSERT INTO purse SELECT n, 100 FROM generate_series(1, 20) n"""
    )

    async def work(number, client):
        rng = random.Random(number)
        for _ in range(20):
            source, target = sorted(rng.sample(range(1, 21), 2))
            async with client.transaction():
                before = await client.fetch(
                    "SELECT id, coins FROM purse WHERE id = ANY($1::int[]) ORDER BY id FOR UPDATE", [source, target]
                )
                try:
                    async with client.transaction():
                        await client.execute("UPDATE purse SET coins = coins + 500 WHERE id = $1", target)
                        await client.execute("UPDATE purse SET coins = coins - 500 WHERE id = $1", source)
                    raise AssertionError("a purse went below zero")
                except asyncpg.CheckViolationError:
                    pass
                amount = rng.randrange(min(10, before[0]["coins"] + 1))
                await client.execute("UPDATE purse SET coins = coins - $2 WHERE id = $1", source, amount)
                await client.execute("UPDATE purse SET coins = coins + $2 WHERE id = $1", target, amount)
                after = await client.fetch(
                    "SELECT id, coins FROM purse WHERE id = ANY($1::int[]) ORDER BY id", [source, target]
                )
                wanted = [before[0]["coins"] - amount, before[1]["coins"] + amount]
                check([row["coins"] for row in after], wanted, "the two purses")

    await each(await connections(), work)
    check(await fetch_value("SELECT sum(coins)::int FROM purse"), 2000, "the sum of all purses")


@scenario
async def copying():
    await recreate("DROP TABLE IF EXISTS hay; CREATE TABLE hay (owner int, n int, note text, PRIMARY KEY (owner, n))")

    async def work(number, client):
        records = [(number, n, f"bale {n} of {number}\t\\ ü") for n in range(1000)]
        status = await client.copy_records_to_table("hay", records=records)
        check(status, "COPY 1000", "COPY in")
        try:
            await client.copy_records_to_table("hay", records=[(number, -1, "new"), (number, 5, "again")])
            raise AssertionError("a duplicate key was copied")
        except asyncpg.UniqueViolationError:
            pass
        out = io.BytesIO()
        status = await client.copy_from_query(
            "SELECT n, note FROM hay WHERE owner = $1 ORDER BY n", number, output=out, format="csv"
        )
        check(status, "COPY 1000", "COPY out")
        check(out.getvalue().decode().splitlines(), [f"{n},{note}" for _, n, note in records], "COPY out")

    await each(await connections(20), work)
    check(await fetch_value("SELECT count(*) FROM hay"), 20_000, "rows copied")


@scenario
async def timeouts():
    """A timeout sends a cancel request: it ends that query and no other."""

    async def work(number, client):
        rng = random.Random(number)
        for round in range(5):
            if number % 5 == 0:
                marker = f"SELECT pg_sleep(60), '{number} {round}'"
                try:
                    await client.fetch(marker, timeout=0.1)
                    raise AssertionError("slept for a minute")
                except asyncio.TimeoutError:
                    pass
            for _ in range(10):
                text, parameters, answer = ask(rng, "$1", "$2")
                check(await client.fetchval(text, *parameters), answer, text)

    await each(await connections(25), work)
    left = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    check(await fetch_value(left), 0, "sleepers left")


@scenario
async def cursors():
    async def work(number, client):
        async with client.transaction():
            numbers = [
                row["n"]
                async for row in client.cursor("SELECT n FROM generate_series($1::int, $1 + 499) n", number, prefetch=50)
            ]
        check(numbers, list(range(number, number + 500)), "the rows of a cursor")

    await each(await connections(20), work)


@scenario
async def pool():
    """Its own pool resets a connection when it is given back."""
    async with asyncpg.create_pool(min_size=10, max_size=30) as own:

        async def work(number):
            rng = random.Random(number)
            async with own.acquire() as client:
                for _ in range(5):
                    text, parameters, answer = ask(rng, "$1", "$2")
                    check(await client.fetchval(text, *parameters), answer, text)

        await asyncio.gather(*(work(number) for number in range(200)))


@scenario
async def mistakes():
    """An error belongs to the one who made it, and leaves the connection usable."""

    async def work(number, client):
        for _ in range(10):
            for wrong, kind in [
                ("SELECT 1 / 0", asyncpg.DivisionByZeroError),
                ("SELEKT", asyncpg.PostgresSyntaxError),
                ("SELECT * FROM nowhere", asyncpg.UndefinedTableError),
                ("SELECT 'x'::int", asyncpg.InvalidTextRepresentationError),
            ]:
                try:
                    await client.fetchval(wrong)
                    raise AssertionError(f"{wrong} was right")
                except kind:
                    pass
                check(await client.fetchval("SELECT $1::int", number), number, "the question after a mistake")

    await each(await connections(20), work)


if __name__ == "__main__":
    asyncio.run(chosen()())
