"""The limits of a site and a mailbox, for files, reporters' messages and counsellors' answers."""

from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import MailboxFull, SiteFull
from dropbox_app.server.store.interface import REPORTER, Store

Share = tuple[float, float]  # usable part of ``site_bytes``, and how many ``free_bytes`` stay free

FILES: Share = (0.85, 2.0)
WORDS: Share = (0.95, 1.0)
ANSWERS: Share = (1.0, 0.5)


class Room:
    """The limits of one site. Each check raises MailboxFull or SiteFull."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store

    def check(self, size: int, mailbox: str = "", kind: Share = WORDS, *, freed: int = 0) -> None:
        """Check that this many bytes may be added to the site, and to any given mailbox.

        ``freed``: bytes of the mailbox that are removed in exchange.
        """
        limits = self._site.settings.limits
        kept = min(limits.message_bytes, limits.mailbox_bytes // 10) if kind == FILES else 0
        if mailbox and self._store.used_by(mailbox) + size - freed > limits.mailbox_bytes - kept:
            raise MailboxFull("the mailbox has no room left")
        if self._store.used() + size > limits.site_bytes * kind[0]:
            raise SiteFull("the site has no room left")
        if self._store.free() - size < limits.free_bytes * kind[1]:
            raise SiteFull("the disk has no room left")

    def check_again(self) -> None:
        """Check, while a file is being copied, that the site and the disk have enough space."""
        self.check(0, kind=FILES)

    def check_messages(self, mailbox: str, by: str, size: int) -> None:
        """Check the limit on messages: half of it is for the reporter, half for the counsellors."""
        limits = self._site.settings.limits
        sizes = [
            item.size
            for item in self._store.items(mailbox)
            if item.what == "message" and (item.author == REPORTER) == (by == REPORTER)
        ]
        if len(sizes) >= limits.messages // 2 or sum(sizes) + size > limits.message_bytes // 2:
            raise MailboxFull("the mailbox has no room left for messages of this side")
