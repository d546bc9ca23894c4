"""Find the site of a request by its Host header alone: ``find_site`` sets ``g.site``.

If no site has the host name, or it is not available on the client's socket, the response does not
involve any site.
"""

from collections.abc import Callable

from flask import Flask, Request, Response, abort, g, request
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.exceptions import BadRequest, MisdirectedRequest, NotFound, ServiceUnavailable

from dropbox_app.server.config.languages import ALWAYS
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.web.hosts import target_names_another_host
from dropbox_app.server.web.routing import see_other
from dropbox_app.server.web.session import ReporterSession, current_session
from dropbox_app.server.web.sites import HostedSite, SiteTable

LEAVE, STYLE = "front.leave", "front.style"  # the endpoints that respond at every host name


def site_finder(table: SiteTable) -> Callable[[], Response | None]:
    """Return the function to call before each request, for the sites of ``table``."""

    def find_site() -> Response | None:
        """Set ``g.hosted_site``, ``g.site`` and the session, or respond if there is no site.

        ``g.site`` is None if no site has the host name, or while the site cannot be opened.
        """
        hosted: HostedSite | None = table.find(request.environ)
        g.hosted_site = hosted
        g.site = hosted.open_or_none() if hosted is not None else None
        if hosted is not None:
            hosted.cookie.read(request, current_session())
        if target_names_another_host(request.environ):
            abort(BadRequest.code)
        if hosted is None:
            return _without_a_site()
        if not hosted.hosts.has_path(request.environ, request.path):
            abort(NotFound.code)
        if g.site is None:
            abort(ServiceUnavailable.code)
        if (request.view_args or {}).get("lang", ALWAYS[0]) not in g.site.settings.languages:
            abort(NotFound.code)
        return None

    return find_site


def _without_a_site() -> Response | None:
    """Respond at a host name without a site: "leave quickly", an error page or its style sheet."""
    if request.endpoint == LEAVE:
        return see_other(Settings.leave_to)
    if request.endpoint != STYLE:
        abort(MisdirectedRequest.code)
    return None


class SiteSessions(SessionInterface):
    """Each site's own cookie.

    Flask opens a session before the site is known, so it starts empty.
    """

    def open_session(self, app: Flask, request: Request) -> ReporterSession:
        """Return an empty session."""
        return ReporterSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie of the site of this request, if any."""
        hosted: HostedSite | None = g.get("hosted_site")
        if hosted is not None and isinstance(session, ReporterSession):
            hosted.cookie.write(request, session, response)
