"""The first page ("Vandaag"): threads that need action, and messages to be sent."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import today as actions
from dropbox_app.desk.web import here
from dropbox_app.desk.web.views import agenda, checking

blueprint = Blueprint("today", __name__)

AT_ONCE = 50  # rows of a list; "Gesprekken" has them all


@blueprint.get("/")
def today() -> ResponseReturnValue:
    """Show the day's work. Reports whose author does not feel safe come first."""
    work = actions.today(here.place(), most=AT_ONCE)
    shown = (*work.mine, *work.to_send[:AT_ONCE], *work.theirs[:AT_ONCE])
    return render_template(
        "today.html",
        work=work,
        phases=actions.phases(here.place(), shown),
        due=agenda.rows(agenda.SOON),
        most=AT_ONCE,
        differing=checking.differing(),
        said=here.page().take_said(),
    )
