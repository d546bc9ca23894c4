"""The server: public keys only. ``create_app`` puts one site together."""

import datetime
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from dropbox_app.server import sites
from dropbox_app.server.gate import Gate, slots_for
from dropbox_app.server.mailboxes import Mailboxes
from dropbox_app.server.reporter_agent import ReporterAgent
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.web import desk_api
from dropbox_app.server.web.conversation import ConversationPages
from dropbox_app.server.web.file_pages import FilePages
from dropbox_app.server.web.hardening import Hosts, QuietFlask, harden, quiet_log
from dropbox_app.server.web.pages import FrontPages
from dropbox_app.server.web.people import Directory
from dropbox_app.server.web.refusals import Refusals
from dropbox_app.server.web.rendering import Pages, serve_style
from dropbox_app.server.web.session import OneCookie, new_key

__all__ = ["create_app"]


def create_app(
    folder: Path,
    *,
    today: Callable[[], datetime.date] | None = None,
    now: Callable[[], float] = time.time,
    cookie_key: bytes | None = None,
    gate: Gate | None = None,
) -> Flask:
    """The site in ``folder`` as a WSGI app. Opens its database, so call it after a fork.

    ``cookie_key`` is shared by the workers of one server; without it the app makes its own.
    ``today`` gives the UTC day, ``now`` the seconds; without ``today`` the day is that of ``now``.
    Raises SettingsError or StoreError.
    """
    day = today or (lambda: datetime.datetime.fromtimestamp(now(), datetime.UTC).date())
    site = sites.load(folder)
    mailboxes = Mailboxes(site, SqliteStore(folder, day), day)
    agent = ReporterAgent(site, mailboxes, gate or Gate(slots_for(1)), day)
    hosts = Hosts(site.settings.origins)

    app = QuietFlask(__name__, static_folder=None)
    cookie = OneCookie(cookie_key or new_key(), site.settings.site, now, hosts.secure)
    app.session_interface = cookie
    app.config.update(WTF_CSRF_SECRET_KEY=cookie.csrf_key, WTF_CSRF_TIME_LIMIT=None)
    app.config.update(WTF_I18N_ENABLED=False, PROPAGATE_EXCEPTIONS=False)
    app.url_map.merge_slashes = False
    quiet_log()
    harden(app, hosts)

    pages = Pages(site, Directory(site, mailboxes), day)
    serve_style(app, pages.style)
    front = FrontPages(pages, agent, cookie)
    refusals = Refusals(pages)
    front.register(app)
    conversation = ConversationPages(pages, agent, cookie, front, refusals)
    conversation.register(app)
    FilePages(pages, agent, mailboxes, conversation).register(app)
    refusals.register(app)
    app.register_blueprint(desk_api.blueprint(site, mailboxes, cookie.desk_key, now))
    return app
