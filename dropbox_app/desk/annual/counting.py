"""Count situations: cases that belong together count once, in the year of the first case.

A situation is left out if the employer has received a formal complaint or legal report about it.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """The facts about a case that are used for counting.

    ``key`` is unique among the cases of one employer, including destroyed ones. ``together`` is the
    counsellor's private mark: cases with the same mark are one situation. ``held_since`` is the day
    on which the employer received a formal complaint or legal report about it.
    """

    key: str
    opened: datetime.date
    group: str
    together: str = ""
    held_since: datetime.date | None = None


@dataclass(frozen=True)
class Situation:
    """Cases that belong together. Year and group are those of the first case."""

    year: int
    group: str
    held_since: datetime.date | None


def situations(cases: Iterable[Case]) -> list[Situation]:
    """Return the situations of the cases, in the order in which they began."""
    marked: dict[tuple[bool, str], list[Case]] = {}
    for case in sorted(cases, key=lambda one: (one.opened, one.key)):
        name = (True, case.together) if case.together else (False, case.key)
        marked.setdefault(name, []).append(case)
    return [_situation(group) for group in marked.values()]


def counts(cases: Iterable[Case], years: range) -> Mapping[str, int]:
    """Return the number of situations of each group that began in these calendar years.

    A situation is left out if the employer had received a complaint about it by the last day of the
    last year, because the employer can count such situations itself.
    """
    return counted(situations(cases), years)


def counted(every: Iterable[Situation], years: range) -> Mapping[str, int]:
    """Like ``counts``, but take situations instead of cases."""
    last = datetime.date(years[-1], 12, 31)
    return Counter(
        one.group
        for one in every
        if one.year in years and not (one.held_since and one.held_since <= last)
    )


def _situation(cases: list[Case]) -> Situation:
    held = [case.held_since for case in cases if case.held_since]
    return Situation(cases[0].opened.year, cases[0].group, min(held, default=None))
