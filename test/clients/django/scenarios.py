"""Django and a small shop. `python scenarios.py NAME`; `migrate` comes first."""

import os
import random
from datetime import datetime, timezone
from decimal import Decimal

import project
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import Count, F, Q, Sum
from django.db.utils import DatabaseError
from questions import check
from scenario import chosen, raises, scenario
from shop.models import Article, Counter, Customer, Line, Order, Tag
from web import Browser

THREADS = 20
ROUNDS = 4


def threads(work, count=THREADS):
    return project.threads(work, count)


@scenario
def migrate():
    """Migrations of the shop and of what Django brings, forth, back and forth again; then goods and customers."""
    call_command("migrate", verbosity=0)
    call_command("migrate", "shop", "zero", verbosity=0)
    call_command("migrate", verbosity=0)
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    check("shop_order" in connection.introspection.table_names(), True, "the tables")

    tags = Tag.objects.bulk_create(Tag(name=f"tag {n}") for n in range(5))
    articles = Article.objects.bulk_create(Article(name=f"article {n}", price=Decimal(n) / 4) for n in range(1, 21))
    for n, article in enumerate(articles):
        article.tags.set([tags[n % 5], tags[(n + 1) % 5]])
    Customer.objects.bulk_create(Customer(name=f"customer {n}", balance=1000) for n in range(THREADS))
    check(Article.tags.through.objects.count(), 40, "tags of articles")


@scenario
def requests():
    """Orders are placed, paid for or not, and read again; broken ones leave nothing; sessions last."""
    prices = dict(Article.objects.values_list("name", "price"))
    run = f"{os.getpid()}"
    placed = Order.objects.count()
    counter = Counter.objects.create(name=f"all {run}")

    def work(number):
        rng = random.Random(number)
        browser = Browser()
        spent = Decimal(0)
        for n in range(ROUNDS):
            lines = {f"article {i}": rng.randrange(1, 30) for i in rng.sample(range(1, 21), 3)}
            order = {"customer": f"customer {number}", "reference": f"{run}-{number}-{n}", "lines": lines}
            total = sum((prices[name] * count for name, count in lines.items()), Decimal(0))
            status, answer = browser.post("/orders/", order)
            check((status, Decimal(answer["total"])), (200, total), "the order")
            spent += total if answer["paid"] else 0

            status, answer = browser.get(f"/orders/{order['reference']}/")
            check(answer["customer"], order["customer"], "the customer of the order")
            check(answer["lines"], lines, "the lines of the order")
            check(answer["count"], sum(lines.values()), "the number of pieces")
            check(len(answer["tags"]) >= 2, True, "the tags of the order")

            check(browser.post("/broken-orders/", {**order, "reference": f"{run}-broken"}), (500, None), "broken")
            check(browser.post("/orders/", order), (500, None), "the same order again")
            check(browser.post(f"/counters/{counter.name}/")[1]["zone"], "UTC", "the time zone")
            check(browser.get("/visits/"), (200, {"visits": n + 1}), "the visits")
        return spent

    before = Customer.objects.aggregate(total=Sum("balance"))["total"]
    spent = sum(threads(work))
    check(Customer.objects.aggregate(total=Sum("balance"))["total"], before - spent, "what all customers have left")
    check(Order.objects.count(), placed + THREADS * ROUNDS, "orders")
    check(Line.objects.filter(order__reference__contains="broken").exists(), False, "lines of broken orders")
    counter.refresh_from_db()
    check(counter.value, THREADS * ROUNDS, "the counter that all count up")


@scenario
def savepoints():
    """Nested atomic blocks are undone one by one, and callbacks run after the commit only."""

    def work(number):
        committed = []
        with transaction.atomic(durable=True):
            transaction.on_commit(lambda: committed.append(number))
            user = User.objects.create_user(f"user {number}")
            for n in range(5):
                try:
                    with transaction.atomic():
                        user.first_name = f"lost {n}"
                        user.save()
                        with transaction.atomic():
                            user.last_name = f"lost {n}"
                            user.save()
                        User.objects.create_user(f"user {number}")
                except IntegrityError:
                    pass
            point = transaction.savepoint()
            User.objects.filter(pk=user.pk).delete()
            transaction.savepoint_rollback(point)
            check(committed, [], "callbacks before the commit")
        check(committed, [number], "callbacks after the commit")
        found = User.objects.get(username=f"user {number}")
        check((found.first_name, found.last_name), ("", ""), "the user's names")

        def refused():
            with transaction.atomic():
                User.objects.filter(pk=user.pk).update(first_name="lost")
                raise ZeroDivisionError

        raises(ZeroDivisionError, refused)
        check(User.objects.get(pk=user.pk).first_name, "", "the user's name")

    threads(work)
    check(User.objects.count(), THREADS, "users")


