"""Makes a Django of this process. To be imported before anything of Django's."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "python"))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
if os.environ.get("SHOP_DRIVER") == "psycopg2":
    # Django takes psycopg 3 where there is one.
    sys.modules["psycopg"] = None

import django

django.setup()

from django.db import connections
from scenario import in_threads


def threads(work, count):
    """Like `in_threads`, and each leaves no connection behind."""

    def closing(number):
        try:
            return work(number)
        finally:
            connections.close_all()

    return in_threads(count, closing)
