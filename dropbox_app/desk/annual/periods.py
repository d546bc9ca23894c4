"""Which reports may be issued: complete calendar years, each once, in the agreed form.

A report that breaks a rule is rejected, not adapted. If two reports overlap, or differ in form
within a term, subtracting one from the other reveals what each hides.
"""

import datetime
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dropbox_app.desk.annual.suppression import TERM_YEARS, Form, form_for, may_have_term_band
from dropbox_app.desk.errors import Unfit

_YEAR = re.compile(r"[12][0-9]{3}")


@dataclass(frozen=True)
class Term:
    """One appointment at one employer.

    ``headcount`` is the number of people at its start; 0 if it was not recorded. ``last_year`` is
    the last calendar year that it covers. ``form`` is the agreed form; None means the form for the
    headcount. ``term_band``: the agreement has a single band for three years (form A). ``family``:
    the groups above this employer and the members below it, at any level. ``shared_with`` is the
    other counsellor of a joint report; "" if there is none.
    """

    employer: str
    first_year: int
    last_year: int
    headcount: int
    form: Form | None = None
    term_band: bool = False
    family: frozenset[str] = frozenset()
    shared_with: str = ""


@dataclass(frozen=True)
class Issued:
    """An issued report, which can no longer change.

    ``figures``: the calendar years whose situations are in the band or bands that the report
    printed.
    """

    employer: str
    year: int
    form: Form
    figures: range = range(0)


def year(text: str) -> int:
    """Return the typed calendar year. Raises Unfit for a half-year, a quarter or a range."""
    if not _YEAR.fullmatch(text.strip()):
        raise Unfit(
            "A report is about one whole calendar year: write four digits, such as 2026. Halves,"
            " quarters and ranges would show, beside the year, what happened when.",
            "whole_year",
        )
    return int(text)


def form(term: Term) -> Form:
    """Return the form of every report of a term. Raises Unfit."""
    if not term.headcount:
        raise Unfit(
            f"The headcount of {term.employer} is not written down. It decides the form of the"
            " report and is agreed before the term begins: it belongs to the agreement.",
            "no_headcount", employer=term.employer,
        )  # fmt: skip
    fitting = form_for(term.headcount)
    if term.form is not None and term.form > fitting:
        raise Unfit(
            f"Form {term.form} shows more than {term.headcount} people allow: {fitting} is the"
            " widest form here.",
            "form_wide", form=term.form, most=fitting, headcount=term.headcount,
        )  # fmt: skip
    chosen = term.form or fitting
    if term.term_band and not (chosen is Form.A and may_have_term_band(term.headcount)):
        raise Unfit(
            "One band over three years exists for 50 to 249 people in form A alone.",
            "term_band",
        )
    if term.term_band and term.last_year - term.first_year + 1 < TERM_YEARS:
        raise Unfit(
            f"The agreement with {term.employer} promises one band over three years, and has"
            f" {term.first_year} to {term.last_year} alone to report on. Agree on a longer term,"
            " or on no band.",
            "term_short", employer=term.employer, first=term.first_year, last=term.last_year,
        )  # fmt: skip
    return chosen


def term_of(terms: Sequence[Term], employer: str, wanted: int) -> Term:
    """Return the term to which a report of this year belongs.

    A calendar year in which one term ends and another begins belongs to the first, so that no year
    has two forms. The second term then begins with the following year. Raises Unfit if there is no
    term, or if the terms contradict each other.
    """
    own = sorted((one for one in terms if one.employer == employer), key=lambda t: t.first_year)
    for before, after in itertools.pairwise(own):
        overlap = after.first_year < before.last_year
        changed = (after.headcount, after.form, after.term_band, after.shared_with) != (
            before.headcount, before.form, before.term_band, before.shared_with,
        )  # fmt: skip
        if overlap and changed:
            raise Unfit(
                f"Two terms of {employer} overlap, in {after.first_year}, and differ in form,"
                " headcount or counsellors. A form stays for the whole term: end the first term"
                " before the second begins.",
                "form_changed", employer=employer, year=after.first_year,
            )  # fmt: skip
    reached = 0
    for one in own:
        if one.first_year <= wanted <= one.last_year:
            return replace(one, first_year=max(one.first_year, reached + 1))
        reached = max(reached, one.last_year)
    raise Unfit(
        f"There is no appointment at {employer} in {wanted}. Look at its dates.",
        "no_term", employer=employer, year=wanted,
    )  # fmt: skip


