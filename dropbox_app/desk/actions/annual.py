"""Actions on the annual report: look at it, write it, issue it, and make the bill."""

import json
from dataclasses import dataclass

from dropbox_app.desk.actions import register
from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual import periods, render
from dropbox_app.desk.annual.report import OwnWords, Report, as_draft
from dropbox_app.desk.annual.suppression import Figure
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import names
from dropbox_app.desk.register.events import Event, Freeze


@dataclass(frozen=True)
class Written:
    """A file for the employer; ``name`` is its suggested name, the same for every employer."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Shown:
    """A report for the counsellor's own eyes.

    ``preview`` explains it; empty if it was issued, since it does not change any more.
    """

    report: Report
    issued: bool
    preview: tuple[str, ...]


def show(
    place: Workplace, employer: str, year: str, language: str = "nl", own: OwnWords | None = None
) -> Shown:
    """Return the report of a year as it is, or as it would be. Raises Unfit, NotFound."""
    wanted = periods.year(year)
    events = register.every(place)
    name = name_of(events, employer)
    frozen = _frozen(events, name, wanted)
    if frozen is not None:
        if frozen.language != language:
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
    made = _draft(place, events, name, wanted, language, own)
    return Shown(as_draft(made.report), False, made.preview)


def write(
    place: Workplace,
    employer: str,
    year: str,
    kind: str,
    language: str = "nl",
    own: OwnWords | None = None,
) -> Written:
    """Return the report as a file: md, html, pdf, csv or json. Raises Unfit, NotFound.

    One that was not issued says so in its title and in its name.
    """
    made = show(place, employer, year, language, own).report
    return Written(f"{made.name}.{kind}", render.report(made, kind))


def freeze(
    place: Workplace, employer: str, year: str, language: str = "nl", own: OwnWords | None = None
) -> None:
    """Issue a report: from now on neither it nor its year can change.

    Raises Unfit if it may not be issued, or if it was.
    """
    wanted = periods.year(year)
    with place.database.transaction():  # what is recorded meanwhile waits, and is then refused
        events = register.every(place)
        name = name_of(events, employer)
        made = _draft(place, events, name, wanted, language, own)
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


def bill(place: Workplace, employer: str, year: str, kind: str, language: str = "nl") -> Written:
    """Return the bill of a year as a file. Raises Unfit, NotFound."""
    events = register.every(place)
    wanted = periods.year(year)
    made = render.bill(drafts.bill(events, name_of(events, employer), wanted), language)
    return Written(f"{made.name}.{kind}", render.report(made, kind))


def _draft(
    place: Workplace, events: list[Event], employer: str, year: int, language: str,
    own: OwnWords | None,
) -> drafts.Draft:  # fmt: skip
    return drafts.draft(
        events, employer, year, today=place.machine.today(), language=language, own=own,
        counsellor=_counsellor(place),
    )  # fmt: skip


def _counsellor(place: Workplace) -> str:
    """Return the counsellor's name as it is on the cards."""
    return next((desk.state.profile.name for desk in place.desks()), "")


def name_of(events: list[Event], wanted: str) -> str:
    """Return the employer with this exact name, or else the only one whose name contains it.

    Raises NotFound.
    """
    known = sorted(names.employers(events))
    if wanted in known:
        return wanted
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
