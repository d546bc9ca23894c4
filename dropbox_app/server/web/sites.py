"""The sites of one server, found by host name and opened on their first request.

A request never accesses another site's data.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from wsgiref.types import WSGIEnvironment

from flask import g

from dropbox_app.server.config import stores
from dropbox_app.server.config.loader import ClosedSite, ReadSite
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import SiteFull, StoreBusy, StoreError
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import Gate
from dropbox_app.server.web.desk_tokens import DeskTokens
from dropbox_app.server.web.fault_log import fault_location, logger
from dropbox_app.server.web.hosts import Hosts, host_name
from dropbox_app.server.web.page_cache import PageCache
from dropbox_app.server.web.rendering import PageRenderer
from dropbox_app.server.web.repeated_posts import RepeatedPosts
from dropbox_app.server.web.session import SiteCookie, VisitMemory
from dropbox_app.server.web.view_models.counsellors import Directory

LOG_INTERVAL = 60.0  # seconds between two log lines about one site
OPENING_WAIT = 1.0  # seconds that a request waits while another request opens the site
RETRY_AFTER = 2.0  # seconds before another attempt to open a site that could not be opened


@dataclass(frozen=True)
class ProcessResources:
    """The objects that all sites of one process share."""

    today: Callable[[], date]
    now: Callable[[], float]
    cookie_key: bytes
    gate: Gate
    memory: VisitMemory
    page_cache: PageCache = field(default_factory=PageCache)


@dataclass(frozen=True)
class OpenSite:
    """A site with an open database; ``g.site`` in the views."""

    config: Site
    hosts: Hosts
    cookie: SiteCookie
    posts: RepeatedPosts
    mailboxes: Mailboxes
    agent: ReporterAgent
    read: ReadSite
    pages: PageRenderer
    desk_tokens: DeskTokens
    today: Callable[[], date]

    @property
    def settings(self) -> Settings:
        """Return the settings of the site."""
        return self.config.settings

    @classmethod
    def open(
        cls, read: ReadSite, hosts: Hosts, cookie: SiteCookie, shared: ProcessResources
    ) -> "OpenSite":
        """Open the database. Raises StoreError, SiteFull, OSError."""
        site = Site(read.place.folder, read.settings)
        store = stores.opened(read.place, read.settings, shared.today)
        mailboxes = Mailboxes(site, store, shared.today)
        people = Directory(site, mailboxes)
        return cls(
            config=site,
            hosts=hosts,
            cookie=cookie,
            posts=shared.memory.posts,
            mailboxes=mailboxes,
            read=read,
            agent=ReporterAgent(site, mailboxes, shared.gate, shared.today),
            pages=PageRenderer(
                read.settings, people.on, shared.today, cache=shared.page_cache, own_text=read.html
            ),
            desk_tokens=DeskTokens(cookie.desk_key, read.settings.site, shared.now),
            today=shared.today,
        )


def current_site() -> OpenSite:
    """Return the site of this request; see ``site_dispatch.find_site``."""
    site: OpenSite = g.site
    return site


class HostedSite:
    """A site of this server, which is opened on its first request."""

    def __init__(self, read: ReadSite | ClosedSite, shared: ProcessResources) -> None:
        self.name = read.place.name
        origins = read.settings if isinstance(read, ReadSite) else read
        self.hosts = Hosts(origins.origins, origins.desk_origins)
        self._read = read if isinstance(read, ReadSite) else None
        self._shared = shared
        self._opening = threading.Lock()
        self._open: OpenSite | None = None
        self._last_logged = -LOG_INTERVAL
        self._retry_at = 0.0  # monotonic seconds

    @cached_property
    def cookie(self) -> SiteCookie:
        """Return the cookie of the site."""
        shared = self._shared
        site = self._read.settings.site if self._read is not None else ""  # opens no database
        is_https, memory = self.hosts.is_https, shared.memory
        return SiteCookie(shared.cookie_key, site, shared.now, is_https, memory)

    @property
    def is_open(self) -> bool:
        """Return whether the site's database has been opened."""
        return self._open is not None

    def open(self) -> OpenSite:
        """Return the site, opening it on the first call. Raises StoreError, SiteFull, OSError.

        Also raises StoreError if the site's settings keep it closed. Opening a site may take as
        long as its database is busy. One request waits until the site is open, and the others are
        rejected with StoreBusy, because all sites share the threads.
        """
        if self._read is None:
            raise StoreError("its settings are wrong")
        if self._open is None:
            if time.monotonic() < self._retry_at or not self._opening.acquire(timeout=OPENING_WAIT):
                raise StoreBusy("it is being opened, or could not be opened a moment ago")
            try:
                if self._open is None:
                    self._open = OpenSite.open(self._read, self.hosts, self.cookie, self._shared)
            except (StoreError, SiteFull, OSError):
                self._retry_at = time.monotonic() + RETRY_AFTER
                raise
            finally:
                self._opening.release()
        return self._open

    def open_or_none(self) -> OpenSite | None:
        """Return the site; None if its settings keep it closed or it cannot be opened now.

        A failure to open is logged, at most once per LOG_INTERVAL.
        """
        if self._read is None:
            return None
        try:
            return self.open()
        except (StoreError, SiteFull, OSError) as error:
            if time.monotonic() - self._last_logged >= LOG_INTERVAL:
                self._last_logged = time.monotonic()
                logger.warning(
                    "%s cannot be opened and is tried again: %s", self.name, fault_location(error)
                )
            return None


class SiteTable:
    """The sites of this server by host name. Threads can share it."""

    def __init__(self, sites: Iterable[ReadSite | ClosedSite], shared: ProcessResources) -> None:
        self.sites = [HostedSite(read, shared) for read in sites]
        self._by_host = {name: site for site in self.sites for name in site.hosts.names}

    def find(self, environ: WSGIEnvironment) -> HostedSite | None:
        """Return the site at the requested host name; None if this socket serves no such site."""
        site = self._by_host.get(host_name(environ.get("HTTP_HOST", "")) or "")
        return site if site is not None and site.hosts.is_reachable(environ) else None

    def is_https(self, environ: WSGIEnvironment) -> bool:
        """Return whether the requested address is an https address of a site."""
        site = self.find(environ)
        return site is not None and site.hosts.is_https(environ)
