"""The WSGI app of the server. ``create_app`` builds it from a folder of sites."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from flask import Flask

from dropbox_app.server.config import loader
from dropbox_app.server.config.loader import Reading
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.errors import SettingsError
from dropbox_app.server.reporter.kdf_limiter import Gate, slots_for
from dropbox_app.server.web import desk_api, reporter_api, reporter_files
from dropbox_app.server.web.early_answers import let_answers_arrive
from dropbox_app.server.web.ended_sessions import EndedSessions
from dropbox_app.server.web.error_pages import handle_errors
from dropbox_app.server.web.fault_log import fault_location, logger, set_up_logging
from dropbox_app.server.web.rendering import PageRenderer
from dropbox_app.server.web.repeated_posts import RepeatedPosts
from dropbox_app.server.web.request_checks import check_request
from dropbox_app.server.web.request_class import PlainRequest
from dropbox_app.server.web.security_headers import SecurityHeaders
from dropbox_app.server.web.session import VisitMemory, csrf_key, new_key
from dropbox_app.server.web.site_dispatch import SiteSessions, site_finder
from dropbox_app.server.web.sites import ProcessResources, SiteTable
from dropbox_app.server.web.uploads import FORM_BYTES
from dropbox_app.server.web.view_models.counsellors import People
from dropbox_app.server.web.views import (
    code,
    conversation,
    counsellor,
    files,
    front,
    info,
    internal,
    report,
    sealing,
    withdraw,
)

__all__ = ["create_app"]

_VIEWS = (
    front,
    info,
    report,
    code,
    conversation,
    counsellor,
    withdraw,
    files,
    sealing,
    internal,
    reporter_api,
    reporter_files,
    desk_api,
)


class QuietFlask(Flask):
    """A Flask app that logs nothing that a visitor sent."""

    request_class = PlainRequest

    def log_exception(
        self,
        exc_info: (
            tuple[type[BaseException], BaseException, TracebackType | None]
            | tuple[None, None, None]
        ),
    ) -> None:
        """Log one line: the type of the exception, and the module and line that raised it."""
        logger.error("%s", fault_location(exc_info[1]))


def create_app(
    folder: Path | str,
    *,
    today: Callable[[], datetime.date] | None = None,
    now: Callable[[], float] = time.time,
    cookie_key: bytes | None = None,
    gate: Gate | None = None,
    memory: VisitMemory | None = None,
    read: Reading | None = None,
) -> Flask:
    """Return the sites in ``folder`` as one WSGI app.

    The app opens databases, so call this function after a fork. The command ``flask --app
    "dropbox_app.server.web.app:create_app('FOLDER')" routes`` lists the routes.

    The workers of one server share ``cookie_key`` and ``memory``; without them the app creates its
    own. ``today`` returns the UTC day and ``now`` the time in seconds; without ``today`` the day is
    derived from ``now``. ``read`` is an earlier ``Reading`` of the folder.

    Raises SettingsError if no site can be served, and StoreError if the only site cannot be opened.
    If there are several sites, each is opened on its first request.
    """
    day = today or (lambda: datetime.datetime.fromtimestamp(now(), datetime.UTC).date())
    read = read or loader.read(Path(folder))
    if not read.sites:
        raise SettingsError("; ".join(fault.said for fault in read.faults if not fault.note))
    key = cookie_key or new_key()
    memory = memory or VisitMemory(EndedSessions(now), RepeatedPosts())
    resources = ProcessResources(day, now, key, gate or Gate(slots_for(1)), memory)
    sites = SiteTable((*read.sites, *read.closed), resources)
    if len(sites.sites) == 1:
        sites.sites[0].open()

    app = QuietFlask(__name__, static_folder=None)
    app.extensions["sites"] = sites
    app.session_interface = SiteSessions()
    app.config.update(WTF_CSRF_SECRET_KEY=csrf_key(key), WTF_CSRF_TIME_LIMIT=None)
    app.config.update(WTF_I18N_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    # These limits are for the pages' forms. Uploads and the APIs set their own.
    app.config.update(MAX_CONTENT_LENGTH=FORM_BYTES, MAX_FORM_MEMORY_SIZE=FORM_BYTES)
    app.url_map.merge_slashes = False
    set_up_logging()

    app.before_request(site_finder(sites))
    app.before_request(check_request)
    let_answers_arrive(app)
    for views in _VIEWS:
        app.register_blueprint(views.blueprint)
    handle_errors(app, _pages_of_no_site(day))
    app.wsgi_app = SecurityHeaders(app.wsgi_app, sites.is_https)  # type: ignore[method-assign] # Flask's documentation shows this
    return app


def _pages_of_no_site(today: Callable[[], datetime.date]) -> PageRenderer:
    """Return the renderer of error pages for requests without a site."""
    nobody = People((), begun=False)
    return PageRenderer(Settings(site="", name="", origins=()), lambda _day: nobody, today)
