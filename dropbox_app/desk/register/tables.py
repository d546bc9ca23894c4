"""Read the rows of a table of past events (CSV or xlsx), and write the register as CSV.

A file can come from anyone, so there are limits on its bytes, unpacked bytes, tags, rows, columns
and cell lengths, and on the time spent on it. Only the first sheet of an xlsx file is read. For a
formula, its saved value is used.
"""

import codecs
import csv
import datetime
import io
import re
import time
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import KINDS, Event
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.protocol.encoding import Json

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MIB = 1024 * 1024
MAX_FILE = 4 * MIB  # bytes
MAX_UNPACKED = 8 * MIB  # bytes of all parts of an xlsx file together
MAX_TAGS = 800_000  # in all parts together; each tag becomes an object, even if it is not kept
MAX_OTHER_TAGS = 20_000  # in a part other than a sheet or its texts, such as the formats
MAX_SECONDS = 20  # of processor time, until the last part is opened
MAX_PARTS = 500  # files within an xlsx file
MAX_ROWS = 10_000  # below the header
MAX_COLUMNS = 100
LAST_ROW = 1_048_576  # of a sheet, including empty rows
MAX_CELL = 8_000  # characters

Cell = str | int | float | bool | datetime.date | None
Row = tuple[int, list[Cell]]  # its number in the file, from 1, and its cells

# A spreadsheet treats a text that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_XLSX = b"PK\x03\x04"
_CELLS = re.compile(r"xl/(worksheets/[^/]+|sharedStrings)\.xml", re.IGNORECASE)


def read(raw: bytes) -> list[Row]:
    """Return the non-empty rows of a CSV or xlsx file, the header first. Raises Refused.

    A CSV file is separated by ``;``, ``,`` or tabs, in UTF-8 or Windows-1252, as saved by
    spreadsheets.
    """
    if len(raw) > MAX_FILE:
        raise _refused("table_large", f"the file has more than {MAX_FILE // MIB} MB; split it",
                       most=MAX_FILE // MIB)  # fmt: skip
    found: list[Row] = []
    letters = 0
    for number, cells in enumerate(_xlsx(raw) if raw.startswith(_XLSX) else _csv(raw), 1):
        if not any(cell not in (None, "") for cell in cells):
            continue
        if len(found) > MAX_ROWS:
            said = f"there are more than {MAX_ROWS:,} rows; split the file"
            raise _refused("table_rows", said, most=MAX_ROWS)
        letters += sum(len(cell) for cell in cells if isinstance(cell, str))
        if letters > MAX_UNPACKED:  # many cells of an xlsx file can refer to one long text
            raise _too_much()
        found.append((number, cells))
    if not found:
        raise _refused("table_empty", "there is no row in it")
    return found


def is_table(raw: bytes) -> bool:
    """Return whether a file is a table and not lines of JSON, judging by its beginning."""
    first = raw.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]
    parted = any(one in first for one in (b";", b",", b"\t"))
    return raw.startswith(_XLSX) or (parted and not any(one in first for one in (b"{", b"[")))


def write(given: Iterable[Event]) -> bytes:
    """Return events as CSV for a spreadsheet: one per row, with every field that any event has.

    The values are separated by ``;``, in UTF-8 with a byte order mark. A cell that a spreadsheet
    would treat as a formula is preceded by an apostrophe, and so is a cell that already begins with
    one.
    """
    events = [form.to_json(one) for one in given]
    used = {name for one in events for name in one}
    names = [
        "event",
        *dict.fromkeys(name for kind in KINDS.values() for name in form.readers(kind)),
    ]
    columns = [name for name in names if name in used] or ["event", "date", "employer"]
    out = io.StringIO()
    rows = csv.writer(out, delimiter=";", lineterminator="\r\n")
    rows.writerow(columns)
    rows.writerows([_cell(one.get(name)) for name in columns] for one in events)
    return out.getvalue().encode("utf-8-sig")


def plain(text: str) -> str:
    """Return a cell's text without the apostrophe that ``write`` added."""
    return text[1:] if text.startswith(tuple(f"'{one}" for one in (*_FORMULA, "'"))) else text


