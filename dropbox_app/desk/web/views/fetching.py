"""Fetch: the button, how far it is, and what came of it for each employer."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence

blueprint = Blueprint("fetching", __name__)


@blueprint.post("/fetch")
def start() -> ResponseReturnValue:
    """Begin a fetch, unless one is running, and show how far it is."""
    here.page().fetching.start()
    return redirect(url_for("fetching.progress"), 303)


@blueprint.get("/fetch")
def progress() -> ResponseReturnValue:
    """Show how far the fetch is, employer by employer, and at the end what came of it."""
    fetching = here.page().fetching
    failure = sentence(here.told(), fetching.failure) if fetching.failure else ""
    return render_template(
        "fetch.html", round=fetching.last, failure=failure, running=fetching.under_way
    )
