"""Which site a request is for: by its Host alone. Everything that one site has is behind this.

A Host that is not to be asked for by the way that was taken is no site's, see ``Hosts.reached``.
One app serves all sites. A site's views, cookie, database are made when it is first asked for;
nothing of a request is ever looked up at another site. A host that is no site's gets an answer
that is made without any of them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from wsgiref.types import WSGIEnvironment

from flask import Flask, Request, Response, abort, request
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.exceptions import MisdirectedRequest, ServiceUnavailable

from dropbox_app.server.config.loader import ReadSite
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import SiteFull, StoreBusy, StoreError
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import Gate
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.web.desk_api import DeskApi
from dropbox_app.server.web.error_pages import Refusals
from dropbox_app.server.web.page_cache import Kept
from dropbox_app.server.web.rendering import STYLE, Pages
from dropbox_app.server.web.security_headers import Hosts, host_name, logger, where
from dropbox_app.server.web.session import OneCookie, ReporterSession
from dropbox_app.server.web.view_models.counsellors import Directory, People
from dropbox_app.server.web.views.conversation import ConversationPages
from dropbox_app.server.web.views.files import FilePages
from dropbox_app.server.web.views.front import FrontPages, see_other

EACH = 60.0  # seconds between two lines in the log on one site
PATIENCE = 1.0  # seconds that a visitor waits while another's request opens the site
AGAIN = 2.0  # seconds before a site that could not be opened is tried again
_CLOSED = "klankbord.closed"  # of a request: its site could not be opened

_NOBODY = People((), begun=False)


@dataclass(frozen=True)
class Shared:
    """What the sites of one process share; none of it holds anything of a visitor's."""

    today: Callable[[], date]
    now: Callable[[], float]
    cookie_key: bytes
    gate: Gate
    kept: Kept = field(default_factory=Kept)


class Served:
    """A site whose database is open: the views of each kind. Raises StoreError, SiteFull."""

    def __init__(self, read: ReadSite, cookie: OneCookie, shared: Shared) -> None:
        site = Site(read.place.folder, read.settings)
        store = SqliteStore(read.place.folder, shared.today, read.place.reserve)
        self.mailboxes = Mailboxes(site, store, shared.today)
        people = Directory(site, self.mailboxes)
        agent = ReporterAgent(site, self.mailboxes, shared.gate, shared.today)
        pages = Pages(read.settings, people.on, shared.today, kept=shared.kept, own=read.html)
        self.front = FrontPages(pages, agent, cookie)
        self.refusals = Refusals(pages)
        self.conversation = ConversationPages(pages, agent, cookie, self.front, self.refusals)
        self.files = FilePages(pages, agent, self.mailboxes, self.conversation)
        self.desk = DeskApi(site, self.mailboxes, cookie.desk_key, shared.now)


class Door:
    """A site as far as it can be told without its database: its addresses and its cookie."""

    def __init__(self, read: ReadSite, shared: Shared) -> None:
        self.hosts = Hosts(read.settings.origins, read.settings.desk_origins)
        self._read = read
        self._shared = shared
        self._turn = threading.Lock()
        self._served: Served | None = None
        self._told = -EACH
        self._until = 0.0  # before then nobody tries again

    @cached_property
    def cookie(self) -> OneCookie:
        shared = self._shared
        site = self._read.settings.site
        return OneCookie(shared.cookie_key, site, shared.now, self.hosts.secure)

    @property
    def served(self) -> Served:
        """The site, opened when it is first asked for. Raises StoreError, SiteFull, OSError.

        To open it may take as long as its database keeps one waiting. One request waits for that
        and no other: the threads are those of all sites.
        """
        if self._served is None:
            if time.monotonic() < self._until or not self._turn.acquire(timeout=PATIENCE):
                raise StoreBusy("it is being opened, or could not be a moment ago")
            try:
                if self._served is None:
                    self._served = Served(self._read, self.cookie, self._shared)
            except (StoreError, SiteFull, OSError):
                self._until = time.monotonic() + AGAIN
                raise
            finally:
                self._turn.release()
        return self._served

    def tell(self, error: Exception) -> None:
        """Say in the log that it cannot be opened, and not more often than is of use."""
        if time.monotonic() - self._told >= EACH:
            self._told = time.monotonic()
            name = self._read.place.name
            logger.warning("%s cannot be opened and is tried again: %s", name, where(error))


class Reception:
    """Finds the site that a request is for. Safe between threads."""

    def __init__(self, sites: Sequence[ReadSite], shared: Shared) -> None:
        self.doors = {site.place.name: Door(site, shared) for site in sites}
        self._by_name = {name: door for door in self.doors.values() for name in door.hosts.names}
        neutral = Settings(site="", name="", origins=())
        self._neutral = Refusals(Pages(neutral, lambda _day: _NOBODY, shared.today))

    def door(self, environ: WSGIEnvironment) -> Door | None:
        """The site at this host; None if it is nobody's, or not to be reached by this way."""
        door = self._by_name.get(host_name(environ.get("HTTP_HOST", "")) or "")
        return door if door and door.hosts.reached(environ) else None

    def hosts(self, environ: WSGIEnvironment) -> Hosts | None:
        door = self.door(environ)
        return door.hosts if door else None

    def here(self) -> Served:
        """The site of this request. Aborts where it cannot be opened now."""
        door = self.door(request.environ)
        if door is None:
            raise LookupError("no request gets here without a site")
        try:
            return door.served
        except (StoreError, SiteFull, OSError) as error:
            door.tell(error)
            request.environ[_CLOSED] = True
            abort(ServiceUnavailable.code)

    def lost(self) -> Response | None:
        """At a host that is no site's: the way out, the style of the page that says so, no more."""
        if request.endpoint == FrontPages.leave.__name__:
            return see_other(Settings.leave_to)
        if request.endpoint != STYLE:
            abort(MisdirectedRequest.code)
        return None

    def refusals(self) -> Refusals:
        """Those of the site of this request; of none, if there is none or it cannot be opened."""
        door = self.door(request.environ)
        if door is None or _CLOSED in request.environ:
            return self._neutral
        try:
            return door.served.refusals
        except (StoreError, SiteFull, OSError):
            return self._neutral

    def neutral(self) -> Refusals:
        """Those that need nothing of any site."""
        return self._neutral


class SiteCookies(SessionInterface):
    """Each site's own cookie; without a site there is no session."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def open_session(self, app: Flask, request: Request) -> ReporterSession:
        door = self._reception.door(request.environ)
        return door.cookie.open_session(app, request) if door else ReporterSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        door = self._reception.door(request.environ)
        if door is not None:
            door.cookie.save_session(app, session, response)
