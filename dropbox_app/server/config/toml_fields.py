"""Values as they stand in a TOML file, held to their form. What is wrong is named by its key."""

import re
from collections.abc import Mapping
from typing import Any

from dropbox_app.protocol.card import unseen
from dropbox_app.protocol.encoding import clean_text

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class Wrong(Exception):
    """A value is wrong: which, as ``table.key``, and what is wanted there."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(said)
        self.key = key


def only_known(values: Mapping[str, Any], known: set[str], table: str = "") -> None:
    """Raise Wrong for a key that is none of these."""
    for key in values:
        if key not in known:
            raise Wrong(
                table + key,
                f"{table}{key} is no setting; known are {', '.join(sorted(known))}",
            )


def whole_number(value: object, key: str) -> int:
    """A whole number from 1. Raises Wrong."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**53:
        raise Wrong(key, f"{key} must be a whole number from 1")
    return value


def one_line(value: object, key: str, called: str = "") -> str:
    """A line of text that can be seen whole; ``called`` in what is said. Raises Wrong."""
    called = called or key
    if not isinstance(value, str):
        raise Wrong(key, f"{called} must be a text")
    if value != clean_text(value).strip() or "\n" in value or len(value) > 200:
        raise Wrong(key, f"{called} must be one line of at most 200 characters")
    if unseen(value):
        raise Wrong(key, f"{called} holds a character that cannot be seen")
    return value


def string(text: str) -> str:
    """A TOML basic string. A control character is written so that reading it names the key."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + '"'
