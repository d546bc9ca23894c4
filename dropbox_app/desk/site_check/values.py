"""The values of templates whose settings are unknown.

A known text remains a text. A value that only the site knows becomes a slot, named after the
expression in the template. A slot matches any text without markup, because the templates escape it.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

MOST_OPTIONS = 2_000  # of one choice: more than a catalogue has sentences


@dataclass(frozen=True)
class Slot:
    """A place on the page with a text that the release does not contain."""

    name: str


@dataclass(frozen=True)
class Unknown:
    """A value that only the site knows. ``name`` is its expression in the template."""

    name: str


@dataclass(frozen=True)
class Text:
    """A text of fixed parts and slots. The fixed parts of a ``safe`` text are HTML."""

    parts: tuple[str | Slot, ...]
    safe: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several values; the site's settings decide which."""

    options: tuple[object, ...]


@dataclass(frozen=True)
class Rendered:
    """The result of a macro: a shape."""

    shape: "Shape"


@dataclass(frozen=True)
class Shape:
    """A part of a page.

    ``kind`` is "text" (``text`` exactly), "slot" or "html" (``text`` is the slot's name), "all"
    (``parts`` one after the other), "one" (one of ``parts``), or "many" (``parts[0]`` any number of
    times).
    """

    kind: str
    text: str = ""
    parts: tuple["Shape", ...] = ()

    @property
    def has_html(self) -> bool:
        """Return whether the shape has a slot for the organisation's own HTML."""
        return self.kind == "html" or any(part.has_html for part in self.parts)


@dataclass(frozen=True)
class Known:
    """An object with known attributes and methods."""

    attributes: Mapping[str, object]
    methods: Mapping[str, Callable[..., object]] = field(default_factory=dict)


# The names whose values are HTML that the server has made of an organisation's Markdown.
HTML_NAMES = frozenset({"own", "law"})
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;"}
_ESCAPE = str.maketrans(_ESCAPES)
_PLACE = re.compile(r"\{(\w+)\}")


def escape(text: str) -> str:
    """Return a text as the templates write it into a page."""
    return text.translate(_ESCAPE)


def unescape(text: str) -> str:
    """Return the text whose escaped form is given."""
    for sign, written in reversed(_ESCAPES.items()):
        text = text.replace(written, sign)
    return text


def nothing() -> Shape:
    """Return the shape of an empty text."""
    return Shape("all")


def joined(parts: Iterable[Shape]) -> Shape:
    """Return shapes one after the other, with adjacent texts joined."""
    flat: list[Shape] = []
    for part in parts:
        for one in part.parts if part.kind == "all" else (part,):
            if one.kind == "text" and flat and flat[-1].kind == "text":
                flat[-1] = Shape("text", flat[-1].text + one.text)
            elif one.kind != "text" or one.text:
                flat.append(one)
    return flat[0] if len(flat) == 1 else Shape("all", "", tuple(flat))


def either(parts: Iterable[Shape]) -> Shape:
    """Return a choice of shapes. The organisation's own HTML comes last.

    In any other order, that HTML could match the release's own text.
    """
    options = sorted(dict.fromkeys(parts), key=lambda one: one.has_html)
    return options[0] if len(options) == 1 else Shape("one", "", tuple(options))


def shape_of(value: object) -> Shape:
    """Return the shape of a value that a template writes into a page."""
    if isinstance(value, Rendered):
        return value.shape
    if isinstance(value, Choice):
        return either(map(shape_of, value.options))
    if isinstance(value, Unknown):
        return Shape("html" if value.name in HTML_NAMES else "slot", value.name)
    text = value if isinstance(value, Text) else Text((str(value),))
    return joined(
        Shape("slot", part.name)
        if isinstance(part, Slot)
        else Shape("text", part if text.safe else escape(part))
        for part in text.parts
    )


def name_of(value: object) -> str:
    """Return the name of a value, for slots derived from it."""
    return value.name if isinstance(value, Unknown) else "value"


def truth(value: object) -> bool | None:
    """Return whether a template treats a value as true; None if that depends on the site."""
    if isinstance(value, Unknown | Rendered):
        return None
    if isinstance(value, Choice):
        known = {truth(option) for option in value.options}
        return known.pop() if len(known) == 1 else None
    if isinstance(value, Text):
        if any(isinstance(part, str) and part for part in value.parts):
            return True
        return None if value.parts else False
    if isinstance(value, Known):
        return True
    return bool(value)


