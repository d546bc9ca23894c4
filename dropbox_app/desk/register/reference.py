"""Generate ``EVENTS.md``, the reference of all events, from the definitions of the events."""

import inspect

from dropbox_app.desk.register import form, lines
from dropbox_app.desk.register.events import KINDS, Event

_HEAD = f"""# Events of the register

This page is made from the code. A test compares the two.

`klankbord-desk register import FILE.jsonl` reads events and `klankbord-desk register export --json`
prints them. A file is text in UTF-8 with one JSON object per line. `example.jsonl`, next to this
page, is a complete example.

- `event` is the kind. `date` is needed in every event, and `employer` where the table has it. No
  other field is needed. Leave out what you do not know; `null` counts as left out.
- A day is written as `2027-01-31`. Only these days may be later
  than today: `until`, `aftercare_on`, `destroy_on`, and the `date` of an absence or an agreement.
- An unknown event, field or word is refused, so that nothing is lost without notice.
- A file has at most {lines.MAX_FILE // 1024**2} MiB and a line at most {lines.MAX_LINE:,} bytes.
- If anything in a file is wrong, nothing in it is kept. Each fault names its line and field.
- Order: events count in the order of their dates, and those of one day in the order in which they
  came. A field in a later event replaces the same field of an earlier one.
"""


def document() -> str:
    """Return the reference as Markdown."""
    return "\n".join([_HEAD, *(_section(kind) for kind in KINDS.values())])


def _section(kind: type[Event]) -> str:
    rows = [
        f"| `{name}` | {reader.limits}{'; needed' if reader.needed else ''} |"
        for name, reader in form.readers(kind).items()
    ]
    about = inspect.cleandoc(kind.__doc__ or "").replace("``", "`")
    return "\n".join(
        [f"## `{kind.kind}`", "", about, "", "| field | holds |", "|---|---|", *rows, ""]
    )
