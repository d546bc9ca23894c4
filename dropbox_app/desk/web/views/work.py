"""The page of other work ("Ander werk"): advice, trainings, travel and further education."""

import secrets

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import register
from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import KINDS, OfEmployer
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.forms import Typed

blueprint = Blueprint("work", __name__, url_prefix="/work")

WORK = ("advice", "activity", "hours", "upkeep", "certificate", "absence")
MOST_SHOWN = 20  # entries without an employer


@blueprint.get("")
def work() -> ResponseReturnValue:
    """Ask for work that is not a contact with a reporter."""
    kept = here.page().take_typed()
    if kept is None:
        return _page("", MultiDict(), [])
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
    try:
        register.record(place, form.parse(values, today))
    except forms.NOT_KEPT as error:
        page.press_again(pressed)
        problems = forms.problems(told, today, error, kind)
        return _page(kind, request.form, problems), forms.status(error)
    except BaseException:
        page.press_again(pressed)
        raise
    page.say(told.say("work.done", what=told.say(f"entry.kind_{kind}")))
    return redirect(url_for("work.work", _anchor="main"), 303)


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
        refused=refused,
        problems=problems,
        employers=names,
        own=own[:MOST_SHOWN],
        once=secrets.token_urlsafe(12),
        said=here.page().take_said(),
    )
