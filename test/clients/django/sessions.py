"""What Django's connections have of their own: each scenario counts on it from one transaction to the next. `migrate` comes first."""

import os
from datetime import datetime, timezone

from project import threads  # First: it makes a Django of this process.
from django.core.management import call_command
from django.db import ProgrammingError, connection, connections, transaction
from django.db.models import F
from questions import check
from scenario import chosen, raises, scenario
from shop.models import Counter
from web import Browser

THREADS = 8
TENANTS = ["north", "south"]
ROWS = 500
# None of them asks for more than one connection while it keeps a server to itself: it would wait for the others, and they for it.


def ask(text, parameters=None, alias="default"):
    with connections[alias].cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchone()


def run(*statements, alias="default"):
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def check_server_changed(servers):
    if "SERVERS" in os.environ:
        check(len(set(servers)) > 1, True, "several servers took turns")


@scenario
def migrate():
    """The same migrations into the schema of each tenant, which its search_path alone tells apart."""
    run(*(f"CREATE SCHEMA {tenant}" for tenant in TENANTS))
    for alias in ["default", *TENANTS]:
        call_command("migrate", database=alias, verbosity=0)
        counters = [Counter(name=f"hits {n}", value=0) for n in range(THREADS)]
        counters += [Counter(name=f"row {n}", value=n) for n in range(ROWS)]
        counters += [Counter(name=f"till {n}") for n in range(2)]
        Counter.objects.using(alias).bulk_create(counters)
        Counter.objects.using(alias).create(name="who", value=["default", *TENANTS].index(alias))
        call_command("migrate", database=alias, check_unapplied=True, verbosity=0)
    run(
        "GRANT SELECT ON shop_counter TO clerk",
        "ALTER TABLE shop_counter ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY clerks ON shop_counter TO clerk USING (name LIKE 'hits%')",
    )
    found = "SELECT count(*) FROM pg_tables WHERE schemaname = ANY(%s) AND tablename LIKE 'shop%%' GROUP BY schemaname"
    check(ask(f"SELECT array_agg(count) FROM ({found}) AS n", [["public", *TENANTS]])[0], [7, 7, 7], "tables by schema")


