"""Answer nginx's questions about a request before nginx reads the body."""

from flask import Blueprint

from dropbox_app.server.web.session import current_session

blueprint = Blueprint("internal", __name__)


@blueprint.get("/internal/session")
def session_opens() -> tuple[str, int]:
    """Return 204 if the cookie of the request opens a session, otherwise 403.

    nginx asks this before it accepts a file, so that only reporters can occupy its few upload
    slots.
    """
    return "", 403 if current_session().root is None else 204
