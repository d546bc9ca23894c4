"""The register in memory: its events, and all data derived from them, computed once.

An open desk needs the register for every page. Reading 40,000 events again takes seconds, so
unchanged entries are reused from the previous book. The book is dropped when the desk closes.
"""

import bisect
import datetime
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from dropbox_app.desk.register import cases, form
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import (
    Agreement,
    Case,
    Employer,
    Event,
    Freeze,
    Joint,
    OfCase,
    OfEmployer,
)

Numbered = tuple[int, Event]


class Book:
    """All events in order, with their numbers. ``rows`` contains their numbers and JSON texts.

    ``older`` is the previous book. Entries that are in both books are not read again.
    """

    def __init__(self, rows: Iterable[tuple[int, str]], older: "Book | None" = None) -> None:
        had = older._read if older else {}
        self._read: dict[int, tuple[str, Event]] = {
            number: _parsed(number, text, had) for number, text in rows
        }
        self.entries: list[Numbered] = [(number, one[1]) for number, one in self._read.items()]
        self._older = older._made if older else ({}, {})
        self.made: dict[str, Any] = {}  # data that other modules derive from the events, by name

    def extended(self, rows: Iterable[tuple[int, str]]) -> "Book":
        """Return a book with more events, possibly on earlier days. This book is unchanged."""
        return self.replaced((), rows)

    def replaced(self, gone: Collection[int], rows: Iterable[tuple[int, str]]) -> "Book":
        """Return a book in which some events, by number, are replaced or removed.

        This book is unchanged.
        """
        made = Book(())
        made._read = {number: one for number, one in self._read.items() if number not in gone}
        made.entries = [one for one in self.entries if one[0] not in gone]
        made._older = self._made
        for number, text in rows:
            made._read[number] = _parsed(number, text, {})
            bisect.insort(made.entries, (number, made._read[number][1]), key=_place)
        return made

    @property
    def last(self) -> int:
        """Return the highest number."""
        return max(self._read, default=0)

    @property
    def _made(self) -> tuple[dict[str, list[Event]], dict[str, Standing]]:
        return self._of_case, self.standings

    @cached_property
    def events(self) -> list[Event]:
        """Return the events without their numbers."""
        return [event for _, event in self.entries]

    @cached_property
    def apart_from_cases(self) -> list[Event]:
        """Return the events outside any case, and an event for the name of every employer."""
        named = [one for one in self.terms if isinstance(one, Employer) and not one.group]
        return named + [one for one in self.events if not isinstance(one, OfCase)]

    @cached_property
    def _of_employer(self) -> dict[str, list[Numbered]]:
        found: dict[str, list[Numbered]] = {}
        for one in self.entries:
            if isinstance(one[1], OfEmployer):
                found.setdefault(one[1].employer, []).append(one)
        return found

    @cached_property
    def _of_case(self) -> dict[str, list[Event]]:
        found: dict[str, list[Event]] = {}
        for event in self.events:
            if isinstance(event, OfCase) and event.case:
                found.setdefault(event.case, []).append(event)
        return found

    @cached_property
    def standings(self) -> dict[str, Standing]:
        """Return every case by its reference, oldest first."""
        groups, standings = self._older
        found = {}
        for reference, events in self._of_case.items():
            same = _same(groups.get(reference, ()), events)
            found[reference] = standings[reference] if same else cases.standing(events)
        self._older = ({}, {})
        return cases.related(found)

    @cached_property
    def newest(self) -> list[Standing]:
        """Return every case, newest first."""
        return sorted(
            self.standings.values(), key=lambda one: (one.last, one.reference), reverse=True
        )

    @cached_property
    def threads(self) -> frozenset[str]:
        """Return the ids of all threads that currently belong to a case."""
        return frozenset(one.sheet.thread for one in self.standings.values())

    @cached_property
    def case_of_thread(self) -> dict[str, str]:
        """Return the case of each thread, even if a later entry gave that case another thread."""
        given = (one for one in self.events if isinstance(one, Case))
        return {one.thread: one.case for one in given if one.thread}

    @cached_property
    def sheets(self) -> dict[str, Employer]:
        """Return the sheet of every employer that an event names."""
        return cases.sheets(self.events)

    @cached_property
    def terms(self) -> list[Event]:
        """Return the events against which later ones are checked.

        The result contains agreements, issued reports, counts exchanged by two counsellors, groups,
        and an event for the name of every employer.
        """
        return self.terms_without(())

    def terms_without(self, numbers: Collection[int]) -> list[Event]:
        """Return ``terms`` as it would be without some entries, given by number."""
        called: list[Event] = []
        for name, entries in self._of_employer.items():
            left = next((event for number, event in entries if number not in numbers), None)
            if left is not None:
                called.append(Employer(date=left.date, employer=name))
        return called + [event for number, event in self._terms if number not in numbers]

    @cached_property
    def _terms(self) -> list[Numbered]:
        return [
            one
            for one in self.entries
            if isinstance(one[1], Agreement | Freeze | Joint)
            or (isinstance(one[1], Employer) and one[1].group)
        ]

    @cached_property
    def first_of_case(self) -> dict[str, int]:
        """Return the number of each case's first entry, by reference."""
        found: dict[str, int] = {}
        for number, event in self.entries:
            if isinstance(event, OfCase) and event.case:
                found.setdefault(event.case, number)
        return found

    @cached_property
    def first_of_employer(self) -> dict[str, int]:
        """Return the number of each employer's first entry, by name."""
        return {name: entries[0][0] for name, entries in self._of_employer.items()}

    def event(self, number: int) -> Event | None:
        """Return one event by its number; None if it does not exist."""
        found = self._read.get(number)
        return found[1] if found else None

    @property
    def references(self) -> Collection[str]:
        """Return the references of all cases."""
        return self._of_case.keys()

    def of_case(self, reference: str) -> list[Event]:
        """Return the events of one case, in order."""
        return self._of_case.get(reference, [])

    def at(self, employer: str) -> list[Numbered]:
        """Return the events of one employer, with their numbers."""
        return self._of_employer.get(employer, [])


def _parsed(number: int, text: str, had: Mapping[int, tuple[str, Event]]) -> tuple[str, Event]:
    known = had.get(number)
    if known is not None and known[0] == text:
        return known
    return text, form.read(json.loads(text))


def _place(one: Numbered) -> tuple[datetime.date, int]:
    return one[1].date, one[0]


def _same(older: Sequence[Event], newer: Sequence[Event]) -> bool:
    return len(older) == len(newer) and all(
        one is other for one, other in zip(older, newer, strict=True)
    )
