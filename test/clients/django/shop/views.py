"""Each view is one transaction (ATOMIC_REQUESTS)."""

import json
from decimal import Decimal

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Sum
from django.http import JsonResponse

from shop.models import Article, Counter, Customer, Line, Order


def _place(asked):
    customer = Customer.objects.select_for_update().get(name=asked["customer"])
    order = Order.objects.create(customer=customer, reference=asked["reference"])
    articles = {article.name: article for article in Article.objects.filter(name__in=asked["lines"])}
    order.lines.bulk_create(
        Line(order=order, article=articles[name], count=count) for name, count in asked["lines"].items()
    )
    total = sum((articles[name].price * count for name, count in asked["lines"].items()), Decimal(0))
    return customer, order, total


def place_order(request):
    asked = json.loads(request.body)
    customer, order, total = _place(asked)
    try:
        with transaction.atomic():
            Customer.objects.filter(pk=customer.pk).update(balance=F("balance") - total)
        paid = True
    except IntegrityError:
        paid = False
    return JsonResponse({"order": order.pk, "total": str(total), "paid": paid})


def place_broken_order(request):
    _place(json.loads(request.body))
    raise RuntimeError("the till is out of order")


def show_order(request, reference):
    order = Order.objects.select_related("customer").prefetch_related("lines__article__tags").get(reference=reference)
    lines = {line.article.name: line.count for line in order.lines.all()}
    tags = sorted({tag.name for line in order.lines.all() for tag in line.article.tags.all()})
    count = order.lines.aggregate(total=Sum("count"))["total"]
    return JsonResponse({"customer": order.customer.name, "lines": lines, "tags": tags, "count": count})


def count_up(request, name):
    counter = Counter.objects.select_for_update().get(name=name)
    counter.value += 1
    counter.save(update_fields=["value"])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('TimeZone'), current_schema(), current_setting('shop.tenant', true), pg_backend_pid()"
        )
        zone, schema, tenant, server = cursor.fetchone()
    return JsonResponse(
        {"value": counter.value, "zone": zone, "schema": schema, "tenant": tenant, "server": server}
    )


def visit(request):
    """Sessions are rows too."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def lock_till(request, key):
    """Locked for the session, which the next requests of the same thread have as well."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [key])
    return JsonResponse({})


def count_till(request, key):
    """Reads in one request and writes in the next, which only the lock between them makes right."""
    name = f"till {key}"
    if request.method == "POST":
        Counter.objects.filter(name=name).update(value=json.loads(request.body)["value"])
    return JsonResponse({"value": Counter.objects.get(name=name).value})


def unlock_till(request, key):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
        (unlocked,) = cursor.fetchone()
    return JsonResponse({"unlocked": unlocked})