def check(
    terms: Sequence[Term],
    issued: Sequence[Issued],
    employer: str,
    wanted: int,
    today: datetime.date,
) -> Term:
    """Return the term for a report to be issued now.

    Raises Unfit with a sentence that says what to do.
    """
    term = term_of(terms, employer, wanted)
    chosen = form(term)
    if today <= datetime.date(wanted, 12, 31):
        raise Unfit(
            f"{wanted} is not over. The report of a year is made from 1 January {wanted + 1} on.",
            "year_open", year=wanted, next=wanted + 1,
        )  # fmt: skip
    if any(one.employer == employer and one.year == wanted for one in issued):
        raise Unfit(
            f"The report of {employer} for {wanted} was issued already and stays as it is. A"
            " second one would show, beside the first, what changed.",
            "issued_already", employer=employer, year=wanted,
        )  # fmt: skip
    _refuse_nested(issued, term)
    _refuse_overlap(issued, term, chosen, wanted)
    for one in issued:
        within = term.first_year <= one.year <= term.last_year
        if one.employer == employer and within and one.form is not chosen:
            raise Unfit(
                f"The report for {one.year} had form {one.form}, and the same term goes on: the"
                f" form stays {one.form} until the term ends in {term.last_year}.",
                "form_changed_issued", form=one.form, year=one.year, until=term.last_year,
            )  # fmt: skip
    return term


def _refuse_nested(issued: Sequence[Issued], term: Term) -> None:
    """Reject reports at two levels of a group: only the group or only its members may have one."""
    other = next((one.employer for one in issued if one.employer in term.family), "")
    if other:
        raise Unfit(
            f"{other} had a report already, and {term.employer} belongs to the same group. A"
            " group gets a report as a whole, or each member its own, never both: the one"
            " subtracted from the other would show the rest.",
            "nested", other=other, employer=term.employer,
        )  # fmt: skip


def _refuse_overlap(issued: Sequence[Issued], term: Term, chosen: Form, wanted: int) -> None:
    """Reject a year that another band covers, because a later agreement can shift the periods."""
    years = figure_years(term, chosen, wanted)
    other = next(
        (i for i in issued if i.employer == term.employer and _meet(i.figures, years)), None
    )
    if other:
        raise Unfit(
            f"The report for {other.year} had a band of {other.figures[0]} to"
            f" {other.figures[-1]}, and this one would have one of {years[0]} to {years[-1]}. Two"
            " bands that overlap show what happened in one year. Correct the agreement whose"
            " first day moved these years.",
            "bands_overlap", year=other.year, first=years[0], last=years[-1],
        )  # fmt: skip


def _meet(one: range, other: range) -> bool:
    return bool(set(one) & set(other))


def figure_years(term: Term, chosen: Form, wanted: int) -> range:
    """Return the calendar years of the figures in a year's report; empty if it has none."""
    if chosen is not Form.A:
        return range(wanted, wanted + 1)
    return term_band_years(term, wanted) or range(0)


def term_band_years(term: Term, wanted: int) -> range | None:
    """Return the three calendar years whose band the report of ``wanted`` shows, or None.

    The periods of three years are counted from the first year of the term. The periods do not
    overlap and do not extend beyond the term.
    """
    if not term.term_band:
        return None
    at = wanted - term.first_year
    if at % TERM_YEARS != TERM_YEARS - 1:
        return None
    return range(wanted - TERM_YEARS + 1, wanted + 1)
