"""Actions on the annual report: view it, write it to a file, issue it, and make the bill."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dropbox_app.desk.actions import register, report_words
from dropbox_app.desk.annual import counting, gaps, gather, periods, render
from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual.counting import Situation
from dropbox_app.desk.annual.gaps import Gap
from dropbox_app.desk.annual.periods import Term
from dropbox_app.desk.annual.report import OwnWords, Report, as_draft
from dropbox_app.desk.annual.suppression import Figure
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import form, names
from dropbox_app.desk.register.categories import CHECKED
from dropbox_app.desk.register.events import Agreement, Employer, Event, Freeze, Joint
from dropbox_app.protocol.encoding import Json, sha256_hex

# The fields of the employer's sheet that a report uses.
FACTS = ("counsellor_kind", "scope", "reachable", "stand_in", "discussed_with")


@dataclass(frozen=True)
class Written:
    """A file for the employer. ``name`` is the suggested file name, without the employer's name."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Shown:
    """A report as shown to the counsellor alone.

    ``preview`` explains the report, and is empty once the report is issued. ``seal`` identifies
    exactly this report and is passed to ``freeze``.
    """

    report: Report
    issued: bool
    preview: tuple[str, ...]
    seal: str = ""


@dataclass(frozen=True)
class State:
    """The status of the report for one employer and year.

    ``issued`` is the day of issue. ``given_to`` is the other counsellor, if that counsellor makes
    the report. ``waits_for`` is the reason why the report cannot be made yet. If the report can be
    made now, ``issued``, ``given_to`` and ``waits_for`` are not set.
    """

    employer: str
    year: int
    issued: datetime.date | None = None
    given_to: str = ""
    waits_for: Unfit | None = None


def show(
    place: Workplace, employer: str, year: str, language: str = "nl", own: OwnWords | None = None,
    reader: str = "",
) -> Shown:  # fmt: skip
    """Return the report of a year as issued, or as it would be issued now. Raises Unfit, NotFound.

    If ``language`` is empty, the language in which the report was issued is used. If ``own`` is
    None, the counsellor's stored words are used. ``reader`` is the language of the preview.
    """
    wanted = periods.year(year)
    events = register.every(place)
    name = name_of(events, employer)
    frozen = _frozen(events, name, wanted)
    if frozen is not None:
        if language and frozen.language != language:
            raise Unfit(
                f"This report was issued in {frozen.language} and stays as it is.",
                "issued_language", language=frozen.language,
            )  # fmt: skip
        if own is not None:
            raise Unfit(
                "This report was issued already; words can no longer be added to it.",
                "issued_words",
            )
        return Shown(frozen, True, ())
    made = _draft(place, name, wanted, language, own, reader)
    return Shown(as_draft(made.report), False, made.preview, _seal(made.report))


def write(
    place: Workplace,
    employer: str,
    year: str,
    kind: str,
    language: str = "nl",
    own: OwnWords | None = None,
) -> Written:
    """Return the report as a file: md, html, pdf, csv or json. Raises Unfit, NotFound.

    If the report has not been issued, its title and file name mark it as a draft.
    """
    made = show(place, employer, year, language, own).report
    return Written(f"{made.name}.{kind}", render.report(made, kind))


def freeze(
    place: Workplace, employer: str, year: str, language: str = "nl", own: OwnWords | None = None,
    seal: str = "",
) -> None:  # fmt: skip
    """Issue a report. An issued report and the entries of its year can no longer change.

    ``seal`` is the seal of the report that the counsellor viewed. An empty ``seal`` is not checked.
    Raises Unfit if the report may not be issued, was already issued, or has changed since.
    """
    wanted = periods.year(year)
    with place.database.transaction():  # concurrent entries wait, and are then refused
        events = register.every(place)
        name = name_of(events, employer)
        made = _draft(place, name, wanted, language, own)
        if seal and seal != _seal(made.report):
            raise Unfit(
                "The report has changed since you looked at it. It was not issued: look again.",
                "report_changed",
            )
        register.record(
            place,
            Freeze(
                date=place.machine.today(),
                employer=name,
                first_year=wanted,
                last_year=wanted,
                form=made.form,
                bands={one.group or "all": _band(one) for one in made.figures},
                advice=made.advice,
                text=json.dumps(render.as_json(made.report)),
            ),
        )
        report_words.drop(place, name, wanted)


