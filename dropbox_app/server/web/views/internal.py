"""Answers nginx's questions about a request before nginx reads the body."""

from flask import Blueprint

from dropbox_app.server.web.session import current_session

blueprint = Blueprint("internal", __name__)


@blueprint.get("/internal/session")
def session_opens() -> tuple[str, int]:
    """Tell nginx whether the cookie of a request opens a session: 204, else 403.

    nginx asks this before it accepts a file, so that only a reporter can occupy one of the few
    slots.
    """
    return "", 403 if current_session().root is None else 204
