"""A project as one would deploy it. Nothing is set for the pooler's sake; the tests vary what SHOP_* says."""

import json
import os

# A second alias of the same database, for those who want another time zone.
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
    "OPTIONS": json.loads(os.environ.get("SHOP_OPTIONS", "{}")),
}
DATABASES = {"default": _database, "tokyo": {**_database, "TIME_ZONE": "Asia/Tokyo", "ATOMIC_REQUESTS": False}}

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "shop",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "shop.urls"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {"version": 1, "disable_existing_loggers": True}