def bill(place: Workplace, employer: str, year: str, kind: str, language: str = "nl") -> Written:
    """Return the bill of a year as a file. Raises Unfit, NotFound.

    If ``language`` is empty, the language in which the report was issued is used.
    """
    events = register.every(place)
    wanted, name = periods.year(year), name_of(events, employer)
    if not language:
        issued = _frozen(events, name, wanted)
        language = issued.language if issued else "nl"
    made = render.bill(drafts.bill(events, name, wanted), language)
    return Written(f"{made.name}.{kind}", render.report(made, kind))


def states(place: Workplace) -> list[State]:
    """Return the status of the reports for all employers and years, newest year first.

    An employer without an agreement is listed with the last complete year, if the register has
    entries for that employer.
    """
    events, today = place.book().terms, place.machine.today()
    found = [
        _state(events, name, year, today)
        for name in register.employers(place)
        for year in _years(events, name, today)
    ]
    return sorted(found, key=lambda one: (-one.year, one.employer.casefold()))


def state(place: Workplace, employer: str, year: int) -> State:
    """Return the status of the report for one employer and year."""
    return _state(place.book().terms, employer, year, place.machine.today())


def empty(place: Workplace, employer: str, year: int) -> tuple[Gap, ...]:
    """Return the items that are missing from a year's report and bill."""
    return gaps.gaps(place.book().apart_from_cases, employer, year)


def agreed(place: Workplace, employer: str, year: int) -> Term | None:
    """Return the term to which a year belongs and the form that applies; None if no term exists."""
    try:
        term = periods.term_of(gather.terms(place.book().terms, employer), employer, year)
        return replace(term, form=periods.form(term))
    except Unfit:
        return None


def facts(place: Workplace, employer: str, year: int) -> Employer:
    """Return the fields of the employer's sheet that a report uses, as of the end of the year."""
    said = gather.sheet(register.every(place, employer), employer, year)
    kept = {name: said[name] for name in FACTS if name in said}
    return Employer(date=_last_day(place, year), employer=employer, **kept)


def set_facts(
    place: Workplace, employer: str, year: int, values: Mapping[str, Json],
    checklist: Mapping[str, str],
) -> None:  # fmt: skip
    """Record changes to the facts and the checklist, as of the end of the year.

    An empty field keeps its value. Raises Refused.
    """
    day = _last_day(place, year)
    had, known = form.to_json(facts(place, employer, year)), answers(place, employer, year)
    fixed: dict[str, Json] = {"date": day.isoformat(), "employer": employer}
    new = {name: values[name] for name in FACTS if values.get(name) not in (None, had.get(name))}
    items: dict[str, Json] = {
        one: said
        for one, said in checklist.items()
        if said in CHECKED and said != known.get(one, "unknown")
    }
    given: list[dict[str, Json]] = []
    given += [{"event": "employer", **fixed, **new}] if new else []
    given += [{"event": "checklist", **fixed, "items": items}] if items else []
    today = place.machine.today()
    register.record(place, *(form.parse(one, today) for one in given))


def _last_day(place: Workplace, year: int) -> datetime.date:
    return min(datetime.date(year, 12, 31), place.machine.today())


def has_price(place: Workplace, employer: str, year: int) -> bool:
    """Return whether a price was agreed for a year, so that a bill can be made."""
    return gaps.has_price(place.book().apart_from_cases, employer, year)


