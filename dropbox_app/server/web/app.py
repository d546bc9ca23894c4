"""The server: public keys only. ``create_app`` puts its sites together."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from dropbox_app.server.config import loader
from dropbox_app.server.config.loader import Reading
from dropbox_app.server.errors import SettingsError
from dropbox_app.server.reporter.kdf_limiter import Gate, slots_for
from dropbox_app.server.web import desk_api
from dropbox_app.server.web.assets import read_style
from dropbox_app.server.web.error_pages import Refusals
from dropbox_app.server.web.rendering import serve_style
from dropbox_app.server.web.reverse_proxy import session_opens
from dropbox_app.server.web.security_headers import QuietFlask, harden, quiet_log
from dropbox_app.server.web.session import csrf_key, new_key
from dropbox_app.server.web.site_dispatch import Reception, Shared, SiteCookies
from dropbox_app.server.web.views.conversation import ConversationPages
from dropbox_app.server.web.views.files import FilePages
from dropbox_app.server.web.views.front import FrontPages

__all__ = ["create_app"]


def create_app(
    folder: Path,
    *,
    today: Callable[[], datetime.date] | None = None,
    now: Callable[[], float] = time.time,
    cookie_key: bytes | None = None,
    gate: Gate | None = None,
    read: Reading | None = None,
) -> Flask:
    """The sites in ``folder`` as one WSGI app. Opens databases, so call it after a fork.

    ``cookie_key`` is shared by the workers of one server; without it the app makes its own.
    ``today`` gives the UTC day, ``now`` the seconds; without ``today`` the day is that of ``now``.
    ``read``: the folder as it was read before. Raises SettingsError if no site can be served, and
    StoreError if the only one cannot be opened; of several, each is opened when it is asked for.
    """
    day = today or (lambda: datetime.datetime.fromtimestamp(now(), datetime.UTC).date())
    read = read or loader.read(folder)
    if not read.sites:
        raise SettingsError("; ".join(fault.said for fault in read.faults if not fault.note))
    key = cookie_key or new_key()
    reception = Reception(read.sites, Shared(day, now, key, gate or Gate(slots_for(1))))
    if len(read.sites) == 1:
        _ = reception.doors[read.sites[0].place.name].served

    app = QuietFlask(__name__, static_folder=None)
    app.extensions["reception"] = reception
    app.session_interface = SiteCookies(reception)
    app.config.update(WTF_CSRF_SECRET_KEY=csrf_key(key), WTF_CSRF_TIME_LIMIT=None)
    app.config.update(WTF_I18N_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    app.url_map.merge_slashes = False
    quiet_log()
    harden(app, reception.hosts, reception.here, reception.lost)

    serve_style(app, read_style())
    app.add_url_rule("/internal/session", "session-opens", session_opens)
    FrontPages.register(app, lambda: reception.here().front)
    ConversationPages.register(app, lambda: reception.here().conversation)
    FilePages.register(app, lambda: reception.here().files)
    Refusals.register(app, reception.refusals, reception.neutral)
    app.register_blueprint(desk_api.blueprint(lambda: reception.here().desk))
    return app
