"""Count situations: cases that belong together count once, in the year of the first case.

A situation is left out if the employer has received a formal complaint or legal report about it. A
situation that a colleague counts is left out of this counsellor's part of a joint report.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """The facts about a case that are used for counting.

    ``key`` is unique among the cases of one employer, including destroyed ones. ``together`` is the
    counsellor's private mark: cases with the same mark are one situation. ``held_since`` is the day
    on which the employer received a formal complaint or legal report about it. ``colleague_counts``
    is another private mark: the other counsellor of a joint report counts the case.
    """

    key: str
    opened: datetime.date
    group: str
    together: str = ""
    held_since: datetime.date | None = None
    colleague_counts: bool = False


@dataclass(frozen=True)
class Situation:
    """Cases that belong together. The year and the group are those of the first case.

    If a colleague counts one of the cases, the colleague counts the whole situation.
    """

    year: int
    group: str
    held_since: datetime.date | None
    colleague_counts: bool = False


def situations(cases: Iterable[Case]) -> list[Situation]:
    """Return the situations of the cases, in the order in which they began."""
    marked: dict[tuple[bool, str], list[Case]] = {}
    for case in sorted(cases, key=lambda one: (one.opened, one.key)):
        name = (True, case.together) if case.together else (False, case.key)
        marked.setdefault(name, []).append(case)
    return [_situation(group) for group in marked.values()]


def counts(cases: Iterable[Case], years: range, *, joint: bool = False) -> Mapping[str, int]:
    """Return the number of situations of each group that began in these calendar years.

    A situation is left out if the employer had received a complaint about it by the last day of the
    last year, because the employer can count such situations itself. ``joint``: the counts are part
    of a joint report, so the situations that the colleague counts are left out too.
    """
    return counted(situations(cases), years, joint=joint)


def counted(every: Iterable[Situation], years: range, *, joint: bool = False) -> Mapping[str, int]:
    """Return the same as ``counts``, but from situations instead of cases."""
    return Counter(one.group for one in _free(every, years) if not (joint and one.colleague_counts))


def by_colleague(every: Iterable[Situation], years: range) -> int:
    """Return how many situations of these years are marked as counted by a colleague.

    The number excludes situations about which the employer received a complaint, because no report
    counts them.
    """
    return sum(one.colleague_counts for one in _free(every, years))


def _free(every: Iterable[Situation], years: range) -> Iterator[Situation]:
    """Yield the situations of these years about which the employer received no complaint."""
    last = datetime.date(years[-1], 12, 31)
    for one in every:
        if one.year in years and not (one.held_since and one.held_since <= last):
            yield one


def _situation(cases: list[Case]) -> Situation:
    held = [case.held_since for case in cases if case.held_since]
    return Situation(
        cases[0].opened.year, cases[0].group, min(held, default=None),
        any(case.colleague_counts for case in cases),
    )  # fmt: skip
