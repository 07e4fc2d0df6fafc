"""Django's test runner, which creates databases, migrates them, copies them for its processes and drops them in the end."""

import project
from django.core.management import call_command
from django.db import connection
from questions import check
from scenario import chosen, scenario


def run_tests(**options):
    # Exits with status 1 when a test fails.
    call_command("test", "shop", interactive=False, verbosity=0, **options)
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(datname::text ORDER BY datname) FROM pg_database WHERE NOT datistemplate")
        check(cursor.fetchone()[0], ["app", "postgres"], "the databases that are left")


@scenario
def one_database():
    run_tests()
    # The name is the same again, and the database another.
    run_tests()


@scenario
def one_for_each_process():
    run_tests(parallel=2)


if __name__ == "__main__":
    assert project
    chosen()()
