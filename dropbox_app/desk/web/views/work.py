"""The page of other work ("Ander werk"): advice, trainings, travel and professional development."""

import secrets

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import register
from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import KINDS, Event, OfEmployer
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.forms import Typed

blueprint = Blueprint("work", __name__, url_prefix="/work")

WORK = ("advice", "activity", "hours", "upkeep", "certificate", "absence")
MINUTES = ("15", "30", "45", "60", "90", "120", "180", "240")  # the choices on the page
MOST_SHOWN = 20  # entries without an employer


@blueprint.get("")
def work() -> ResponseReturnValue:
    """Show the form for work that is not a contact with a reporter."""
    kept = here.page().take_typed()
    if kept is None:
        last, fields = here.page().take_offered(*WORK)
        return _page(last, MultiDict(fields), [])
    return _page(kept["form"], kept, [here.told().say("unlock.kept")])


@blueprint.post("/<kind>")
def keep(kind: str) -> ResponseReturnValue:
    """Record the work."""
    if kind not in WORK:
        abort(404)
    place, page, told = here.place(), here.page(), here.told()
    today = place.machine.today()
    pressed = (request.form.get("once", ""), hash((kind, *sorted(request.form.items(multi=True)))))
    if not page.first_press(pressed):
        return redirect(url_for("work.work"), 303)
    values = forms.given(kind)
    if issubclass(KINDS[kind], OfEmployer):
        values["employer"] = request.form.get("employer", "")
    values |= forms.other_minutes()
    try:
        made = form.parse(values, today)
        register.record(place, made)
    except forms.NOT_KEPT as error:
        page.press_again(pressed)
        problems = forms.problems(told, today, error, kind)
        return _page(kind, request.form, problems), forms.status(error)
    except BaseException:
        page.press_again(pressed)
        raise
    page.say(told.say("work.done", what=_told(made)))
    employer = {"employer": made.employer} if isinstance(made, OfEmployer) else {}
    page.offer(kind, date=made.date.isoformat(), **employer)
    return redirect(url_for("work.work", _anchor="main"), 303)


def _told(made: Event) -> str:
    """Describe the recorded work in words: what, where, when and how much."""
    told, today = here.told(), here.place().machine.today()
    parts = [told.say(f"entry.kind_{made.kind}")]
    parts += [made.employer] if isinstance(made, OfEmployer) else []
    parts.append(told.day(made.date, today))
    for name in ("what", "work", "topic"):
        if value := getattr(made, name, ""):
            parts.append(told.say(f"choice.{name}.{value}"))
    parts += [title] if (title := getattr(made, "title", "")) else []
    for name, key in (("minutes", "contact.minutes"), ("people", "work.people")):
        if (number := getattr(made, name, None)) is not None:
            parts.append(told.count(key, number))
    return " · ".join(parts)


def _page(refused: str, typed: Typed, problems: list[str]) -> str:
    place, told = here.place(), here.told()
    names = register.employers(place)
    start: Typed = MultiDict({"date": place.machine.today().isoformat()})
    if len(names) == 1:
        start["employer"] = names[0]
    own = [
        (here.register_handle("entry", str(number)), event)
        for number, event in reversed(register.numbered(place))
        if event.kind in WORK and not isinstance(event, OfEmployer)
    ]
    return render_template(
        "work.html",
        kinds={kind: forms.asked(told, kind) for kind in WORK},
        at_employers=[kind for kind in WORK if issubclass(KINDS[kind], OfEmployer)],
        typed={kind: typed if kind == refused else start for kind in WORK},
        minutes=MINUTES,
        refused=refused,
        problems=problems,
        employers=names,
        own=own[:MOST_SHOWN],
        once=secrets.token_urlsafe(12),
        said=here.page().take_said(),
    )
