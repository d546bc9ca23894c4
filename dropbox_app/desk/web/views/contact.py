"""The page "Nieuw contact": record a contact in 40 seconds, even during a telephone call."""

import secrets

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import printables, register
from dropbox_app.desk.actions.printables import Printed
from dropbox_app.desk.actions.register import Added
from dropbox_app.desk.errors import NotFound
from dropbox_app.desk.register import form
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Contact
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.forms import Typed
from dropbox_app.desk.web.i18n import words
from dropbox_app.desk.web.views.posters import as_file
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("contact", __name__, url_prefix="/contact")

MINUTES = ("5", "10", "15", "20", "30", "45", "60", "90")  # choices for the mouse
MOST_CASES = 200  # cases that can be chosen here; the page of each case also leads here
ON_PAPER = ("how", "topic", "help")  # the questions that are ticked during a call
WHICH = ("none", "new", "old")  # whether the contact has no case, a new one, or an existing one


@blueprint.get("")
def new() -> ResponseReturnValue:
    """Ask for the details of today's contact, in the case that the address names, if any."""
    place = here.place()
    start: Typed = MultiDict({"date": place.machine.today().isoformat(), "which": "none"})
    names = register.employers(place)
    if len(names) == 1:
        start["employer"] = names[0]
    for name, value in here.page().take_offered("contact")[1].items():
        start[name] = value
    handle = request.args.get("case", "")
    if handle:
        found = register.case(place, here.registered("case", handle))
        # Do not use update(): it adds values, and the first value counts.
        start["employer"], start["which"], start["case"] = found.employer, "old", handle
    kept = here.page().take_typed()
    if kept is not None:
        return _page(kept, [here.told().say("unlock.kept")])
    return _page(start, [])


@blueprint.post("")
def keep() -> ResponseReturnValue:
    """Store the contact, or show the form again with the typed values and the problems."""
    place, page = here.place(), here.page()
    pressed = (request.form.get("once", ""), hash(tuple(sorted(request.form.items(multi=True)))))
    if not page.first_press(pressed):
        return redirect(url_for("contact.new"), 303)
    which, handle = request.form.get("which", ""), request.form.get("case", "")
    if request.form.get("record_nothing"):
        which = "none"
    try:
        reference = here.registered("case", handle) if which == "old" and handle else ""
        if which == "old" and not reference:
            raise Refused((Fault(0, "case", Sentence("is missing; choose one", "choose_case")),))
        made = _contact(register.case(place, reference) if reference else None)
        label = request.form.get("new_case", "") if which == "new" else None
        added = register.record_contact(place, made, reference, label)
    except NotFound:
        page.press_again(pressed)
        raise
    except forms.NOT_KEPT as error:
        page.press_again(pressed)
        problems = forms.problems(here.told(), place.machine.today(), error, "contact")
        return _page(request.form, problems), forms.status(error)
    except BaseException:
        page.press_again(pressed)
        raise
    return _done(added, made, handle if which == "old" else "")


@blueprint.post("/sheet")
def sheet() -> ResponseReturnValue:
    """Send the sheet to fill in during a call, with the words of this form."""
    try:
        return as_file(call_sheet(here.page().language))
    except KlankbordError as error:
        return _page(request.form, [sentence(here.told(), error)]), 422


def call_sheet(language: str) -> Printed:
    """Return the sheet to fill in during a call, in a language. Raises Unfit."""
    told = words(language)
    asked = forms.asked(told, "contact")
    fields = [(asked[name].label, [label for _, label in asked[name].options]) for name in ON_PAPER]
    answers = forms.asked(told, "consent")["answer"].options
    return printables.call_sheet(language, fields, [label for _, label in answers])


def _contact(of: Standing | None) -> Contact:
    """Return the contact that was typed into the form.

    In a case, the case's employer is used. Raises Refused.
    """
    employer = request.form.get("employer", "") or (of.employer if of else "")
    values = forms.given("contact", employer=employer or None)
    values |= forms.other_minutes()
    if consent := request.form.get("consent", ""):
        values["consent"] = consent
    read = form.parse(values, here.place().machine.today())
    assert isinstance(read, Contact)  # noqa: S101 - its kind was given
    return read


def _done(added: Added, made: Contact, handle: str) -> ResponseReturnValue:
    told, page = here.told(), here.page()
    day = told.day(made.date, here.place().machine.today())
    if made.minutes is None:
        page.say(told.say("contact.done", employer=made.employer, day=day))
    else:
        minutes = told.count("contact.minutes", made.minutes)
        page.say(told.say("contact.done_minutes", employer=made.employer, day=day, minutes=minutes))
    if added.left_out and not made.record_nothing:
        names = [told.say(f"field.{name}").lower() for name in added.left_out if name != "case"]
        page.say(told.say("contact.left_out", what=told.listed(names)))
    if added.case and not handle:
        handle = here.register_handle("case", added.case)
    if request.form.get("back") and handle:
        return redirect(url_for("case.show", handle=handle), 303)
    page.offer("contact", employer=made.employer, date=made.date.isoformat())
    return redirect(url_for("contact.new", done=handle or None, _anchor="main"), 303)


def _page(typed: Typed, problems: list[str]) -> str:
    place = here.place()
    cases = [one for one in register.all_cases(place) if not one.closed]
    chosen = here.registered("case", typed["case"]) if typed.get("case") else ""
    listed = [
        (here.register_handle("case", one.reference), one)
        for number, one in enumerate(cases)
        if number < MOST_CASES or one.reference == chosen
    ]
    return render_template(
        "contact.html",
        asked=forms.asked(here.told(), "contact"),
        typed=typed,
        problems=problems,
        levels=register.levels(place),
        cases=listed,
        more_cases=len(listed) < len(cases),
        minutes=MINUTES,
        which=WHICH,
        once=secrets.token_urlsafe(12),
        done=request.args.get("done", ""),
        said=here.page().take_said(),
    )