def _cell(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        text = "; ".join(map(str, value))
    elif isinstance(value, dict):
        text = "; ".join(f"{key}: {one}" for key, one in value.items())
    else:
        text = "" if value is None else str(value)
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _csv(raw: bytes) -> Iterator[list[Cell]]:
    try:
        # Excel's "Unicode text" is UTF-16.
        text = raw.decode("utf-16" if raw.startswith(_WIDE) else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    if "\0" in text:
        raise _refused("table_kind", "this is no CSV and no xlsx file")
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max((";", ",", "\t"), key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in lines:
            yield [plain(one.strip()) for one in _bounded(cells)]
    except csv.Error:
        said = f"line {lines.line_num}: a quotation mark is not closed, or stands within a cell"
        raise _refused("table_quotes", said, line=lines.line_num) from None


def _xlsx(raw: bytes) -> Iterator[list[Cell]]:
    """Yield the rows of the first sheet. openpyxl unpacks the file after its size was checked."""
    from openpyxl import load_workbook  # type: ignore[import-untyped] # slow to load, rarely needed

    broken = _refused("table_broken", "this xlsx file cannot be read; save it as CSV and try that")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            _bound(packed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and similar parts, which are not read
            book = load_workbook(_Timed(raw), read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            rows = sheet.iter_rows(max_row=LAST_ROW, max_col=MAX_COLUMNS + 1, values_only=True)
            for cells in rows:
                if cells.count(None) == len(cells):
                    yield []  # there may be a million such rows
                    continue
                yield [_of_xlsx(one) for one in _bounded(list(cells))]
    except Refused:
        raise
    except Exception:  # openpyxl can raise any exception for an untrusted file; the user is told
        raise broken from None


class _Timed(io.BytesIO):
    """The bytes of an xlsx file, which can be read for only ``MAX_SECONDS`` in total."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self._end = time.thread_time() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise _too_much()
        return super().read(size)


def _bound(packed: zipfile.ZipFile) -> None:
    """Reject an xlsx file that needs much time or memory, before any part of it is parsed.

    A part is never unpacked beyond its stated size: zipfile stops there. In every encoding that the
    parser supports, the "<" of a tag contains the same byte. An entity can expand to more tags, so
    files that declare entities are rejected; in UTF-16, zero bytes separate the letters of a
    declaration.
    """
    parts = packed.infolist()
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        said = f"unpacked, the file has more than {MAX_UNPACKED // MIB} MB; save it as CSV"
        raise _refused("table_unpacked", said, most=MAX_UNPACKED // MIB)
    total = 0
    for part in parts:
        if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _too_much()
        unpacked = packed.read(part)
        tags = unpacked.count(b"<")
        total += tags
        if total > MAX_TAGS or (tags > MAX_OTHER_TAGS and not _CELLS.fullmatch(part.filename)):
            raise _too_much()
        if b"<!ENTITY" in unpacked.replace(b"\0", b""):
            raise _too_much()


def _too_much() -> Refused:
    return _refused(
        "table_complex", "there is too much in this xlsx file to read it safely; save it as CSV"
    )


def _of_xlsx(value: Any) -> Cell:  # noqa: ANN401 - the type that openpyxl returns for a cell
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool | int | float | datetime.date):
        return value
    return plain(str(value).strip())


def _bounded(cells: list[Any]) -> list[Any]:
    if any(one not in (None, "") for one in cells[MAX_COLUMNS:]):
        said = f"there are more than {MAX_COLUMNS} columns"
        raise _refused("table_columns", said, most=MAX_COLUMNS)
    if any(isinstance(one, str) and len(one) > MAX_CELL for one in cells):
        said = f"a cell has more than {MAX_CELL:,} characters"
        raise _refused("table_cell", said, most=MAX_CELL)
    return cells[:MAX_COLUMNS]


def _refused(key: str, said: str, **values: object) -> Refused:
    return Refused((Fault(0, "the file", Sentence(said, key, **values)),))
