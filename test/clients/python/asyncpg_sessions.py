"""What asyncpg's connections have of their own, kept from one transaction to the next. In the tables of sessions.ts."""

import asyncio
import os
from datetime import datetime, timezone

import asyncpg
from questions import check
from scenario import chosen, scenario

CLIENTS = 9
TENANTS = 6
# Of the servers two may be taken for good; with the third go those that talk to them.
LISTENERS = 2
ZONES = [("Asia/Tokyo", "21"), ("America/Denver", "06"), ("UTC", "12")]
NOON = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


async def sessions(work, **options):
    """`work(client, n)` on a connection each, at the same time."""

    async def one(n):
        client = await asyncpg.connect(**options)
        try:
            await work(client, n)
        finally:
            await client.close()

    await all_of(one(n) for n in range(CLIENTS))


async def all_of(coroutines):
    """Waits for all, also when one has failed: the others are not to fail because the loop ends."""
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def raises(kind, coroutine):
    try:
        await coroutine
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} came of it")


async def check_settings(client, n, name):
    row = await client.fetchrow(
        """SELECT (SELECT tenant FROM who), current_setting('app.tenant'), current_setting('work_mem'),
        to_char($1::timestamptz, 'HH24')""",
        NOON,
    )
    check(tuple(row), (n % TENANTS, name, f"{n + 1}MB", ZONES[n % 3][1]), "what the client has set")


@scenario
async def settings():
    async def work(client, n):
        name, servers = f"tenant {n}", set()
        await client.execute(f"SET search_path TO tenant_{n % TENANTS}; SET app.tenant TO '{name}'")
        await client.execute(f"SET work_mem TO '{n + 1}MB'")
        await client.execute("SELECT set_config('TimeZone', $1, false)", ZONES[n % 3][0])
        for round in range(12):
            await check_settings(client, n, name)
            async with client.transaction():
                name = f"tenant {n}.{round}"
                await client.execute("SELECT set_config('app.tenant', $1, false)", name)
                await client.execute("SET LOCAL work_mem TO '99MB'")
                servers.add(await client.fetchval("SELECT pg_backend_pid()"))
            undone = client.transaction()
            await undone.start()
            await client.execute("SET search_path TO public; SET app.tenant TO 'lost'")
            await undone.rollback()
        if "SERVERS" in os.environ:
            check(len(servers) > 1, True, "several servers took turns")
        await client.reset()
        check(await client.fetchrow("SELECT current_schema(), current_setting('work_mem')"), ("public", "4MB"), "reset")

    await sessions(work)


@scenario
async def startup():
    async def one(n):
        settings = {"search_path": f"tenant_{n % TENANTS}", "app.tenant": f"tenant {n}", "work_mem": f"{n + 1}MB"}
        client = await asyncpg.connect(server_settings={**settings, "timezone": ZONES[n % 3][0]})
        for _ in range(10):
            await check_settings(client, n, f"tenant {n}")
            await client.execute("SET work_mem TO '99MB'; SET app.tenant TO 'another'")
            check(await client.fetchval("SELECT current_setting('work_mem')"), "99MB", "what was set instead")
            # As its pool does it: RESET ALL is among it.
            await client.reset()
        await client.close()

    await all_of(one(n) for n in range(CLIENTS))


