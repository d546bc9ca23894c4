"""Convert the rows of a table to events: map columns to fields, and read the cells.

Pure functions. A header names a field by its code, by its label on the page, or by a common word.
Each row is one event of the kind named in its column ``event``, or a contact by default. Nothing is
guessed: an unknown word is a fault that names the row and the field.
"""

import datetime
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import KINDS
from dropbox_app.desk.register.fields import Reader, Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.register.lines import Numbered
from dropbox_app.desk.register.tables import Cell, Row
from dropbox_app.protocol.encoding import Json

TAKEN = ("contact", "case", "close", "complaint", "advice", "activity", "hours", "upkeep")
USUAL = "contact"
NEEDED = ("date", "employer")

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan januari january", "feb februari february", "mrt maart mar march", "apr april",
         "mei may", "jun juni june", "jul juli july", "aug augustus august",
         "sep sept september", "okt oktober oct october", "nov november",
         "dec december"), 1)
    for name in names.split()
}  # fmt: skip
_FIGURES = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})")
_IN_WORDS = re.compile(r"(?:[a-z]+\.?,? +)?(\d{1,2})(?:e|th|st|nd|rd)? +([a-z]+)\.? +(\d{4}|\d{2})")
_MINUTES = re.compile(r"(\d{1,5}) ?(?:m|min|minuten|minutes|minuut)?\.?")
_YES, _NO = {"ja", "yes", "x", "waar", "true", "1"}, {"nee", "no", "onwaar", "false", "0"}


@dataclass(frozen=True)
class Vocabulary:
    """The words, in lower case, that headers and cells may contain besides the codes.

    ``fields`` maps a header to a field, and ``kinds`` a word to a kind. ``words`` maps a word to
    its code, by kind and field. ``shown`` lists the words as they are shown, by kind and field.
    """

    fields: Mapping[str, str]
    kinds: Mapping[str, str]
    words: Mapping[tuple[str, str], Mapping[str, str]]
    shown: Mapping[tuple[str, str], Sequence[str]]


@dataclass(frozen=True)
class Read:
    """One row: its number in the file, and its event or its faults."""

    number: int
    values: Mapping[str, Json]
    event: Numbered | None
    faults: tuple[Fault, ...]


def read(rows: Sequence[Row], words: Vocabulary, today: datetime.date) -> list[Read]:
    """Return each row below the header. Raises Refused if the header is not recognised."""
    columns = _columns(rows[0], words)
    return [_row(number, cells, columns, words, today) for number, cells in rows[1:]]


def day(text: str) -> str:
    """Return a day in the form that events use. Other text is returned unchanged.

    Days are read as written in the Netherlands, with the day before the month: 31-1-2027, 31/01/27
    or 31 januari 2027. A two-digit year is read as a year of this century.
    """
    plain = " ".join(text.casefold().split())
    if found := _FIGURES.fullmatch(plain):
        number, month, year = (int(one) for one in found.groups())
    elif (found := _IN_WORDS.fullmatch(plain)) and found[2] in _MONTHS:
        number, month, year = int(found[1]), _MONTHS[found[2]], int(found[3])
    else:
        return text
    return f"{year if year > 99 else 2000 + year:04}-{month:02}-{number:02}"


def _columns(header: Row, words: Vocabulary) -> list[str]:
    number, cells = header
    faults, found = [], []
    known = {name for kind in TAKEN for name in form.readers(KINDS[kind])} | {"event"}
    for cell in cells:
        title = " ".join(str(cell or "").split())
        small = title.casefold().rstrip(" ?:…")
        name = small if small in known else words.fields.get(small, "")
        if title and not name:
            faults.append(Fault(number, f"{title[:40]!a}", Sentence(
                "this column is not known; leave it out, or give it another name",
                "column_unknown", column=title[:40])))  # fmt: skip
        elif name and name in found:
            faults.append(Fault(number, name, Sentence(
                f"the columns {title[:40]!a} and another one are both {name}",
                "column_twice", column=title[:40])))  # fmt: skip
        found.append(name)
    faults += [
        Fault(number, name, Sentence("there is no column for it", "column_missing"))
        for name in NEEDED
        if name not in found
    ]
    if faults:
        raise Refused(tuple(faults))
    return found


