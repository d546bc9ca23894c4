"""Fetch: the button, the progress, and the result for each employer."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence

blueprint = Blueprint("fetching", __name__)


@blueprint.post("/fetch")
def start() -> ResponseReturnValue:
    """Begin a fetch, unless one is running, and show its progress."""
    here.page().fetching.start()
    return redirect(url_for("fetching.progress"), 303)


@blueprint.get("/fetch")
def progress() -> ResponseReturnValue:
    """Show the progress of the fetch, employer by employer, and at the end the result."""
    fetching = here.page().fetching
    failure = sentence(here.told(), fetching.failure) if fetching.failure else ""
    return render_template(
        "fetch.html", round=fetching.last, failure=failure, running=fetching.under_way
    )