@scenario
async def statements():
    async def work(client, n):
        zone, hour = ZONES[n % 3]
        await client.execute("SELECT set_config('TimeZone', $1, false)", zone)
        who = None
        for round in range(20):
            tenant = (n + round // 4) % TENANTS
            if round % 4 == 0:
                await client.execute(f"SET search_path TO tenant_{tenant}")
            # One is kept by the application, the others by the cache of asyncpg.
            who = who or await client.prepare("SELECT tenant, $1::int FROM who")
            check(await who.fetchrow(round), (tenant, round), "the tenant of a kept statement")
            check(await client.fetchval("SELECT tenant FROM who WHERE $1::int >= 0", round), tenant, "the tenant")
            noon = await client.fetchval("SELECT extract(hour FROM '2026-07-01 12:00'::timestamptz AT TIME ZONE 'UTC')::int")
            check(noon, (24 - int(hour)) % 24, "noon in UTC")

    await sessions(work)


@scenario
async def listening():
    async with asyncpg.create_pool(min_size=3, max_size=6) as pool:

        async def one(n):
            channel, heard, all_heard = f"channel_{n}", [], asyncio.Event()

            def hear(client, pid, channel, payload):
                heard.append((channel, payload))
                if len(heard) == 15:
                    all_heard.set()

            async def send(sender):
                for message in range(5):
                    async with pool.acquire() as client:
                        lost = client.transaction()
                        await lost.start()
                        await client.execute(f"NOTIFY {channel}, 'lost'")
                        await lost.rollback()
                        text = f"{sender}.{message}"
                        await client.execute("SELECT pg_notify($1, $2), pg_notify('nobody', $2)", channel, text)

            listener = await asyncpg.connect()
            await listener.add_listener(channel, hear)
            await all_of(send(sender) for sender in range(3))
            await asyncio.wait_for(all_heard.wait(), 20)
            await listener.remove_listener(channel, hear)
            await pool.execute(f"NOTIFY {channel}, 'too late'")
            await listener.execute("SELECT 1")
            await listener.close()
            wanted = [(channel, f"{sender}.{message}") for sender in range(3) for message in range(5)]
            check(sorted(heard), wanted, "the notifications")

        await all_of(one(n) for n in range(LISTENERS))


@scenario
async def temporary():
    async def work(client, n):
        for _ in range(2):
            await client.execute("CREATE TEMP TABLE basket (article int)")
            articles = [n * 10 + article for article in range(5)]
            for article in articles:
                await client.execute("INSERT INTO basket VALUES ($1)", article)
                lost = client.transaction()
                await lost.start()
                await client.execute("INSERT INTO basket VALUES (-1)")
                await lost.rollback()
            await client.copy_records_to_table("basket", records=[(-2,)])
            await client.execute("DELETE FROM basket WHERE article = -2")
            check(await client.fetchval("SELECT array_agg(article ORDER BY article) FROM basket"), articles, "the basket")
            await client.execute("DROP TABLE basket")
            check(await client.fetchval("SELECT to_regclass('pg_temp.basket')::text"), None, "no basket")

    await sessions(work)


@scenario
async def locks():
    """Locks that the pool of asyncpg gives back, when a connection that holds one is released."""
    setup = await asyncpg.connect()
    await setup.execute("UPDATE counter SET value = 0")
    await setup.close()
    async with asyncpg.create_pool(min_size=CLIENTS, max_size=CLIENTS) as pool:

        async def one(n):
            key = n % 2
            for round in range(5):
                async with pool.acquire() as client:
                    await client.execute("SELECT pg_advisory_lock($1)", key)
                    value = await client.fetchval("SELECT value FROM counter WHERE key = $1", key)
                    # Only the lock keeps others from counting between these two.
                    await client.execute("UPDATE counter SET value = $2 WHERE key = $1", key, value + 1)
                    if round % 2:
                        check(await client.fetchval("SELECT pg_advisory_unlock($1)", key), True, "unlocked")

        await all_of(one(n) for n in range(CLIENTS))
        counted = [row["value"] for row in await pool.fetch("SELECT value FROM counter ORDER BY key")]
        check(counted, [25, 20], "what was counted")


@scenario
async def cursors():
    async def work(client, n):
        wanted = list(range(n, n + 300))
        rows = f"SELECT generate_series({n}, {n + 299}) AS row"
        await client.execute(f"DECLARE rows CURSOR WITH HOLD FOR {rows}")
        held = []
        for _ in range(5):
            held += [row["row"] for row in await client.fetch("FETCH 60 FROM rows")]
            await raises(asyncpg.DivisionByZeroError, client.fetchval("SELECT 1 / 0"))
        check(held, wanted, "the rows of a cursor WITH HOLD")
        await client.execute("CLOSE rows")
        async with client.transaction():
            check([row["row"] async for row in client.cursor(rows, prefetch=60)], wanted, "the rows of a cursor")

    await sessions(work)


@scenario
async def mistakes():
    async def work(client, n):
        async def check_own(wanted):
            check(await client.fetchval("SELECT current_setting('app.tenant')"), wanted, "the client's own")

        name = f"tenant {n}"
        await client.execute(f"SET app.tenant TO '{name}'")
        for round in range(5):
            await raises(asyncpg.DivisionByZeroError, client.execute("SET app.tenant TO 'lost'; SELECT 1 / 0"))
            await check_own(name)
            try:
                async with client.transaction():
                    await client.execute("SET app.tenant TO 'lost'")
                    try:
                        async with client.transaction():
                            await client.execute("SET app.tenant TO 'lost as well'")
                            await client.execute("SELECT * FROM nowhere")
                    except asyncpg.UndefinedTableError:
                        await check_own("lost")
                    await client.fetchval("SELECT $1::int / 0", n)
            except asyncpg.DivisionByZeroError:
                await check_own(name)
            await raises(asyncpg.PostgresSyntaxError, client.execute("SELEKT"))
            async with client.transaction(isolation="serializable"):
                await check_own(name)
                name = f"tenant {n}.{round}"
                await client.execute(f"SET app.tenant TO '{name}'")
            await check_own(name)

    await sessions(work)


if __name__ == "__main__":
    asyncio.run(chosen()())
