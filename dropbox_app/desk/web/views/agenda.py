"""The agenda page ("Op de kalender"): items due according to the register, overdue ones first."""

import datetime

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import agenda as actions
from dropbox_app.desk.register.due import Due
from dropbox_app.desk.web import here

blueprint = Blueprint("agenda", __name__)

SOON, AHEAD = 7, 92  # days

Row = tuple[str, Due, bool]  # its address, the item, whether it is late


@blueprint.get("/agenda")
def agenda() -> ResponseReturnValue:
    """Show the items that are due within three months."""
    found = rows(AHEAD)
    soon = here.place().machine.today() + datetime.timedelta(days=SOON)
    parts = {
        "late": [one for one in found if one[2]],
        "soon": [one for one in found if not one[2] and one[1].day <= soon],
        "later": [one for one in found if one[1].day > soon],
    }
    return render_template("agenda.html", parts=list(parts.items()))


def rows(days: int) -> list[Row]:
    """Return the items that are due within ``days``. Answers to reporters have their own list."""
    place = here.place()
    today = place.machine.today()
    return [
        (_link(one), one, one.day < today and one.kind != "absence")
        for one in actions.dated(place, days)
    ]


def _link(one: Due) -> str:
    if one.case:
        return url_for("case.show", handle=here.register_handle("case", one.case))
    if one.employer:
        return url_for("employers.sheet", handle=here.register_handle("employer", one.employer))
    return ""
