"""Fields of an event: their allowed values and limits, and how they are read from JSON.

A field is a dataclass field with a ``Reader``. A reader takes a JSON value and returns the value to
store, or raises ``Wrong``, which explains what to do.
"""

import dataclasses
import datetime
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dropbox_app.protocol.encoding import Json, check_day, clean_text
from dropbox_app.protocol.errors import FormatError

READER = "reader"  # the key of the reader in a dataclass field's metadata

MAX_NAME = 200  # characters of an employer, a person, a label, a reference
MAX_TEXT = 4_000  # characters of a free text
MAX_REPORT = 200_000  # characters of a frozen report
MAX_LIST = 500  # entries of a list of names
MAX_PEOPLE = 2_000_000  # people employed, or in one room
MAX_MINUTES = 1_440  # a day
MAX_HOURS = 8_784  # a leap year
MAX_PRICE = 10_000_000  # whole euros
MAX_YEARS_AHEAD = 25  # limit for a future day, such as the day of destruction
YEARS = range(2000, 2100)


class Sentence(str):
    """An error in English. ``key`` is the key of the page's own sentence, if there is one.

    ``values`` fill its placeholders. Days and numbers are not formatted yet.
    """

    key: str
    values: Mapping[str, object]

    def __new__(cls, sentence: str, key: str, **values: object) -> "Sentence":
        """Return the English sentence, with its key and values."""
        made = super().__new__(cls, sentence)
        made.key, made.values = key, values
        return made


class Wrong(Exception):
    """Raised for a value that a field does not allow. ``sentence`` describes the allowed values."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Reader:
    """Reads one field, and describes the field's limits in words for the reference.

    ``shape`` determines how a form asks for the field. ``allowed`` lists the field's fixed words,
    if any.
    """

    read: Callable[[Json], Any]
    limits: str
    needed: bool = False
    shape: str = ""
    allowed: tuple[str, ...] = ()


def _field(reader: Reader, default: object) -> Any:  # noqa: ANN401 - like dataclasses.field
    if reader.needed:
        return dataclasses.field(metadata={READER: reader})
    return dataclasses.field(default=default, metadata={READER: reader})


def text(most: int = MAX_NAME, *, needed: bool = False) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for a line of text, or several lines if it may be longer than a name."""

    def read(value: Json) -> str:
        if not isinstance(value, str):
            raise Wrong("is no text")
        kept = clean_text(value).strip()
        if most <= MAX_NAME:
            kept = " ".join(kept.split())
        if len(kept) > most:
            said = f"has {len(kept):,} characters; {most:,} is the limit"
            raise Wrong(Sentence(said, "long", given=len(kept), most=most))
        if needed and not kept:
            raise Wrong(Sentence("is empty", "missing"))
        return kept

    shape = "line" if most <= MAX_NAME else "text"
    return _field(Reader(read, f"text, at most {most:,} characters", needed, shape), "")


def word(allowed: Collection[str]) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for one of the fixed words."""
    return _field(
        Reader(
            lambda value: _one_of(value, allowed), _listed(allowed), shape="word",
            allowed=tuple(allowed),
        ),
        "",
    )  # fmt: skip


def words(allowed: Collection[str]) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for a list of fixed words, each at most once."""

    def read(value: Json) -> tuple[str, ...]:
        found = tuple(_one_of(one, allowed) for one in _list(value, len(allowed)))
        if len(set(found)) != len(found):
            raise Wrong("names something twice; leave out one of the two")
        return found

    limits = f"list of {_listed(allowed)}"
    return _field(Reader(read, limits, shape="words", allowed=tuple(allowed)), ())


def names(most: int = MAX_LIST) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for a list of names or references, each at most once."""

    def read(value: Json) -> tuple[str, ...]:
        found = []
        for one in _list(value, most):
            if not isinstance(one, str) or not one.strip() or len(one) > MAX_NAME:
                said = f"holds something that is no text of 1 to {MAX_NAME} characters"
                raise Wrong(Sentence(said, "names", most=MAX_NAME))
            found.append(" ".join(clean_text(one).split()))
        if len(set(found)) != len(found):
            raise Wrong(Sentence("names something twice; leave out one of the two", "twice"))
        return tuple(found)

    return _field(Reader(read, f"list of at most {most} texts", shape="names"), ())


def number(least: int, most: int, unit: str) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for a whole number within its limits; None if it was not given."""
    limits = f"{unit}, {least:,} to {most:,}"
    return _field(Reader(lambda value: _whole(value, least, most), limits, shape="number"), None)


def day(*, needed: bool = False) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for a day; None if it was not given."""

    def read(value: Json) -> datetime.date:
        if not isinstance(value, str):
            raise Wrong("is no day; write it as 2027-01-31")
        try:
            return check_day(value)
        except FormatError:
            said = f"{value[:40]!a} is no day; write it as 2027-01-31"
            raise Wrong(Sentence(said, "no_day")) from None

    return _field(Reader(read, "day, as 2027-01-31", needed, "day"), None)


def flag() -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for true or false; None if it was not given."""

    def read(value: Json) -> bool:
        if not isinstance(value, bool):
            raise Wrong("is neither true nor false")
        return value

    return _field(Reader(read, "true or false", shape="flag"), None)


def thread_id() -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for a thread's or message's id, 64 hex digits; "" if not given."""

    def read(value: Json) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}|", value):
            raise Wrong("is no id; 'klankbord-desk list --json' prints the ids")
        return value

    return _field(Reader(read, "id of 64 hexadecimal digits"), "")


def chosen(keys: Collection[str], values: Collection[str]) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for an object that maps fixed words to fixed words; empty if not given."""

    def read(value: Json) -> Mapping[str, str]:
        return {key: _one_of(one, values) for key, one in _object(value, keys).items()}

    limits = f"object: {_listed(keys)}, each with {_listed(values)}"
    return _field_of_object(Reader(read, limits))


def counted(keys: Collection[str], most: int, unit: str) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Return a field for an object that maps fixed words to whole numbers; empty if not given."""

    def read(value: Json) -> Mapping[str, int]:
        return {key: _whole(one, 0, most) for key, one in _object(value, keys).items()}

    limits = f"object: {_listed(keys)}, each with {unit}, 0 to {most:,}"
    return _field_of_object(Reader(read, limits))


def _field_of_object(reader: Reader) -> Any:  # noqa: ANN401 - like dataclasses.field
    return dataclasses.field(default_factory=dict, metadata={READER: reader})


def _one_of(value: Json, allowed: Collection[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        shown = f"{value[:40]!a}" if isinstance(value, str) else "this"
        raise Wrong(f"{shown} is not known; choose one of: {', '.join(allowed)}")
    return value


def _whole(value: Json, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        said = f"is no whole number; it may be {least:,} to {most:,}"
        raise Wrong(Sentence(said, "number", least=least, most=most))
    if not least <= value <= most:
        said = f"{value} is out of range; it may be {least:,} to {most:,}"
        raise Wrong(Sentence(said, "number", least=least, most=most))
    return value


def _list(value: Json, most: int) -> list[Json]:
    if not isinstance(value, list):
        raise Wrong('is no list; write it as ["one", "another"]')
    if len(value) > most:
        raise Wrong(f"has {len(value)} entries; {most} is the limit")
    return value


def _object(value: Json, keys: Collection[str]) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise Wrong("is no object")
    for key in value:
        if key not in keys:
            raise Wrong(f"{key[:40]!a} is not known; choose one of: {', '.join(keys)}")
    return value


def _listed(allowed: Collection[str]) -> str:
    return ", ".join(f"`{one}`" for one in allowed)
