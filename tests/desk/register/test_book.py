"""The register in memory equals the stored one after every write and every rollback."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from dropbox_app.desk.actions import corrections, register, retention
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import cases
from dropbox_app.desk.register.book import Book
from dropbox_app.desk.storage import register as rows
from tests.desk.conftest import Office
from tests.desk.register.test_keeping import jsonl

CASES: list[dict[str, Any]] = [
    {"event": "case", "date": "2026-03-01", "employer": "V", "case": name, "label": f"Zaak {name}",
     "belongs_with": others}
    for name, others in (("K", ["L"]), ("L", []), ("M", []))
]  # fmt: skip
CONTACT: dict[str, Any] = {
    "event": "contact",
    "date": "2026-03-02",
    "employer": "V",
    "case": "K",
    "minutes": 5,
}


def bring_in(place: Workplace, *values: dict[str, Any]) -> None:
    register.bring_in(place, jsonl(*values).encode())


def fails_in_a_transaction(place: Workplace) -> None:
    with contextlib.suppress(RuntimeError), place.database.transaction():
        rows.add(place.database, [CONTACT | {"minutes": 7}])
        assert len(register.every(place)) == 5
        raise RuntimeError


def corrected_under_a_new_key(place: Workplace) -> None:
    corrections.correct(place, 4, CONTACT | {"minutes": 9})
    before = place.book()
    place.change_key_if_due()
    assert place.book() is before, "nothing is read again"


WRITES: dict[str, Callable[[Workplace], object]] = {
    "an entry of an earlier day": lambda place: bring_in(place, CONTACT | {"date": "2026-03-01"}),
    "a mark": lambda place: bring_in(place, CASES[1] | {"belongs_with": ["M"]}),
    "an entry corrected": lambda place: corrections.correct(place, 4, CONTACT | {"minutes": 9}),
    "an entry removed": lambda place: corrections.correct(place, 4, None),
    "a mark removed": lambda place: corrections.unmark(place, "K", "L", "belongs_with"),
    "a case destroyed": lambda place: retention.destroy(place, register.case(place, "K")),
    "a correction, and a new key": corrected_under_a_new_key,
    "the database under a new key": lambda place: place.database.rewrite(place.vault),
    "a write undone": fails_in_a_transaction,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_register_in_memory_agrees_with_the_database_after_each_change(
    office: Office, write: Callable[[Workplace], object]
) -> None:
    with office.open() as place:
        bring_in(place, *CASES, CONTACT)
        assert [one.name for one in register.all_cases(place)] == ["Zaak K", "Zaak M", "Zaak L"]
        write(place)
        fresh = Book(rows.events(place.database))
        assert place.book().entries == fresh.entries
        assert place.book().standings == fresh.standings == cases.standings(fresh.events)
        assert place.book().sheets == fresh.sheets


def test_unchanged_events_are_not_read_again(office: Office) -> None:
    with office.open() as place:
        bring_in(place, *CASES)
        before = place.book()
        assert place.book() is before
        bring_in(place, CONTACT)
        assert place.book() is not before
        kept = dict(before.entries)
        assert all(kept.get(n) is event for n, event in place.book().entries if n in kept)
        assert place.book().standings["M"] is before.standings["M"]
        assert json.loads(register.export(place).splitlines()[-1]) == CONTACT
