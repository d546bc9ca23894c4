"""What ``doctor`` asks of a store."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from dropbox_app.server.store import IN_DATABASE
from dropbox_app.server.store.files import Withdrawn


def examine(
    run: Callable[[str], sqlite3.Cursor], files: Path, withdrawn: Withdrawn
) -> Iterator[tuple[str, str]]:
    """Pairs of what was looked at and the fault, or nothing."""
    wrong = [row[0] for row in run("PRAGMA integrity_check(5)") if row[0] != "ok"]
    wrong += [f"row of {row[0]} without its parent" for row in run("PRAGMA foreign_key_check")]
    yield "the database is whole", "; ".join(wrong)
    for setting, wanted in (("journal_mode", "wal"), ("secure_delete", 1), ("synchronous", 2)):
        found = run(f"PRAGMA {setting}").fetchone()[0]
        yield f"{setting} is {wanted}", "" if found == wanted else f"it is {found}"
    lost = 0
    for row in run(f"SELECT item, size FROM items WHERE size > {IN_DATABASE}"):  # noqa: S608 (a constant)
        path = files / row[0]
        lost += not path.exists() or path.stat().st_size != row[1]
    yield "every large file is there", f"{lost} missing or of another length" if lost else ""
    damaged = "a line of it is damaged"
    with suppress(ValueError):
        withdrawn.read()
        damaged = ""
    yield "the list of withdrawn mailboxes is readable", damaged