def answers(place: Workplace, employer: str, year: int) -> dict[str, str]:
    """Return the answers to an employer's checklist at the end of a year, by item."""
    return dict(gather.answers(register.every(place, employer), employer, year))


def _state(events: Sequence[Event], employer: str, year: int, today: datetime.date) -> State:
    told = [one for one in events if isinstance(one, Freeze | Joint) and one.employer == employer]
    for one in told:
        if year in range(one.first_year or 1, (one.last_year or 0) + 1):
            if isinstance(one, Freeze):
                return State(employer, year, issued=one.date)
            if one.given and _has_figures(events, employer, year):
                return State(employer, year, given_to=one.counsellor)
    return State(employer, year, waits_for=drafts.waits_for(events, employer, year, today))


def _has_figures(events: Sequence[Event], employer: str, year: int) -> bool:
    """Return whether a year's report has figures.

    If one band covers three years, only the report of the third year has figures.
    """
    try:
        term = periods.term_of(gather.terms(events, employer), employer, year)
        return bool(periods.figure_years(term, periods.form(term), year))
    except Unfit:
        return True  # no report can be made for this year anyway


def _years(events: Sequence[Event], employer: str, today: datetime.date) -> set[int]:
    """Return the years of an employer's agreements up to this year, and of issued reports."""
    found: set[int] = set()
    for one in events:
        if isinstance(one, Agreement) and one.employer == employer:
            last = one.until.year if one.until else today.year
            found |= set(range(one.date.year, min(last, today.year) + 1))
        elif isinstance(one, Freeze | Joint) and one.employer == employer:
            found |= set(range(one.first_year or 1, (one.last_year or 0) + 1))
    return found or {today.year - 1}


def _draft(
    place: Workplace, employer: str, year: int, language: str,
    own: OwnWords | None, reader: str = "",
) -> drafts.Draft:  # fmt: skip
    words = report_words.kept(place, employer, year).own if own is None else own
    return drafts.draft(
        place.book().apart_from_cases, employer, year, today=place.machine.today(), own=words,
        language=language or "nl", counsellor=_counsellor(place), reader=reader,
        situations=situations(place, employer),
    )  # fmt: skip


def situations(place: Workplace, employer: str) -> list[Situation]:
    """Return the situations of an employer, cached until the register changes."""
    book = place.book()
    name = f"situations {employer}"
    if name not in book.made:
        book.made[name] = counting.situations(gather.cases(book.events, employer))
    found: list[Situation] = book.made[name]
    return found


def _seal(made: Report) -> str:
    return sha256_hex(json.dumps(render.as_json(made)).encode())


def _counsellor(place: Workplace) -> str:
    """Return the counsellor's name as it appears on the cards."""
    return next((desk.state.profile.name for desk in place.desks()), "")


def name_of(events: list[Event], wanted: str) -> str:
    """Return the employer with this name, or else the only employer whose name contains it.

    Raises NotFound.
    """
    known = sorted(names.employers(events))
    if (spelled := names.spelled(known, wanted)) in known:
        return spelled
    found = [one for one in known if wanted.strip().casefold() in one.casefold()]
    if len(found) != 1:
        raise NotFound(
            f"{'More than one' if found else 'No'} employer in the register is called {wanted!a}."
            " Write the name as it is there, or record the employer first."
        )
    return found[0]


def _frozen(events: list[Event], employer: str, year: int) -> Report | None:
    for one in events:
        if not isinstance(one, Freeze) or one.employer != employer:
            continue
        if year in range(one.first_year or 0, (one.last_year or 0) + 1):
            if not one.text:
                raise Unfit(
                    f"The report of {year} was issued elsewhere; its text is not in the register.",
                    "issued_elsewhere", year=year,
                )  # fmt: skip
            return render.from_json(json.loads(one.text))
    return None


def _band(figure: Figure) -> str:
    band = figure.band
    return f"{band.low}+" if band.high is None else f"{band.low}-{band.high}"
