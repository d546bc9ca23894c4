"""Vandaag: whose turn it is, and what waits to be sent."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import threads
from dropbox_app.desk.web import here

blueprint = Blueprint("today", __name__)


@blueprint.get("/")
def today() -> ResponseReturnValue:
    """Show what waits for the counsellor first."""
    found = threads.list_threads(here.place())
    return render_template(
        "today.html",
        mine=[one for one in found if one.summary.turn == "counsellor"],
        theirs=[one for one in found if one.summary.turn == "reporter"],
        unsent=[one for one in found if one.summary.waiting],
    )
