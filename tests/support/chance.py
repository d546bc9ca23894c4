"""Randomness in tests: the same in a short run, new in a long run.

Short runs are repeatable, so a harmless change never fails; long runs find more faults.
``KLANKBORD_SEED`` repeats a failing run; the failure's output shows its number.
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
