"""SQLAlchemy on asyncpg: tenants and roles by events, as its documentation shows them. In the tables of sessions.ts."""

import asyncio
import os

from questions import check
from scenario import chosen, scenario
from sqlalchemy import URL, Column, Integer, MetaData, NullPool, Table, event, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

CLIENTS = 9
TENANTS = 6
who = Table("who", MetaData(), Column("tenant", Integer))


def engine(**options):
    url = URL.create(
        "postgresql+asyncpg",
        os.environ["PGUSER"],
        os.environ["PGPASSWORD"],
        os.environ["PGHOST"],
        int(os.environ["PGPORT"]),
        os.environ["PGDATABASE"],
    )
    return create_async_engine(url, **options)


async def all_of(coroutines):
    """Waits for all, also when one has failed: the others are not to fail because the loop ends."""
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def on_connect(of, *statements):
    """Run once on each new connection, in autocommit."""

    @event.listens_for(of.sync_engine, "connect")
    def set_up(connection, record):
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()


@scenario
async def tenants():
    """An engine for each tenant, with its search_path and its role set when a connection is made."""

    async def of(tenant, **options):
        own = engine(**options)
        on_connect(own, f"SET search_path TO tenant_{tenant}", f"SET app.tenant TO '{tenant}'", "SET work_mem TO '9MB'")

        async def one(n):
            for _ in range(6):
                async with AsyncSession(own) as session, session.begin():
                    check((await session.scalars(select(who.c.tenant))).all(), [tenant], "whose table it is")
                    found = (await session.execute(text("SELECT current_setting('app.tenant'), current_setting('work_mem')"))).one()
                    check(tuple(found), (str(tenant), "9MB"), "what was set when the connection was made")
                    await session.execute(text("SET LOCAL work_mem TO '99MB'"))

        await all_of(one(n) for n in range(3))
        await own.dispose()

    await all_of(of(tenant, **({} if tenant % 2 else {"poolclass": NullPool})) for tenant in range(TENANTS))


@scenario
async def shared_engine():
    """One engine for all: each checkout sets the tenant, and nobody resets it."""
    own = engine(pool_size=CLIENTS)

    async def one(n):
        for round in range(12):
            tenant = (n + round) % TENANTS
            async with own.connect() as connection:
                await connection.execute(text(f"SET search_path TO tenant_{tenant}"))
                await connection.execute(text("SELECT set_config('app.tenant', :name, false)"), {"name": str(tenant)})
                await connection.commit()
                # The same text for all, and prepared once a connection.
                check(await connection.scalar(select(who.c.tenant)), tenant, "whose table it is")
                await connection.rollback()
                check(await connection.scalar(text("SELECT current_setting('app.tenant')")), str(tenant), "the tenant")
                try:
                    await connection.execute(text("SELECT 1 / (:n * 0)"), {"n": n})
                    raise AssertionError("divided by zero")
                except DBAPIError:
                    await connection.rollback()
                check(await connection.scalar(text("SELECT current_schema()")), f"tenant_{tenant}", "after a mistake")

    await all_of(one(n) for n in range(CLIENTS))
    await own.dispose()


@scenario
async def autocommit():
    """A connection in autocommit that has taken a role on, one in transactions that has not."""
    clerks, owners = engine(isolation_level="AUTOCOMMIT"), engine()
    on_connect(clerks, "SET ROLE clerk")

    async def one(n):
        for _ in range(6):
            async with clerks.connect() as connection:
                check(await connection.scalar(select(func.current_user())), "clerk", "the clerk")
                try:
                    await connection.execute(text("UPDATE counter SET value = -1"))
                    raise AssertionError("a clerk may not")
                except DBAPIError as error:
                    check(error.orig.sqlstate, "42501", "the refusal")
                check(await connection.scalar(select(func.current_user())), "clerk", "the clerk, after a mistake")
            async with owners.begin() as connection:
                check(await connection.scalar(select(func.current_user())), "app", "the owner")

    await all_of(one(n) for n in range(CLIENTS))
    await clerks.dispose()
    await owners.dispose()


@scenario
async def temporary():
    """A temporary table of the connection, and rows streamed from the server."""
    own = engine(pool_size=CLIENTS)
    basket = Table("basket", MetaData(), Column("article", Integer), prefixes=["TEMPORARY"])

    async def one(n):
        async with own.connect() as connection:
            await connection.run_sync(basket.create)
            await connection.commit()
            articles = list(range(n, n + 300))
            for article in articles[:3]:
                await connection.execute(insert(basket), {"article": article})
                await connection.commit()
            await connection.execute(insert(basket), [{"article": article} for article in articles[3:]])
            await connection.commit()
            await connection.execute(insert(basket), {"article": -1})
            await connection.rollback()
            rows = await connection.stream(select(basket.c.article).order_by(basket.c.article))
            check([row.article async for row in rows], articles, "the basket")
            await connection.commit()
            await connection.run_sync(basket.drop)
            await connection.commit()

    await all_of(one(n) for n in range(CLIENTS))
    await own.dispose()


if __name__ == "__main__":
    asyncio.run(chosen()())
