"""The pages that result from a form, at their own addresses."""

from flask import Blueprint, Response, redirect, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.web import here

blueprint = Blueprint("answers", __name__, url_prefix="/answer")


@blueprint.get("/<key>")
@here.without_desk
def show(key: str) -> ResponseReturnValue:
    """Show the page again. If the page is no longer kept, redirect to Today."""
    found = here.page().answers.find(key)
    if found is None:
        return redirect(url_for("today.today"))
    return Response(found.html, found.status, mimetype="text/html")
