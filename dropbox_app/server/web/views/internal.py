"""Answer nginx's questions about a request before nginx reads the body."""

from flask import Blueprint

from dropbox_app.server.errors import Unauthorised
from dropbox_app.server.web.reporter_api import given_access
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site

blueprint = Blueprint("internal", __name__)


@blueprint.get("/internal/session")
def session_opens() -> tuple[str, int]:
    """Return 204 if the cookie of the request opens a session, otherwise 403.

    nginx asks this question before it accepts a file, so that only reporters can occupy its few
    upload slots.
    """
    return "", 403 if current_session().root is None else 204


@blueprint.get("/internal/conversation")
def token_opens() -> tuple[str, int]:
    """Tell nginx whether the request's access token opens a conversation: 204, otherwise 403."""
    site = current_site()
    if not site.settings.reporter.seal_in_browser:
        return "", 403
    try:
        found = site.mailboxes.conversation(given_access())
    except Unauthorised:
        return "", 403
    return "", 403 if found is None else 204
