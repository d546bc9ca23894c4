"""The pages of employers ("Werkgevers"): sheet, agreements, status and hours of each."""

from collections.abc import Callable, Mapping, Sequence

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import corrections, register
from dropbox_app.desk.register import cases, form, hours, names
from dropbox_app.desk.register.categories import CHECKED, CHECKLIST
from dropbox_app.desk.register.events import (
    Activity,
    Advice,
    Agreement,
    Checklist,
    Contact,
    Employer,
    Event,
    Hours,
    Statistic,
)
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.forms import Typed
from dropbox_app.protocol.encoding import Json

blueprint = Blueprint("employers", __name__, url_prefix="/employers")


_TIMED = (Contact, Statistic, Advice, Activity, Hours)  # the events in the account of hours


@blueprint.get("")
def employers() -> ResponseReturnValue:
    """List the employers, and ask for the name of a new one."""
    return _list("", [])


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Start the sheet of a new employer."""
    place = here.place()
    name = " ".join(request.form.get("employer", "").split())
    known = register.employers(place)
    name = names.spelled(known, name)
    if name not in known:
        try:
            values = {"date": place.machine.today().isoformat(), "employer": name}
            made = form.parse({"event": "employer", **values}, place.machine.today())
            register.record(place, made)
        except forms.NOT_KEPT as error:
            problems = forms.problems(here.told(), place.machine.today(), error, "employer")
            return _list(name, problems), forms.status(error)
    handle = here.register_handle("employer", name)
    return redirect(url_for("employers.sheet", handle=handle), 303)


def _list(typed: str, problems: list[str]) -> str:
    place = here.place()
    open_cases: dict[str, int] = {}
    for one in register.all_cases(place):
        if not one.closed:
            open_cases[one.employer] = open_cases.get(one.employer, 0) + 1
    return render_template(
        "employers.html", typed=typed, problems=problems,
        rows=[(here.register_handle("employer", name), name, level, open_cases.get(name, 0))
              for name, level in register.levels(place).items()],
        said=here.page().take_said(),
    )  # fmt: skip


@blueprint.get("/<handle>")
def sheet(handle: str) -> ResponseReturnValue:
    """Show one employer."""
    kept = here.page().take_typed()
    if kept is None:
        return _page(handle, "", MultiDict(), [])
    return _page(handle, kept["form"], kept, [here.told().say("unlock.kept")])


@blueprint.post("/<handle>/same")
def same(handle: str) -> ResponseReturnValue:
    """Explain the effect of merging two employers; merge them after confirmation."""
    place, told, name = here.place(), here.told(), here.registered("employer", handle)
    other = here.registered("employer", request.form.get("other", ""))
    if not request.form.get("confirmed"):
        count = len(register.every(place, name))
        return render_template(
            "employer_same.html", handle_here=handle, name=name, other=other, count=count,
            other_handle=request.form["other"],
        )  # fmt: skip
    try:
        register.rename(place, name, other)
        place.change_key_if_due()
    except forms.NOT_KEPT as error:
        problems = forms.problems(told, place.machine.today(), error, "agreement")
        return _page(handle, "same", MultiDict(), problems), forms.status(error)
    here.page().say(told.say("employer.same_done", name=name, other=other))
    merged = here.register_handle("employer", other)
    return redirect(url_for("employers.sheet", handle=merged, _anchor="main"), 303)


@blueprint.post("/<handle>/<what>")
def keep(handle: str, what: str) -> ResponseReturnValue:
    """Store the sheet, a new agreement, or the checklist."""
    if what not in _FORMS:
        abort(404)
    place = here.place()
    name = here.registered("employer", handle)
    try:
        _FORMS[what](name)
        place.change_key_if_due()
    except forms.NOT_KEPT as error:
        problems = forms.problems(here.told(), place.machine.today(), error, what)
        return _page(handle, what, request.form, problems), forms.status(error)
    here.page().say(here.told().say(f"employer.kept_{what}"))
    return redirect(url_for("employers.sheet", handle=handle, _anchor="main"), 303)


def _sheet(name: str) -> None:
    shown = forms.ASKED["employer"]
    corrections.set_employer(here.place(), name, forms.given("employer", shown), shown)


def _agreement(name: str) -> None:
    place = here.place()
    read = form.parse(forms.given("agreement", employer=name), place.machine.today())
    register.record(place, read)


def _checklist(name: str) -> None:
    place = here.place()
    had = _answers(name)
    new: dict[str, Json] = {
        one: answer
        for one in CHECKLIST
        if (answer := request.form.get(one, "")) in CHECKED and answer != had.get(one, "unknown")
    }
    if new:
        register.record(
            place,
            form.parse(
                {"event": "checklist", "date": place.machine.today().isoformat(),
                 "employer": name, "items": new},
                place.machine.today(),
            ),
        )  # fmt: skip


_FORMS: Mapping[str, Callable[[str], None]] = {
    "employer": _sheet, "agreement": _agreement, "checklist": _checklist,
}  # fmt: skip


def _page(handle: str, refused: str, typed: Typed, problems: list[str]) -> str:
    place, told = here.place(), here.told()
    name = here.registered("employer", handle)
    if name not in register.employers(place):
        abort(404)
    today = place.machine.today()
    events = register.every(place, name)
    known = register.sheet(place, name) or Employer(date=today, employer=name)
    agreed = [one for one in events if isinstance(one, Agreement)]
    now = cases.agreement_on(events, name, today)
    work = [(number, event) for number, event in reversed(register.numbered(place, name))
            if _is_without_case(event)]  # fmt: skip
    years = {event.date.year for event in events if isinstance(event, _TIMED)} | {today.year}
    year = next((one for one in years if str(one) == request.args.get("year")), today.year)
    then = now if year == today.year else _agreed_in(agreed, year)
    used = hours.minutes(events, name, year)
    start: Typed = MultiDict({"date": today.isoformat()})
    return render_template(
        "employer.html",
        handle_here=handle,
        name=name,
        level=cases.level(known),
        sheet={
            key: one for key, one in form.to_json(known).items() if key in forms.ASKED["employer"]
        },
        asked={kind: forms.asked(told, kind) for kind in ("employer", "agreement")},
        typed={
            "employer": typed if refused == "employer" else forms.typed(known),
            "agreement": typed if refused == "agreement" else start,
        },
        refused=refused,
        problems=problems,
        now=form.to_json(now) if now else {},
        agreements=[
            (here.register_handle("entry", str(number)), event)
            for number, event in reversed(register.numbered(place, name))
            if isinstance(event, Agreement)
        ],
        fixed=bool(agreed),
        answers=_answers(name),
        checklist=CHECKLIST,
        checked=CHECKED,
        used={kind: round(minutes / 60, 1) for kind, minutes in used.items()},
        used_all=round(sum(used.values()) / 60, 1),
        work=[
            (here.register_handle("entry", str(number)), event)
            for number, event in work
            if event.date.year == year
        ],
        year=str(year),
        other_years=[str(one) for one in sorted(years - {year}, reverse=True)],
        agreed_hours=then.hours if then else None,
        others=[
            (here.register_handle("employer", one), one)
            for one in register.employers(place)
            if one != name
        ],
        near=names.near(register.employers(place), name),
        said=here.page().take_said(),
    )


def _agreed_in(agreed: Sequence[Agreement], year: int) -> Agreement | None:
    """Return the newest agreement that was in force on a day of a year."""
    there = [
        one
        for one in agreed
        if one.date.year <= year and (one.until is None or year <= one.until.year)
    ]
    return there[-1] if there else None


def _is_without_case(event: Event) -> bool:
    if isinstance(event, Contact):
        return not event.case
    return isinstance(event, Advice | Activity | Hours)


def _answers(name: str) -> dict[str, str]:
    """Return the newest answer to each question about an employer."""
    found: dict[str, str] = {}
    for event in register.every(here.place(), name):
        if isinstance(event, Checklist):
            found |= event.items
    return found
