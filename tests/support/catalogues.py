"""The texts of a face's pages, as its catalogues have them."""

import functools
import string
from collections.abc import Mapping
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po


@functools.cache
def catalogue_in(web: Path, lang: str) -> Mapping[str, Message]:
    """Every message in a language, by its key. ``web``: the package that has the translations."""
    with (web / "translations" / lang / "LC_MESSAGES" / "messages.po").open("rb") as file:
        read: Catalog = read_po(file, locale=lang, abort_invalid=True)
    return {key(message): message for message in read if message.id}


def key(message: Message) -> str:
    """What the program calls a message."""
    return str(message.id if isinstance(message.id, str) else message.id[0])


def texts(message: Message) -> list[str]:
    """The text of a message, or its texts for one and for several."""
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def placeholders(text: str) -> set[str]:
    """The names that a text asks to be filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
