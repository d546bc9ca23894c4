"""The figures about contacts that a report shows: three forms, and bands at least ten wide.

The headcount at the start of an appointment determines the form, before any case can be counted.
The lowest band includes zero, and every band is at least ten wide. Even after known cases are
subtracted, the remaining range is never entirely within 1 to 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import MAIN_GROUPS

TERM_YEARS = 3  # calendar years of the only band that form A may have

_B_FROM = 250  # people
_C_FROM = 1_000
_TERM_BAND_FROM = 50


class Form(StrEnum):
    """The amount of detail about contacts in a report."""

    A = "A"  # no figure
    B = "B"  # one band a calendar year
    C = "C"  # one band per calendar year for each main group


@dataclass(frozen=True)
class Band:
    """A range of counts, including both ends. ``high`` is None if it has no upper end."""

    low: int
    high: int | None

    def holds(self, count: int) -> bool:
        """Return whether a count is in this band."""
        return self.low <= count and (self.high is None or count <= self.high)


BANDS = (Band(0, 9), Band(10, 19), Band(20, 39), Band(40, None))


@dataclass(frozen=True)
class Figure:
    """One printed band. ``group`` is "" if it covers all groups."""

    group: str
    band: Band


def form_for(headcount: int) -> Form:
    """Return the form for an employer with this many people.

    Raises Unfit if ``headcount`` is less than 1.
    """
    if headcount < 1:
        raise Unfit("The headcount is a whole number of people, one or more.", "headcount")
    if headcount < _B_FROM:
        return Form.A
    return Form.B if headcount < _C_FROM else Form.C


def may_have_term_band(headcount: int) -> bool:
    """Return whether the agreement may promise a band for three years (50 to 249 people)."""
    return _TERM_BAND_FROM <= headcount < _B_FROM


def band(count: int) -> Band:
    """Return the band that includes a count of situations."""
    return next(one for one in BANDS if one.holds(count))


def year_figures(form: Form, counts: Mapping[str, int]) -> tuple[Figure, ...]:
    """Return the figures of one calendar year.

    ``counts`` maps each of MAIN_GROUPS to its situations; a missing group counts as zero. Form C
    shows no total, form B only the total, and form A nothing.
    """
    if form is Form.A:
        return ()
    if form is Form.B:
        return (Figure("", band(sum(counts.values()))),)
    return tuple(Figure(group, band(counts.get(group, 0))) for group in MAIN_GROUPS)


def term_figure(total: int) -> Figure:
    """Return the one band that form A may show, for ``total`` situations in three years."""
    return Figure("", band(total))
