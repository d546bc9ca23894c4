"""A server's folder with real contents, a settable clock, and sealed files to send."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Recipient, Seed, SigningKey, VerifyKey
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.config.settings import Limits, Retention, Settings
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.mailboxes.purge import Purged
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store import inspect
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN
from tests.support.one_site import OneSite
from tests.support.two_stores import Kind
from tests.vectors import world

DAY = world.DAY
ORIGIN = "https://drop.example.org"
ANNA, BRAM, CHRIS = world.ANNA.verify_key, world.BRAM.verify_key, world.CHRIS.verify_key
SIGNING: dict[VerifyKey, SigningKey] = {k.verify_key: k for k in (world.ANNA, world.BRAM)}
RECIPIENTS: tuple[Recipient, ...] = tuple(
    Seed(world.secret(f"recipient {n}")).recipient() for n in range(7)
)


def faults_in(folder: Path) -> list[str]:
    """Return the faults that inspecting a site's database finds."""
    seen = inspect.look(folder / DATABASE, folder / FILES, folder / WITHDRAWN)
    return [fault for _, fault in seen.faults if fault]


class AServer(OneSite):
    """A site without pages; ``day`` is its clock's date."""

    def __init__(
        self,
        folder: Path,
        *,
        counsellors: Iterable[str] = ("anna", "bram"),
        retention: Retention | None = None,
        limits: Limits | None = None,
        on: Kind | None = None,
    ) -> None:
        self.day = DAY
        made = Settings(
            world.SITE,
            "Voorbeeld BV",
            (ORIGIN, "http://localhost:8000"),
            retention=retention or Retention(),
            # The disk of the machine that runs the tests is irrelevant here.
            limits=dataclasses.replace(limits or Limits(), free_bytes=1),
        )
        super().__init__(folder, made, self.today, on)
        for name in counsellors:
            self.site.pin(name, world.issue_card(name), DAY)

    def today(self) -> datetime.date:
        return self.day

    def later(self, days: int) -> None:
        self.day = DAY + datetime.timedelta(days)

    def purge(self) -> Purged:
        """Purge on a confirmed day, however long ago the last purge was; return the counts."""
        purge.confirm(self.store, self.day)
        return purge.purge(self.site, self.store, self.day)

    def report(self, name: str, to: Sequence[VerifyKey] = (ANNA,)) -> bytes:
        """Send a report to a new mailbox; return the sealed bytes."""
        sealed = message(len(to))
        mailbox, access = ids(name)
        self.mailboxes.submit(mailbox=mailbox, access=access, to=to, sealed=sealed)
        return sealed

    def add(
        self, name: str, n: int, to: Sequence[VerifyKey] = (ANNA,), named: Sequence[str] = ()
    ) -> bytes:
        sealed = message(len(to))
        self.mailboxes.add(access=ids(name)[1], n=n, to=to, sealed=sealed, named=named)
        return sealed

    def reply(
        self, name: str, n: int, by: VerifyKey = ANNA, to: Sequence[VerifyKey] = (ANNA,)
    ) -> bytes:
        sealed = message(len(to))
        self.mailboxes.reply(identity=by, mailbox=ids(name)[0], n=n, to=to, sealed=sealed)
        return sealed

    def withdraw(self, name: str, n: int, to: Sequence[VerifyKey] = (ANNA,)) -> bytes:
        sealed = message(len(to))
        self.mailboxes.withdraw(access=ids(name)[1], n=n, to=to, sealed=sealed)
        return sealed

    def put_file(self, name: str, sealed: bytes, by: VerifyKey = ANNA) -> str:
        with self.mailboxes.stage() as staged:
            staged.write(sealed)
            item = staged.digest()
            self.mailboxes.put_file(identity=by, mailbox=ids(name)[0], item=item, staged=staged)
        return item

    def fetch(self, by: VerifyKey = ANNA) -> list[str]:
        """Fetch like a desk: read the inbox to its end, download and confirm each item."""
        after, fetched = 0, []
        while True:
            rows, more = self.mailboxes.inbox(by, after)
            for row in rows:
                self.mailboxes.fetched(by, [row.item.id])
                fetched.append(row.item.id)
                after = row.number
            if not more:
                return fetched

    def kept(self, name: str) -> list[tuple[str, int]]:
        """Return the messages of a mailbox, for its reporter: authors and numbers."""
        conversation = self.mailboxes.conversation(ids(name)[1])
        assert conversation is not None
        return [(i.author, i.n) for i in conversation.items if i.what == "message"]

    def long_files(self) -> int:
        """Return how many sealed files are too long to be stored in a row."""
        return self.on.long_files(self.folder)

    def everything_on_disk(self) -> bytes:
        return b"".join(p.read_bytes() for p in self.folder.rglob("*") if p.is_file())


def attach(boxes: Mailboxes, access: str, sealed: bytes) -> str:
    """Store a reporter's attachment as the API does; return its id."""
    with boxes.stage() as staged:
        staged.write(sealed)
        item = staged.digest()
        boxes.attach(access=access, item=item, staged=staged)
    return item


def ids(name: str) -> tuple[str, str]:
    """Return the mailbox id and the access id of an invented reporter."""
    return sha256_hex(f"mailbox {name}".encode()), sha256_hex(f"access {name}".encode())


def message(identities: int, size: int = 8192) -> bytes:
    """Return a message sealed to a reporter and this many counsellors."""
    return age.seal(b" " * size, RECIPIENTS[: identities + 1])


def file(recipients: int, size: int = 100) -> bytes:
    """Return an attachment sealed to this many recipients."""
    return age.seal(bytes(attachment_size(size)), RECIPIENTS[:recipients])