@scenario
def locks():
    """select_for_update keeps others out; nowait and skip_locked say so at once."""
    Counter.objects.bulk_create(Counter(name=f"lock {n}") for n in range(3))

    def work(number):
        for n in range(15):
            with transaction.atomic():
                counter = Counter.objects.select_for_update().get(name=f"lock {n % 3}")
                counter.value += 1
                counter.save()

    threads(work)
    values = list(Counter.objects.filter(name__startswith="lock").order_by("name").values_list("value", flat=True))
    check(values, [100, 100, 100], "the counters")

    with transaction.atomic():
        Counter.objects.select_for_update().get(name="lock 0")

        def other(number):
            with transaction.atomic():
                free = Counter.objects.select_for_update(skip_locked=True).filter(name__startswith="lock")
                check(sorted(free.values_list("name", flat=True)), ["lock 1", "lock 2"], "what is not locked")
            with transaction.atomic():
                locked = Counter.objects.select_for_update(nowait=True).filter(name="lock 0")
                raises(DatabaseError, lambda: list(locked))

        threads(other, 1)


@scenario
def bulk():
    def work(number):
        name = f"bulk {number} "
        Counter.objects.bulk_create([Counter(name=f"{name}{n}", value=n) for n in range(1500)], batch_size=400)
        mine = Counter.objects.filter(name__startswith=name)
        check(mine.count(), 1500, "rows created")
        changed = list(mine.filter(value__lt=200))
        for counter in changed:
            counter.value += 10_000
        Counter.objects.bulk_update(changed, ["value"], batch_size=50)
        again = [Counter(name=f"{name}{n}", value=1) for n in range(3)]
        Counter.objects.bulk_create(again, update_conflicts=True, unique_fields=["name"], update_fields=["value"])
        found = mine.aggregate(high=Count("pk", filter=Q(value__gte=10_000)), sum=Sum("value"))
        wanted = sum(range(200, 1500)) + sum(10_000 + n for n in range(3, 200)) + 3
        check(found, {"high": 197, "sum": wanted}, "what was updated")
        mine.update(value=F("value") * 2)
        check(mine.aggregate(sum=Sum("value"))["sum"], wanted * 2, "what was doubled")
        check(mine.delete()[0], 1500, "rows deleted")

    threads(work, 10)


@scenario
def time_zones():
    """Two aliases of one database, in one pool, with different time zones, neither of them the server's."""
    moment = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)

    def work(number):
        for n in range(15):
            for alias, zone, hour in [("default", "UTC", "12"), ("tokyo", "Asia/Tokyo", "21")]:
                with connections[alias].cursor() as cursor:
                    cursor.execute("SELECT current_setting('TimeZone'), to_char(%s, 'HH24'), %s", [moment, moment])
                    check(cursor.fetchone()[:2], (zone, hour), f"the time in {zone}")

    threads(work)


@scenario
def storm():
    """Connections are opened and closed all the time."""

    def work(number):
        for n in range(25):
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s, %s", [number, n])
                check(cursor.fetchone(), (number, n), "the question on a new connection")
            connection.close()

    threads(work)


@scenario
def iterators():
    """`iterator()` inside a transaction is a server-side cursor."""
    Counter.objects.bulk_create(Counter(name=f"iterated {n}", value=n) for n in range(2000))
    counters = Counter.objects.filter(name__startswith="iterated")

    def work(number):
        with transaction.atomic():
            seen = []
            for counter in counters.filter(value__gte=number).order_by("value").iterator(chunk_size=100):
                seen.append(counter.value)
                if counter.value % 500 == 0:
                    check(Counter.objects.get(pk=counter.pk).name, counter.name, "a question between two rows")
            check(seen, list(range(number, 2000)), "the rows of the iterator")

    threads(work)


@scenario
def deferred_constraints():
    """Foreign keys are checked at the commit, or when Django asks for it."""

    def work(number):
        reference = f"deferred {number}"

        def dangling():
            with transaction.atomic():
                Order.objects.create(customer_id=10**9, reference=reference)

        raises(IntegrityError, dangling)

        def checked():
            with transaction.atomic():
                Order.objects.create(customer_id=10**9, reference=reference)
                raises(IntegrityError, connection.check_constraints)
                raise ZeroDivisionError

        raises(ZeroDivisionError, checked)
        check(Order.objects.filter(reference=reference).exists(), False, "the dangling order")

    threads(work)


if __name__ == "__main__":
    chosen()()