def _row(
    number: int, cells: Sequence[Cell], columns: Sequence[str], words: Vocabulary,
    today: datetime.date,
) -> Read:  # fmt: skip
    filled = [
        (name, cell)
        for name, cell in itertools.zip_longest(columns, cells, fillvalue="")
        if cell not in (None, "")
    ]
    given = {str(name): cell for name, cell in filled if name}
    faults = [_untitled(number, str(cell)) for name, cell in filled if not name]
    said = str(given.pop("event", USUAL)).casefold()
    kind = said if said in KINDS else words.kinds.get(said, "")
    if kind not in TAKEN:
        allowed = ", ".join(dict.fromkeys(words.shown[("", "event")]))
        sentence = f"{said[:40]!a} is not taken from a table; choose one of: {allowed}"
        fault = Sentence(sentence, "unknown_word", given=said[:40], allowed=allowed)
        return Read(number, {}, None, (Fault(number, "event", fault), *faults))
    values: dict[str, Json] = {"event": kind}
    for name, cell in given.items():
        reader = form.readers(KINDS[kind]).get(name)
        if reader is None:
            unfit = Sentence("this kind of row has no such field; empty the cell", "column_unfit")
            faults.append(Fault(number, name, unfit))
            continue
        try:
            values[name] = _value(kind, name, reader, cell, words)
        except Refused as refused:
            faults += [Fault(number, one.field, one.sentence) for one in refused.faults]
    if kind == "case" and "case" not in values:
        # Without a reference, a second import of the file would create the case again.
        said_so = Sentence("is missing; give each case a number or name of its own", "missing")
        faults.append(Fault(number, "case", said_so))
    try:
        event = form.parse(values, today, number)
    except Refused as refused:
        bad = {one.field for one in faults}
        faults += [one for one in refused.faults if one.field not in bad]
    return Read(number, values, None if faults else Numbered(number, event), tuple(faults))


def _untitled(number: int, cell: str) -> Fault:
    shown = cell[:40]
    said = (
        "this cell has no title above it; name its column in the first row, empty the cell, or put"
        " quotation marks around a text with the sign that parts the columns"
    )
    return Fault(number, f"{shown!a}", Sentence(said, "cell_untitled", cell=shown))


def _value(kind: str, name: str, reader: Reader, cell: Cell, words: Vocabulary) -> Json:
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    text = " ".join(str(cell).split()) if reader.shape != "text" else str(cell)
    small = text.casefold()
    if reader.shape == "day":
        return day(text)
    if reader.shape == "number":
        if isinstance(cell, int):
            return cell
        found = _MINUTES.fullmatch(small)
        return int(found[1]) if found else text
    if reader.shape == "flag":
        return cell if isinstance(cell, bool) else _flag(name, small)
    if reader.shape == "word":
        return _word(kind, name, small, words)
    if reader.shape == "words":
        parts = [small] if _is_known(kind, name, small, words) else re.split(r"[;\n]", small)
        if len(parts) == 1 and not _is_known(kind, name, small, words):
            parts = small.split(",")
        codes = [_word(kind, name, one.strip(), words) for one in parts if one.strip()]
        return list(dict.fromkeys(codes))
    if reader.shape == "names":
        return [one.strip() for one in re.split(r"[;\n]", text) if one.strip()]
    return text


def _is_known(kind: str, name: str, small: str, words: Vocabulary) -> bool:
    return small in form.readers(KINDS[kind])[name].allowed or small in words.words[(kind, name)]


def _word(kind: str, name: str, small: str, words: Vocabulary) -> str:
    if small in form.readers(KINDS[kind])[name].allowed:
        return small
    if small not in words.words[(kind, name)]:
        allowed = ", ".join(words.shown[(kind, name)])
        sentence = f"{small[:40]!a} is not known; choose one of: {allowed}"
        raise Refused((Fault(0, name, Sentence(
            sentence, "unknown_word", given=small[:40], allowed=allowed)),))  # fmt: skip
    return words.words[(kind, name)][small]


def _flag(name: str, small: str) -> bool | None:
    if small in _YES:
        return True
    if small in _NO:
        return None
    raise Refused((Fault(0, name, Sentence("is neither yes nor no", "yes_or_no")),))
