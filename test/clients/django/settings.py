"""A project as one would deploy it. Nothing is set for the pooler's sake; the tests vary what SHOP_* says."""

import json
import os

_options = json.loads(os.environ.get("SHOP_OPTIONS", "{}"))
_database = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ["PGHOST"],
    "PORT": os.environ["PGPORT"],
    "NAME": os.environ["PGDATABASE"],
    "USER": os.environ["PGUSER"],
    "PASSWORD": os.environ["PGPASSWORD"],
    "ATOMIC_REQUESTS": True,
    "CONN_MAX_AGE": json.loads(os.environ.get("SHOP_CONN_MAX_AGE", "0")),
    "CONN_HEALTH_CHECKS": "SHOP_CONN_HEALTH_CHECKS" in os.environ,
    "OPTIONS": _options,
}


def _alias(time_zone=None, **options):
    """The same database for those who want something of it to be different."""
    return {**_database, "TIME_ZONE": time_zone, "ATOMIC_REQUESTS": False, "OPTIONS": {**_options, **options}}


DATABASES = {
    "default": _database,
    "tokyo": _alias(time_zone="Asia/Tokyo"),
    # Tenants have a schema each.
    "north": _alias(options="-c search_path=north -c statement_timeout=61000"),
    "south": _alias(options="-c search_path=south -c statement_timeout=62000", time_zone="America/New_York"),
    "clerk": _alias(assume_role="clerk"),
}

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "shop",
]
MIDDLEWARE = ["shop.middleware.tenant", "django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "shop.urls"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {"version": 1, "disable_existing_loggers": True}
