"""What every script here has in common: `python SCRIPT NAME` runs one scenario, which succeeds or raises."""

import sys
from concurrent.futures import ThreadPoolExecutor

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def chosen():
    return SCENARIOS[sys.argv[1]]


def in_threads(count, work):
    """`work(0)` … `work(count - 1)` at the same time; raises what the first to fail raised."""
    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(work, range(count)))


def raises(kind, call):
    """Calls, and gives the error of that kind that came of it."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} came of it")
