"""Randomness in tests: the same in a short run, new in a long run.

A change that broke nothing never goes red, and a long run finds what no short one would.
``KLANKBORD_SEED`` makes a failing run again; its number stands in the failure's output.
"""

import os
import random


def seed() -> int:
    """Return the seed."""
    given = os.environ.get("KLANKBORD_SEED", "")
    long = os.environ.get("KLANKBORD_LONG") == "1"
    number = int(given) if given else random.SystemRandom().randrange(2**32) if long else 1
    print(f"KLANKBORD_SEED={number}")  # noqa: T201 - shown when a test fails
    return number
