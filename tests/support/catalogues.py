"""The texts of the pages, as in the catalogues."""

import functools
import string
from collections.abc import Mapping
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po


@functools.cache
def catalogue_in(web: Path, lang: str) -> Mapping[str, Message]:
    """Return every message of a language by key. ``web``: the package with the translations."""
    with (web / "translations" / lang / "LC_MESSAGES" / "messages.po").open("rb") as file:
        read: Catalog = read_po(file, locale=lang, abort_invalid=True)
    return {key(message): message for message in read if message.id}


def key(message: Message) -> str:
    """Return the key of a message."""
    return str(message.id if isinstance(message.id, str) else message.id[0])


def texts(message: Message) -> list[str]:
    """Return the text of a message, or its singular and plural texts."""
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def placeholders(text: str) -> set[str]:
    """Return the placeholder names in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
