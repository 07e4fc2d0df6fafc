"""SQLAlchemy on asyncpg and on psycopg: its own pool in front of ours, and none."""

import asyncio
import os

from questions import check
from scenario import chosen, in_threads, scenario
from sqlalchemy import ForeignKey, NullPool, URL, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload


class Base(DeclarativeBase):
    pass


class Rider(Base):
    __tablename__ = "rider"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    horses: Mapped[list["Horse"]] = relationship(back_populates="rider")


class Horse(Base):
    __tablename__ = "horse"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    rider_id: Mapped[int] = mapped_column(ForeignKey("rider.id"))
    rider: Mapped[Rider] = relationship(back_populates="horses")


def url(driver):
    environment = os.environ
    return URL.create(
        f"postgresql+{driver}",
        environment["PGUSER"],
        environment["PGPASSWORD"],
        environment["PGHOST"],
        int(environment["PGPORT"]),
        environment["PGDATABASE"],
    )


def rider(number, round):
    name = f"rider {number}.{round}"
    return Rider(name=name, horses=[Horse(name=f"{name} horse {n}") for n in range(3)])


def check_rider(found, number, round):
    name = f"rider {number}.{round}"
    check(found.name, name, "the rider's name")
    check(sorted(horse.name for horse in found.horses), [f"{name} horse {n}" for n in range(3)], "the rider's horses")


def by_name(number, round):
    return select(Rider).where(Rider.name == f"rider {number}.{round}").options(selectinload(Rider.horses))


async def on_asyncpg(**options):
    engine = create_async_engine(url("asyncpg"), **options)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)

    async def work(number):
        for round in range(10):
            async with AsyncSession(engine) as session:
                async with session.begin():
                    session.add(rider(number, round))
            async with AsyncSession(engine) as session:
                check_rider((await session.scalars(by_name(number, round))).one(), number, round)

    await asyncio.gather(*(work(number) for number in range(20)))
    async with AsyncSession(engine) as session:
        check(await session.scalar(select(func.count()).select_from(Horse)), 600, "horses")
    await engine.dispose()


@scenario
def asyncpg_own_pool():
    asyncio.run(on_asyncpg(pool_size=20))


@scenario
def asyncpg_no_pool():
    asyncio.run(on_asyncpg(poolclass=NullPool))


@scenario
def psycopg_own_pool():
    options = {} if "PREPARE" in os.environ else {"prepare_threshold": None}
    engine = create_engine(url("psycopg"), pool_size=20, pool_pre_ping=True, connect_args=options)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)

    def work(number):
        for round in range(10):
            with Session(engine) as session, session.begin():
                session.add(rider(number, round))
            with Session(engine) as session:
                check_rider(session.scalars(by_name(number, round)).one(), number, round)

    in_threads(20, work)
    with Session(engine) as session:
        check(session.scalar(select(func.count()).select_from(Horse)), 600, "horses")
    engine.dispose()


if __name__ == "__main__":
    chosen()()
