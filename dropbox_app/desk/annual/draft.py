"""Make a report and a bill from the register, or explain why that is impossible."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk.annual import bill as bills
from dropbox_app.desk.annual import (
    checklist,
    counting,
    gather,
    periods,
    preview,
    suppression,
    words,
)
from dropbox_app.desk.annual.counting import Situation
from dropbox_app.desk.annual.report import OwnWords, Report, build
from dropbox_app.desk.annual.suppression import Figure, Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import names
from dropbox_app.desk.register.categories import MAIN_GROUPS
from dropbox_app.desk.register.events import Employer, Event


@dataclass(frozen=True)
class Draft:
    """A report that may be issued, with information that only the counsellor sees.

    ``advice`` lists the items that next year's report will evaluate. ``preview`` explains the
    report; the employer sees none of it.
    """

    report: Report
    form: Form
    figures: tuple[Figure, ...]
    advice: tuple[str, ...]
    preview: tuple[str, ...]


def draft(
    events: Sequence[Event],
    employer: str,
    year: int,
    *,
    today: datetime.date,
    counsellor: str,
    language: str,
    own: OwnWords | None = None,
    joint: Mapping[str, int] | None = None,
    reader: str = "",
    situations: Sequence[Situation] | None = None,
) -> Draft:
    """Return the report of one calendar year.

    ``counsellor`` is the counsellor's name, and ``own`` their words for forms B and C. ``joint``
    contains the situations of the employer's other counsellor, for the years of ``counted_years``;
    if None, the imported counts are used. Only the sum is converted into bands, and this
    counsellor's part leaves out the situations that the colleague counts. ``reader`` is the
    language of the preview, if it differs from the report's. ``situations`` are those of the
    employer, if already derived; ``events`` then need not contain cases. Raises Unfit with a
    sentence that says what to do.
    """
    term = term_for(events, employer, year, today)
    form = periods.form(term)
    joint = _joint(events, term, form, year) if joint is None else joint
    _check_joint(joint or {})
    if situations is None:
        situations = counting.situations(gather.cases(events, employer))
    counts = _counts(situations, counted_years(term, year), joint)
    figures = _figures(form, term, year, counts.total)
    answers = gather.answers(events, employer, year)
    advice = checklist.advice(answers)
    last = checklist.followed(gather.advised(events, employer, year - 1), answers)
    seen = gather.seen(events, term, form, year, counsellor)
    written = own or OwnWords()
    made = build(seen, figures, advice, last, written, language)
    avoid = [name for one in events if isinstance(one, Employer) and one.employer == employer
             for name in one.avoid]  # fmt: skip
    titles = [] if form is Form.A else [one.title for one in seen.trainings]
    checked = (written.signals, written.bottlenecks, *titles)
    found = dict.fromkeys(one for text in checked for one in words.check(text, departments=avoid))
    why = preview.preview(seen, figures, counts, advice, [*found], term.shared_with,
                          reader or language)  # fmt: skip
    why += preview.near(names.near(names.employers(events), employer), reader or language)
    return Draft(made, form, figures, advice, tuple(why))


def term_for(
    events: Sequence[Event], employer: str, year: int, today: datetime.date
) -> periods.Term:
    """Return the term under which a report may be made now.

    Raises Unfit with a sentence that says what to do. ``events`` may be limited to those against
    which later ones are checked (``Book.terms``).
    """
    if twice := names.same(names.employers(events), employer):
        raise Unfit(
            f"The register has {employer} as {twice[0]} too. Under two names it would get two"
            " reports, and each would count a part. Make them one: 'register rename'.",
            "two_names", employer=employer, other=twice[0],
        )  # fmt: skip
    terms, issued = gather.terms(events, employer), gather.issued(events)
    return periods.check(terms, issued, employer, year, today)


def waits_for(
    events: Sequence[Event], employer: str, year: int, today: datetime.date
) -> Unfit | None:
    """Return the reason why no report of a year can be made now; None if one can be made.

    ``events`` is as for ``term_for``. Faults in the counsellor's words or in a field of the report
    are found only by ``draft``.
    """
    try:
        term = term_for(events, employer, year, today)
        _joint(events, term, periods.form(term), year)
    except Unfit as reason:
        return reason
    return None


def bill(events: Sequence[Event], employer: str, year: int) -> bills.Bill:
    """Return the bill of a calendar year. Raises Unfit if there is no term or no fixed price."""
    term = periods.term_of(gather.terms(events, employer), employer, year)
    price, ordered = gather.price(events, term), gather.ordered(events, employer)
    form = term.form or (suppression.form_for(term.headcount) if term.headcount else Form.A)
    return bills.bill(employer, year, form, price, ordered)


def counted_years(term: periods.Term, year: int) -> range:
    """Return the calendar years whose situations are in the report of a year."""
    return periods.term_band_years(term, year) or range(year, year + 1)


def joint_years(events: Sequence[Event], employer: str, year: int, today: datetime.date) -> range:
    """Return the calendar years whose counts another counsellor needs for a joint report.

    ``events`` is as for ``term_for``. Raises Unfit if that report has no figures, or if the
    agreement names no other counsellor.
    """
    term = term_for(events, employer, year, today)
    if not term.shared_with:
        raise Unfit(
            f"The agreement with {employer} names no other counsellor: nobody needs these counts.",
            "joint_alone", employer=employer,
        )  # fmt: skip
    years = periods.figure_years(term, periods.form(term), year)
    if not years:
        raise Unfit(
            f"The report of {employer} for {year} has no figures, so no counts are given away.",
            "joint_none", employer=employer, year=year,
        )  # fmt: skip
    return years


def joint_counts(
    events: Sequence[Event], employer: str, year: int, today: datetime.date
) -> tuple[range, Mapping[str, int]]:
    """Return the years of ``joint_years``, and their situations by main group. Raises Unfit.

    Situations that the other counsellor counts are left out.
    """
    years = joint_years(events, employer, year, today)
    return years, counting.counts(gather.cases(events, employer), years, joint=True)


def _joint(
    events: Sequence[Event], term: periods.Term, form: Form, year: int
) -> Mapping[str, int] | None:
    """Return the counts that were imported from the other counsellor of a shared employer.

    Two separate reports could be subtracted from each other, so one report covers both counts. A
    report without figures needs no counts, so the result is None, as for a report by one
    counsellor. Exchanged counts are used regardless of what the agreement says now.
    """
    years = periods.figure_years(term, form, year)
    found = gather.exchanged(events, term.employer, years) if years else []
    given = next((one for one in reversed(found) if one.given), None)
    if given is not None:
        raise Unfit(
            f"Your counts of {year} at {term.employer} were given to {given.counsellor}, who makes"
            " the report. A second one would tell, beside the first, what both hide.",
            "joint_given", employer=term.employer, year=year, other=given.counsellor,
        )  # fmt: skip
    if found and not term.shared_with:
        other = found[-1].counsellor
        raise Unfit(
            f"You took in the counts of {other} at {term.employer}, and the agreement names no"
            " other counsellor. A report without these counts would tell, beside a joint one, what"
            " both hide. Name the other counsellor in the agreement (shared_with).",
            "joint_unshared", employer=term.employer, other=other,
        )  # fmt: skip
    if not term.shared_with or not years:
        return None
    same = [one for one in found if (one.first_year, one.last_year) == (years[0], years[-1])]
    if not same:
        raise Unfit(
            f"The report of {term.employer} is made together with {term.shared_with}: one of each"
            " counsellor would tell, beside the other, what both hide. Take in the counts of"
            f" {term.shared_with} first ('annual counts import'), or give away yours.",
            "joint_missing", employer=term.employer, other=term.shared_with,
        )  # fmt: skip
    return same[-1].situations


def _check_joint(joint: Mapping[str, int]) -> None:
    for group, count in joint.items():
        if group not in MAIN_GROUPS or count < 0:
            raise Unfit("The other counsellor's counts are not whole numbers by main group.",
                        "joint_wrong")  # fmt: skip


def _counts(
    situations: Sequence[Situation], years: range, joint: Mapping[str, int] | None
) -> preview.Counts:
    """Return this counsellor's counts, plus those in ``joint`` unless it is None."""
    own = counting.counted(situations, years)
    part = counting.counted(situations, years, joint=joint is not None)
    return preview.Counts(
        total=Counter(part) + Counter(joint or {}),
        held=sum(one.year in years for one in situations) - sum(own.values()),
        by_colleague=counting.by_colleague(situations, years),
        is_joint=joint is not None,
    )


def _figures(
    form: Form, term: periods.Term, year: int, counts: Mapping[str, int]
) -> tuple[Figure, ...]:
    if form is Form.A and periods.term_band_years(term, year):
        return (suppression.term_figure(sum(counts.values())),)
    return suppression.year_figures(form, counts)
