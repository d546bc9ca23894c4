"""The page on which the counsellor corrects or removes one register entry."""

import datetime
from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import corrections, register
from dropbox_app.desk.actions.corrections import OF_SIGNED
from dropbox_app.desk.register import cases, form, rules
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Contact, Event, OfCase, OfEmployer
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.forms import Typed
from dropbox_app.desk.web.i18n import Words
from dropbox_app.protocol.encoding import Json

blueprint = Blueprint("entry", __name__, url_prefix="/entry/<handle>")
MOST_CASES = 200  # cases listed on this page, into which a contact can be moved
INTO_FORM = "into"  # the name of the form that moves a contact into a case
INTO = ("old", "new")  # whether that case exists or is new


@blueprint.get("")
def show(handle: str) -> ResponseReturnValue:
    """Show the current contents of the entry in a form."""
    event = _entry(handle)
    kept = here.page().take_typed()
    if kept is None:
        return _page(handle, event, forms.typed(event), [])
    told = [here.told().say("unlock.kept")]
    if kept["form"] == INTO_FORM:
        return _page(handle, event, forms.typed(event), [], kept, told)
    return _page(handle, event, kept, told)


@blueprint.post("")
def keep(handle: str) -> ResponseReturnValue:
    """Replace the entry with the typed values."""
    event = _entry(handle)
    values = form.to_json(event)
    shown = {one.name for one in _asked(event)}
    left = {name: one for name, one in values.items() if name not in shown and name != "event"}
    given = forms.given(event.kind, shown) | left
    try:
        corrections.correct(here.place(), _number(handle), given)
        here.place().change_key_if_due()
    except forms.NOT_KEPT as error:
        return _refused(handle, event, request.form, error)
    return _done(event, "entry.kept")


@blueprint.post("/remove")
def remove(handle: str) -> ResponseReturnValue:
    """Remove the entry permanently."""
    event = _entry(handle)
    try:
        corrections.correct(here.place(), _number(handle), None)
    except forms.NOT_KEPT as error:
        return _refused(handle, event, forms.typed(event), error)
    here.place().change_key_if_due()
    return _done(event, "entry.removed")


@blueprint.post("/case")
def into_case(handle: str) -> ResponseReturnValue:
    """Move a contact without a case into an existing or a new case."""
    place, event = here.place(), _entry(handle)
    which, chosen = request.form.get("which", ""), request.form.get("case", "")
    try:
        reference = here.registered("case", chosen) if which == "old" and chosen else ""
        if which != "new" and not reference:
            raise Refused((Fault(0, "case", Sentence("is missing; choose one", "choose_case")),))
        label = request.form.get("new_case", "").strip() if which == "new" else None
        added = corrections.into_case(place, _number(handle), reference, label)
        place.change_key_if_due()
    except forms.NOT_KEPT as error:
        return _refused(handle, event, request.form, error, "case")
    here.page().say(here.told().say("entry.into_done"))
    found = here.register_handle("case", added.case)
    return redirect(url_for("case.show", handle=found, _anchor="main"), 303)


def _refused(
    handle: str, event: Event, typed: Typed, error: Exception, part: str = ""
) -> ResponseReturnValue:
    """Show the entry again. ``part`` is ``case`` if the error is about a contact's case."""
    today = here.place().machine.today()
    problems = forms.problems(here.told(), today, error, event.kind)
    if part:
        page = _page(handle, event, forms.typed(event), [], typed, problems)
    else:
        page = _page(handle, event, typed, problems)
    return page, forms.status(error)


def _done(event: Event, key: str) -> ResponseReturnValue:
    here.page().say(here.told().say(key))
    return redirect(_back(event), 303)


def _page(
    handle: str, event: Event, typed: Typed, problems: list[str],
    case_typed: Typed | None = None, case_problems: Sequence[str] = (),
) -> str:  # fmt: skip
    place, told = here.place(), here.told()
    closed = rules.closed_years(register.every(place), [event])
    case = event.case if isinstance(event, OfCase) else ""
    about = [event.employer] if isinstance(event, OfEmployer) else []
    return render_template(
        "entry.html", handle_here=handle, kind=event.kind, typed=typed, problems=problems,
        asked=_asked(event), signed=_signed(event), back=_back(event), case=case,
        about=" · ".join([*about, told.day(event.date, place.machine.today())]),
        closed=[_closed(told, one.sentence, place.machine.today()) for one in closed],
        alone=isinstance(event, Contact) and not event.case,
        nothing=isinstance(event, Contact) and bool(event.record_nothing),
        cases=_cases(event), case_typed=case_typed or MultiDict({"which": "old"}),
        case_problems=case_problems, into=INTO, into_form=INTO_FORM,
    )  # fmt: skip


def _cases(event: Event) -> list[tuple[str, Standing]]:
    """Return the cases into which a contact without a case can be moved, newest first."""
    if not isinstance(event, Contact) or event.case or event.record_nothing:
        return []
    found = register.all_cases(here.place(), event.employer)
    return [(here.register_handle("case", one.reference), one) for one in found[:MOST_CASES]]


def _closed(told: Words, said: str, today: datetime.date) -> str:
    values = said.values if isinstance(said, Sentence) else {}
    day = values.get("day")
    when = told.date(day, today) if isinstance(day, datetime.date) else ""
    year = values.get("year", "")
    if "other" in values:
        return told.say("entry.given", year=year, day=when, other=values["other"])
    return told.say("entry.closed", year=year, day=when)


def _asked(event: Event) -> list[forms.Asked]:
    """Return the fields kept at the employer's level of recording, and others with a value."""
    employer = event.employer if isinstance(event, OfEmployer) else ""
    level = cases.level(register.sheet(here.place(), employer))
    there = form.to_json(event)
    kept = forms.asked(here.told(), event.kind, level)
    every = forms.asked(here.told(), event.kind)
    return [
        one
        for name, one in every.items()
        if (name in kept or name in there) and (name in OF_SIGNED or not cases.is_signed(event))
    ]


def _signed(event: Event) -> list[tuple[str, str, Json]]:
    """Return the fields that the reporter signed (label, field, value); [] for other entries."""
    if not cases.is_signed(event):
        return []
    there = form.to_json(event)
    every = forms.asked(here.told(), event.kind).items()
    return [(one.label, name, there[name]) for name, one in every
            if name in there and name not in OF_SIGNED]  # fmt: skip


def _back(event: Event) -> str:
    if isinstance(event, OfCase) and event.case:
        return url_for("case.show", handle=here.register_handle("case", event.case))
    return url_for("today.today")


def _entry(handle: str) -> Event:
    return corrections.entry(here.place(), _number(handle))


def _number(handle: str) -> int:
    return int(here.registered("entry", handle))