def choice(options: Iterable[object]) -> object:
    """Return one of several values. Nested choices are merged.

    A choice without options represents a value that no site can have.
    """
    flat: list[object] = []
    for option in options:
        for one in option.options if isinstance(option, Choice) else (option,):
            if one not in flat:
                flat.append(one)
    if len(flat) > MOST_OPTIONS:
        return Unknown("value")
    return flat[0] if len(flat) == 1 else Choice(tuple(flat))


NEVER = Choice(())


def of_each(value: object, change: Callable[[object], object]) -> object:
    """Apply ``change`` to a value, or to each of its options."""
    return choice(map(change, value.options)) if isinstance(value, Choice) else change(value)


def added(values: Iterable[object]) -> object:
    """Return values as one text, as the operator ``~`` does."""
    options = [value.options if isinstance(value, Choice) else (value,) for value in values]
    return choice(_one_text(chosen) for chosen in itertools.product(*options))


def _one_text(values: Iterable[object]) -> object:
    parts: list[str | Slot] = []
    for value in values:
        parts += as_text(value).parts
    return plain(Text(tuple(parts)))


def as_text(value: object) -> Text:
    """Return a value as a text with slots."""
    if isinstance(value, Text):
        return value
    if isinstance(value, Unknown | Rendered | Choice):
        return Text((Slot(name_of(value)),))
    return Text((str(value),))


def plain(text: Text) -> object:
    """Return a text with its fixed parts joined; a text without slots becomes a str."""
    parts: list[str | Slot] = []
    for part in text.parts:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif part != "":
            parts.append(part)
    if not text.safe and all(isinstance(part, str) for part in parts):
        return "".join(str(part) for part in parts)
    return Text(tuple(parts), text.safe)


def filled(sentence: str, given: Mapping[str, object], isolated: bool) -> object:
    """Return a sentence of a catalogue with its ``{names}`` filled in.

    ``isolated``: whether each value keeps its own direction, as on a page in Arabic.
    """
    parts: list[str | Slot] = []
    for number, piece in enumerate(_PLACE.split(sentence)):
        if number % 2 == 0:
            parts.append(piece)
        elif piece not in given:
            raise LookupError(piece)
        else:
            value = given[piece]
            inner: tuple[str | Slot, ...] = (Slot(name_of(value)),)
            if isinstance(value, int):
                inner = (str(value),)
            elif isinstance(value, str):
                inner = (f"\u2068{value}\u2069",) if isolated else (value,)
            parts += inner
    return plain(Text(tuple(parts)))


def split(value: object, at: str) -> object:
    """Return the parts of a text, as ``str.split`` does; slots are never split."""
    if isinstance(value, Choice):
        each = [split(option, at) for option in value.options]
        if not each:
            return value
        if not all(isinstance(one, list) for one in each):
            return Unknown(f"{name_of(value)}.split()")
        lists = [one for one in each if isinstance(one, list)]
        longest = max(map(len, lists))
        return [choice(one[n] if n < len(one) else "" for one in lists) for n in range(longest)]
    if not isinstance(value, str | Text):
        return Unknown(f"{name_of(value)}.split()")
    found: list[list[str | Slot]] = [[]]
    for part in as_text(value).parts:
        if isinstance(part, Slot):
            found[-1].append(part)
            continue
        first, *others = part.split(at)
        found[-1].append(first)
        found += [[other] for other in others]
    return [plain(Text(tuple(parts))) for parts in found]


def replaced(value: object, old: str, new: str) -> object:
    """Return a text with ``old`` replaced; a slot keeps its name."""
    if isinstance(value, str):
        return value.replace(old, new)
    return Unknown(name_of(value))


def first_upper(value: object) -> object:
    """Return a text with its first letter in upper case."""

    def change(one: object) -> object:
        if isinstance(one, Text) and one.parts and isinstance(one.parts[0], str):
            first = one.parts[0]
            return Text((first[:1].upper() + first[1:], *one.parts[1:]), one.safe)
        return one[:1].upper() + one[1:] if isinstance(one, str) else one

    return of_each(value, change)


def keys_like(value: object, keys: Iterable[str]) -> Iterator[str]:
    """Yield the keys of a catalogue that match a text with slots."""
    pattern = "".join(
        ".*" if isinstance(part, Slot) else re.escape(part) for part in as_text(value).parts
    )
    yield from (key for key in keys if re.fullmatch(pattern, key))
