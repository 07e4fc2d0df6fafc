"""Questions with known answers: each client can tell whether what it got is the answer to what it asked."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

# {0} and {1} stand for the driver's own placeholders.
QUESTIONS = {
    "sum": (
        "SELECT {0}::int + {1}::int",
        lambda r: (r.randrange(10**6), r.randrange(10**6)),
        lambda a, b: a + b,
    ),
    "text": (
        "SELECT upper({0}::text) || repeat({1}::text, 3)",
        lambda r: (f"mare-{r.randrange(10**9)}", r.choice(["a", "ß", "馬"])),
        lambda a, b: a.upper() + b * 3,
    ),
    "long text": (
        "SELECT repeat({0}::text, {1}::int)",
        lambda r: (r.choice("abcdef"), r.randrange(200_000)),
        lambda a, n: a * n,
    ),
    "rows": (
        "SELECT array_agg(n * {0}::int) FROM generate_series(1, {1}::int) n",
        lambda r: (r.randrange(100), r.randrange(1, 500)),
        lambda a, n: [a * i for i in range(1, n + 1)],
    ),
    "array": (
        "SELECT {0}::int[] || {1}::int",
        lambda r: ([r.randrange(1000) for _ in range(r.randrange(1, 20))], r.randrange(1000)),
        lambda a, b: a + [b],
    ),
    "numeric": (
        "SELECT {0}::numeric * {1}::numeric",
        lambda r: (Decimal(r.randrange(10**9)) / 100, Decimal(r.randrange(1, 10**6)) / 1000),
        lambda a, b: a * b,
    ),
    "time": (
        "SELECT {0}::timestamp + make_interval(secs => {1}::int)",
        lambda r: (datetime(2026, 1, 1) + timedelta(minutes=r.randrange(10**6)), r.randrange(10**6)),
        lambda a, s: a + timedelta(seconds=s),
    ),
    "bytes": (
        "SELECT {0}::bytea || decode({1}::text, 'hex')",
        lambda r: (r.randbytes(r.randrange(1000)), r.randbytes(8).hex()),
        lambda a, b: a + bytes.fromhex(b),
    ),
    "null": (
        "SELECT coalesce({0}::text, {1}::text)",
        lambda r: (None, str(r.randrange(10**9))),
        lambda _, b: b,
    ),
}


def ask(rng: random.Random, first: str, second: str):
    """A random question in a driver's placeholders: its text, its parameters, and the answer that is due."""
    text, make, answer = QUESTIONS[rng.choice(list(QUESTIONS))]
    parameters = make(rng)
    return text.format(first, second), parameters, answer(*parameters)


def check(got, wanted, question):
    if isinstance(got, memoryview):
        got = bytes(got)
    assert got == wanted, f"{question}\n  gave   {got!r:.500}\n  and not {wanted!r:.500}"