@scenario
def tenants():
    """Requests change to the schema of their tenant, and each is one transaction behind that SET."""
    before = {tenant: ask(f"SELECT sum(value)::int FROM {tenant}.shop_counter WHERE name LIKE 'hits%%'")[0] for tenant in TENANTS}
    connections.close_all()

    def work(number):
        browser = Browser()
        servers = []
        for n in range(8):
            browser.tenant = TENANTS[(number + n // 2) % 2]
            status, answer = browser.post(f"/counters/hits {number}/")
            where = (status, answer["schema"], answer["tenant"], answer["zone"])
            check(where, (200, browser.tenant, browser.tenant, "UTC"), "where a request was counted")
            servers.append(answer["server"])
            status, answer = browser.post("/counters/till 0/")
            check((status, answer["schema"]), (200, browser.tenant), "where another request was counted")
            check(browser.post("/counters/nobody/"), (500, None), "a failed request")
        check_server_changed(servers)

    threads(work, THREADS)
    for tenant in TENANTS:
        counted = f"SELECT sum(value)::int FROM {tenant}.shop_counter WHERE name LIKE 'hits%%'"
        check(ask(counted)[0] - before[tenant], THREADS * 4, f"the requests of {tenant}")


@scenario
def startup_options():
    """What `options` said when a connection began holds until it ends, and RESET returns to it."""
    moment = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
    settings = "SELECT current_setting('search_path'), current_setting('statement_timeout'), to_char(%s, 'HH24'), %s"
    wanted = {"north": ("north", "61s", "12"), "south": ("south", "62s", "08")}
    who = {"default": 0, "north": 1, "south": 2}

    def work(number):
        for n in range(10):
            for alias in [*TENANTS, "default"] if number % 2 else ["default", *reversed(TENANTS)]:
                check(Counter.objects.using(alias).get(name="who").value, who[alias], "who it is")
                check(Counter.objects.using(alias).filter(name__startswith="row").count(), ROWS, "rows")
                if alias in wanted:
                    check(ask(settings, [moment, moment], alias)[:3], wanted[alias], f"the settings of {alias}")
            run("SET search_path TO public", "SET statement_timeout TO '5s'", alias="north")
            check(ask(settings, [moment, moment], "north")[:2], ("public", "5s"), "what was set instead")
            run("RESET search_path", alias="north")
            check(ask(settings, [moment, moment], "north")[:2], ("north", "5s"), "the search_path after RESET")
            run("RESET ALL", alias="north")
            check(ask(settings, [moment, moment], "north")[:2], ("north", "61s"), "the settings after RESET ALL")
            # Django had set it itself, after login.
            run("SET TIME ZONE 'UTC'", alias="north")

    threads(work, THREADS)


@scenario
def roles():
    """One alias has taken a role on; what it may and sees is that role's in every transaction, and nobody else's."""

    def work(number):
        for n in range(10):
            check(ask("SELECT current_user::text, session_user::text", alias="clerk"), ("clerk", "app"), "the clerk")
            check(Counter.objects.using("clerk").count(), THREADS, "what the clerk may see")
            raises(ProgrammingError, lambda: Counter.objects.using("clerk").update(value=-1))
            with transaction.atomic("clerk"):
                check(ask("SELECT current_user::text", alias="clerk"), ("clerk",), "the clerk in a transaction")
                check(Counter.objects.using("clerk").filter(name="who").exists(), False, "what is hidden")
            check(ask("SELECT current_user::text"), ("app",), "the owner")
            check(Counter.objects.filter(name="who").exists(), True, "what the owner sees")
            check(Counter.objects.filter(name__startswith="row", value=number).update(value=number), 1, "an update")

    threads(work, THREADS)


@scenario
def iterators():
    """`iterator()` outside a transaction is a cursor WITH HOLD, read in parts over many transactions."""
    rows = Counter.objects.filter(name__startswith="row").order_by("value")

    def work(number):
        for alias in ["default", TENANTS[number % 2]]:
            seen = []
            for counter in rows.using(alias).filter(value__gte=number).iterator(chunk_size=50):
                seen.append(counter.value)
                if counter.value % 100 == 0:
                    check(Counter.objects.using(alias).get(pk=counter.pk).name, counter.name, "a question between two rows")
            check(seen, list(range(number, ROWS)), "the rows of the iterator")
            values = rows.using(alias).values_list("value", flat=True)
            pairs = list(zip(values.iterator(chunk_size=20), values.reverse().iterator(chunk_size=30)))
            check(pairs, [(n, ROWS - 1 - n) for n in range(ROWS)], "the rows of two iterators side by side")
            for counter in rows.using(alias).iterator(chunk_size=10):
                break  # The rest is never asked for, and the cursor is closed with the generator.
            connections[alias].close()

    threads(work, THREADS)


@scenario
def locks():
    """A session's advisory lock, taken in one request and given back in a later one."""
    Counter.objects.filter(name__startswith="till").update(value=0)
    connections.close_all()

    def work(number):
        browser, key = Browser(), number % 2
        for _ in range(6):
            check(browser.post(f"/till/{key}/lock/")[0], 200, "locking the till")
            value = browser.get(f"/till/{key}/count/")[1]["value"]
            browser.post(f"/till/{key}/count/", {"value": value + 1})
            check(browser.get(f"/till/{key}/count/")[1]["value"], value + 1, "the till of whoever has locked it")
            check(browser.post(f"/till/{key}/unlock/"), (200, {"unlocked": True}), "unlocking the till")

    threads(work, THREADS)
    tills = Counter.objects.filter(name__startswith="till").order_by("name")
    check(list(tills.values_list("value", flat=True)), [THREADS * 3] * 2, "the two tills")


@scenario
def leftovers():
    """Connections come and go, and leave all that a session can leave; a new one finds nothing of it."""
    traces = """SELECT current_setting('search_path'), current_setting('work_mem'), current_setting('TimeZone'),
        current_user::text, coalesce(current_setting('shop.number', true), ''), to_regclass('pg_temp.basket') IS NULL,
        (SELECT count(*) FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM pg_listening_channels()),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"""

    def work(number):
        for n in range(6):
            check(ask(traces), ('"$user", public', "4MB", "UTC", "app", "", True, 0, 0, 0), "a new connection")
            run(
                f"SET search_path TO {TENANTS[number % 2]}",
                "SET work_mem TO '7MB'",
                "SET TIME ZONE 'Asia/Kolkata'",
                f"SET shop.number TO '{number}'",
                f"SELECT pg_advisory_lock({1000 + number})",
                "CREATE TEMP TABLE basket (article text)",
                f"INSERT INTO basket VALUES ('article {number}')",
                f"LISTEN number_{number}",
                "DECLARE kept CURSOR WITH HOLD FOR SELECT article FROM basket",
                "GRANT SELECT ON basket TO clerk",
                "SET ROLE clerk",
            )
            left = (TENANTS[number % 2], "7MB", "Asia/Kolkata", "clerk", str(number), False, 1, 1, 1)
            check(ask(traces), left, "what was left")
            check(ask("SELECT article FROM basket"), (f"article {number}",), "the basket")
            check(ask("FETCH kept"), (f"article {number}",), "the cursor")
            connection.close()

    threads(work, THREADS)


if __name__ == "__main__":
    chosen()()
