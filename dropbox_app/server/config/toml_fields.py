"""Validate values from a TOML file. Errors name the key."""

import re
from collections.abc import Mapping
from typing import Any

from dropbox_app.protocol.card import unseen
from dropbox_app.protocol.encoding import clean_text

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class Wrong(Exception):
    """Raised for a wrong value, with its key as ``table.key`` and the expected value."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(said)
        self.key = key


def only_known(values: Mapping[str, Any], known: set[str], table: str = "") -> None:
    """Raise Wrong for a key that is not in ``known``."""
    for key in values:
        if key not in known:
            raise Wrong(
                table + key,
                f"{table}{key} is not a setting; known settings are {', '.join(sorted(known))}",
            )


def whole_number(value: object, key: str) -> int:
    """Return ``value`` if it is a whole number of at least 1. Raises Wrong."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**53:
        raise Wrong(key, f"{key} must be a whole number of at least 1")
    return value


def yes_or_no(value: object, key: str) -> bool:
    """Return a boolean. Raises Wrong."""
    if not isinstance(value, bool):
        raise Wrong(key, f"{key} must be true or false")
    return value


def one_line(value: object, key: str, called: str = "", most: int = 200) -> str:
    """Return ``value`` if it is one line of visible text. Raises Wrong for any other value.

    ``called``: the name of the value in the error. ``most``: the maximum number of characters.
    """
    called = called or key
    if not isinstance(value, str):
        raise Wrong(key, f"{called} must be text in quotes")
    if value != clean_text(value).strip() or "\n" in value or len(value) > most:
        raise Wrong(key, f"{called} must be one line of at most {most} characters")
    if unseen(value):
        raise Wrong(key, f"{called} contains an invisible character")
    return value


def string(text: str) -> str:
    """Return a TOML string, with control characters escaped so that a later error names the key."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + '"'
