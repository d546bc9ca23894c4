"""Validates values of a TOML file. Errors name the key."""

import re
from collections.abc import Mapping
from typing import Any

from dropbox_app.protocol.card import unseen
from dropbox_app.protocol.encoding import clean_text

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class Wrong(Exception):
    """A wrong value: its key, as ``table.key``, and the expected value."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(said)
        self.key = key


def only_known(values: Mapping[str, Any], known: set[str], table: str = "") -> None:
    """Raise Wrong for a key that is not among these."""
    for key in values:
        if key not in known:
            raise Wrong(
                table + key,
                f"{table}{key} is not a setting; known settings are {', '.join(sorted(known))}",
            )


def whole_number(value: object, key: str) -> int:
    """Return a whole number of at least 1. Raises Wrong."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**53:
        raise Wrong(key, f"{key} must be a whole number of at least 1")
    return value


def yes_or_no(value: object, key: str) -> bool:
    """Return a truth value. Raises Wrong."""
    if not isinstance(value, bool):
        raise Wrong(key, f"{key} must be true or false")
    return value


def one_line(value: object, key: str, called: str = "") -> str:
    """Return one line of visible text; errors call it ``called``. Raises Wrong."""
    called = called or key
    if not isinstance(value, str):
        raise Wrong(key, f"{called} must be text in quotes")
    if value != clean_text(value).strip() or "\n" in value or len(value) > 200:
        raise Wrong(key, f"{called} must be one line of at most 200 characters")
    if unseen(value):
        raise Wrong(key, f"{called} contains an invisible character")
    return value


def string(text: str) -> str:
    """Return a TOML basic string; a control character is escaped so that reading names the key."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + '"'
