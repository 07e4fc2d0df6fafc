from django.db import connection


def tenant(get_response):
    """A schema for each tenant, as it is usually done: SET at the start of a request, and nothing at its end. Policies
    and triggers like to know the tenant too, from a setting of the application's own."""

    def respond(request):
        if "X-Tenant" in request.headers:
            name = connection.ops.quote_name(request.headers["X-Tenant"])
            with connection.cursor() as cursor:
                cursor.execute(f"SET search_path TO {name}")
                cursor.execute(f"SET shop.tenant TO {name}")
        return get_response(request)

    return respond
