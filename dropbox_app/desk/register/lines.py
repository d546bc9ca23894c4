"""Events as a file: one JSON object per line, in UTF-8 (``EVENTS.md``)."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass

from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import Event
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.protocol.encoding import Json

MAX_FILE = 64 * 1024 * 1024  # bytes
MAX_LINE = 1_048_576  # bytes
MOST_FAULTS = 100  # the maximum number reported at once


@dataclass(frozen=True)
class Numbered:
    """An event, and its line number."""

    line: int
    event: Event


def read(raw: bytes, today: datetime.date) -> list[Numbered]:
    """Read all events in a file. Raises Refused with the first 100 faults of all lines.

    Empty lines and a byte order mark are skipped. Lines may end in CR LF.
    """
    found: list[Numbered] = []
    faults: list[Fault] = []
    for line, one in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not one.strip():
            continue
        try:
            found.append(Numbered(line, form.parse(_object(one, line), today, line)))
        except Refused as refused:
            faults += refused.faults
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise Refused(tuple(faults[:MOST_FAULTS]))
    return found


def write(given: Iterable[Event]) -> str:
    """Return events as lines, each with its trailing newline. ``read`` returns the same events.

    The result is ASCII, so that text from other people cannot control a terminal.
    """
    return "".join(json.dumps(form.to_json(one), separators=(", ", ": ")) + "\n" for one in given)


def _object(raw: bytes, line: int) -> dict[str, Json]:
    if len(raw) > MAX_LINE:
        raise _wrong(line, f"it has {len(raw):,} bytes; {MAX_LINE:,} is the limit")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_pairs)
    except UnicodeDecodeError:
        raise _wrong(line, "it is not text in UTF-8; save the file as UTF-8") from None
    except _Twice as twice:
        raise _wrong(line, f"{str(twice)[:40]!a} stands twice; leave out one of the two") from None
    except (ValueError, RecursionError):
        raise _wrong(line, "it is no JSON; each line is one object, as in EVENTS.md") from None
    if not isinstance(value, dict):
        raise _wrong(line, "it is no JSON object; each line begins with {")
    return value


class _Twice(Exception):
    """Raised if an object has the same field twice."""


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _wrong(line: int, sentence: str) -> Refused:
    return Refused((Fault(line, "the line", sentence),))
