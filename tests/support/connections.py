"""The connections that a store opens through SQLite's own module."""

import sqlite3

import pytest


def opened_from_now_on(patched: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Return every connection that any thread opens after this, the oldest first."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def keep(*given: str, **named: object) -> sqlite3.Connection:
        opened.append(connect(*given, **named))  # type: ignore[call-overload]  # passed on
        return opened[-1]

    patched.setattr(sqlite3, "connect", keep)
    return opened
