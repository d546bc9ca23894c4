"""The desk's folder as a whole: create it, open it, move a site.

One desk serves several sites, each with an identity of its own (SPEC section 3).
"""

import codecs
import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropbox_app.desk.errors import AlreadyThere, DeskError, NotFound, Unfit
from dropbox_app.desk.keys import schedule
from dropbox_app.desk.register.book import Book
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage import migrations, register, rows, vault
from dropbox_app.desk.storage.atomic_files import LOCK, NEW, Disk
from dropbox_app.desk.storage.database import Database
from dropbox_app.desk.storage.item_store import LocalStore
from dropbox_app.desk.storage.state import Profile, State, ThreadState
from dropbox_app.desk.storage.vault import Vault
from dropbox_app.desk.sync import own_card
from dropbox_app.desk.transport.api_client import Courier, HttpTransport, Transport
from dropbox_app.desk.transport.proxy import Proxy, read_origin, read_proxy
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.encoding import Json, check_day, check_hex, from_line
from dropbox_app.protocol.errors import CardError, FormatError
from dropbox_app.protocol.keys import SigningKey

MAX_ORIGINS = 10
MAX_SITE_NAME = 200
MAX_INVITATION = 16_384  # bytes
# What an init that was killed may leave; the next one goes on from it.
_BEGUN = {LOCK, f"{vault.NAME}{NEW}", "sites"} | {
    name + side for name in vault.FILES for side in ("", "-wal", "-journal")
}


def utc_today() -> datetime.date:
    """Return this machine's UTC day: the only clock of the desk."""
    return datetime.datetime.now(datetime.UTC).date()


@dataclass(frozen=True)
class Machine:
    """The environment of a desk; tests use another day, transport and scrypt cost."""

    today: Callable[[], datetime.date] = utc_today
    transport: Callable[[Proxy | None], Transport] = HttpTransport
    log_n: int = vault.USUAL


@dataclass(frozen=True)
class Invitation:
    """The invitation that the operator's ``init`` printed."""

    site: str
    name: str
    origins: tuple[str, ...]
    day: datetime.date
    desk_origins: tuple[str, ...] = ()  # for desks alone


def read_invitation(raw: bytes) -> Invitation:
    """Read one JSON line ``{v, origins, site, name, day}``, and perhaps ``desk_origins``.

    Raises Unfit.
    """
    try:
        if len(raw) > MAX_INVITATION:
            raise FormatError("too long")
        fields = from_line(_one_line(raw))
        if fields.get("v") != 1:
            raise FormatError("made by a newer version")
        origins, name, site, day = (fields.get(k) for k in ("origins", "name", "site", "day"))
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_SITE_NAME:
            raise FormatError("its name is missing")
        if not origins:
            raise FormatError("its addresses are missing")
        if not isinstance(site, str) or not isinstance(day, str):
            raise FormatError("its site or day is missing")
        desks = _addresses(fields.get("desk_origins", []))
        return Invitation(check_hex(site, 16), name, _addresses(origins), check_day(day), desks)
    except FormatError as error:
        raise Unfit(
            f"This is no invitation ({error}). The operator's 'klankbord-server init' prints it: "
            "one line that begins with {.",
            "no_invitation",
        ) from None


def _one_line(raw: bytes) -> bytes:
    """Return the line of an invitation as a person saved it.

    Notepad and PowerShell put a mark in front, a mail program breaks it. Raises FormatError.
    """
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError("not text in UTF-8") from None
    return "".join(text.splitlines()).strip().encode()


def _addresses(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or len(given) > MAX_ORIGINS:
        raise FormatError("its addresses are no list of a few")
    texts = tuple(origin for origin in given if isinstance(origin, str))
    if len(texts) != len(given):
        raise FormatError("an address is no text")
    return texts


@dataclass
class Workplace:
    """An opened desk, under its lock. Threads may share it if each works on its own site."""

    disk: Disk
    vault: Vault
    database: Database
    machine: Machine
    _swept: set[str] = field(default_factory=set)
    _couriers: set[Courier] = field(default_factory=set)
    _broken_off: bool = False
    _book: Book | None = None
    _book_of: object = None  # the database's version that the book was read from
    summarised: object = None  # the database's version in which no summary was missing

    def change_key_if_due(self) -> None:
        """Rewrite the database if something was forgotten or destroyed since it got its key."""
        if self.database.rewrite_is_due:
            before, after = self.database.rewrite(self.vault)
            if self._book_of == before:
                self._book_of = after

    def book(self) -> Book:
        """Return the register as it is now."""
        version = self.database.version
        if self._book is None or version != self._book_of:
            self._book = Book(register.events(self.database), self._book)
            self._book_of = version
        return self._book

    def add_events(self, given: Sequence[dict[str, Json]]) -> None:
        """Keep events of the register, all or none, without reading the register again."""
        book, before = self.book(), self.database.version
        register.add(self.database, given)
        after = self.database.version
        # Nothing else was written meanwhile: the version counts the rows that were.
        if after == (before[0], before[1] + len(given)):
            self._book = book.extended(register.events(self.database, book.last))
            self._book_of = after

    def replace_events(self, changes: Sequence[tuple[int, Sequence[dict[str, Json]]]]) -> None:
        """Replace events, as ``register.replace``, and update the book."""
        with self.database.transaction():  # what is undone changes the version too
            book, gone = self.book(), {number for number, _ in changes}
            register.replace(self.database, changes)
            new = [*register.some(self.database, gone), *register.events(self.database, book.last)]
            self._book = book.replaced(gone, new)
            self._book_of = self.database.version

    def desk(self, site: str) -> Desk:
        """Return the desk for one site, not connected. Raises NotSetUp or Damaged.

        The leftovers of a crash are removed only the first time: later they could belong to a fetch
        under way.
        """
        store = LocalStore(self.disk, self.database, site)
        state = store.load()
        if site not in self._swept:
            store.sweep(state)
            self._swept.add(site)
        return Desk(self.vault, store, state, self.machine.today())

    def names(self, hint: str = "") -> dict[str, str]:
        """Return the names of the sites by id: all, or the one that ``hint`` names.

        A complete name takes precedence over a part of one or the beginning of an id. Raises
        NotFound.
        """
        called = rows.names(self.database)
        for site in self.vault.sites:
            if site not in called:
                self.desk(site)  # says what is missing
        if not hint:
            return called
        asked = hint.strip().casefold()
        found = [site for site, name in called.items() if name.casefold() == asked] or [
            site
            for site, name in called.items()
            if site.startswith(asked) or asked in name.casefold()
        ]
        if len(found) != 1:
            raise NotFound(
                f"{'No' if not found else 'More than one'} site of this desk goes by that "
                "name; 'sites' names them all."
            )
        return {found[0]: called[found[0]]}

    def desks(self, hint: str = "") -> list[Desk]:
        """Return the desks of all sites, or of the one named by ``hint``. Raises NotFound."""
        return [self.desk(site) for site in sorted(self.names(hint))]

    def one(self, hint: str = "") -> Desk:
        """Return the desk of one site. Raises NotFound if there are several and none was named."""
        found = self.names(hint)
        if len(found) != 1:
            raise NotFound("This desk serves several sites; say which with --site NAME.")
        return self.desk(*found)

    @contextlib.contextmanager
    def connected(self, desk: Desk) -> Iterator[Desk]:
        """Connect the desk to its server. Raises CannotReach, Unfit, Unknown."""
        proxy = read_proxy(desk.state.proxy)
        state = desk.state
        for origin in (*state.origins, *state.desk_origins):
            read_origin(origin, proxy)
        transport = self.machine.transport(proxy)
        courier = Courier(
            transport, state.origins, state.site, desk.signing, desk_origins=state.desk_origins
        )
        self._couriers.add(courier)
        try:
            if self._broken_off:
                courier.break_off()
            desk.connect(courier)
            yield desk
        finally:
            self._couriers.discard(courier)
            courier.close()

    def break_off(self) -> None:
        """Have all work with servers end within a minute: it raises CannotReach, and loses nothing.

        From another thread; nothing is connected afterwards.
        """
        self._broken_off = True
        for courier in tuple(self._couriers):
            courier.break_off()


@contextlib.contextmanager
def opened(folder: Path, passphrase: str, machine: Machine) -> Iterator[Workplace]:
    """Open the desk in a folder, under its lock. Raises NotSetUp, InUse, WrongPassphrase, Damaged.

    A desk of the first format is migrated first. If something was forgotten or destroyed, the
    database gets another key at the end; where that was cut short, at the next start.
    """
    disk = Disk(folder, machine.today)
    with disk.locked():
        kept = Vault.open(disk, passphrase, log_n=machine.log_n)
        if kept.archive is not None:
            migrations.take_over(disk, kept)
        database = Database.open(disk, kept.database)
        try:
            place = Workplace(disk, kept, database, machine)
            place.change_key_if_due()
            try:
                yield place
            except Exception:  # of any kind, and raised again below: nothing is silenced
                # A fetch that fails halfway has destroyed keys too, and the database must get
                # another key for that.
                place.change_key_if_due()
                raise
            place.change_key_if_due()
        finally:
            database.close()


def init(
    folder: Path,
    passphrase: str,
    machine: Machine,
    *,
    invitation: Invitation,
    profile: Profile,
    proxy: str,
) -> Desk:
    """Make a desk for the invitation's site, or add the site to the desk in the folder.

    A crash in between leaves what the same command finishes. Raises AlreadyThere if the site is
    set up here, Unfit, WrongPassphrase.
    """
    check(invitation, profile, proxy, machine.today())
    disk = Disk(folder, machine.today)
    new = not disk.exists(vault.NAME)
    if new:
        vault.check_passphrase(passphrase)
        if folder.is_dir() and set(os.listdir(folder)) - _BEGUN:
            raise AlreadyThere(f"{folder} holds something that is no desk; choose another --dir.")
        disk.make()
    if not new:
        with opened(folder, passphrase, machine) as place:
            return join(place, invitation, profile, proxy)
    with disk.locked():
        kept = Vault.create(disk, passphrase, log_n=machine.log_n)
        database = Database.create(disk, kept.database)
        try:
            return join(Workplace(disk, kept, database, machine), invitation, profile, proxy)
        finally:
            database.close()


def check(invitation: Invitation, profile: Profile, proxy: str, today: datetime.date) -> None:
    """Raise Unfit for what cannot be used, before anything is made."""
    if not schedule.agree(max(today, invitation.day), today):
        raise Unfit(
            f"This computer says it is {today}, but the invitation was made on {invitation.day}; "
            "set the computer's date right first.",
            "date_wrong",
        )
    way = read_proxy(proxy)
    for origin in (*invitation.origins, *invitation.desk_origins):
        read_origin(origin, way)
    try_card(invitation.site, profile, today)


def join(place: Workplace, invitation: Invitation, profile: Profile, proxy: str) -> Desk:
    """Add a site to an opened desk. Raises Unfit, AlreadyThere."""
    kept, today = place.vault, place.machine.today()
    check(invitation, profile, proxy, today)
    store = LocalStore(place.disk, place.database, invitation.site)
    if store.exists():
        raise AlreadyThere("This desk is set up for that site already; 'card' shows its card.")
    kept.join(invitation.site)
    _, made = schedule.fill(kept.seeds(invitation.site), schedule.months(today, None))
    kept.hold(invitation.site, made)
    kept.save(once=not place.disk.exists(vault.NAME))
    state = State(
        invitation.site, invitation.name, invitation.origins, proxy, profile,
        desk_origins=invitation.desk_origins,
    )  # fmt: skip
    desk = Desk(kept, store, state, today)
    own_card.issue(desk, day_confirmed=False)
    return desk


def try_card(site: str, profile: Profile, today: datetime.date) -> None:
    """Raise Unfit for what a card refuses, before anything is made."""
    given, most = len(profile.register_number), cards.MAX_REGISTER_NUMBER
    if given > most:
        raise Unfit(
            f"A register number has at most {most} characters; this one has {given}.",
            "register_number_long", most=most, given=given,
        )  # fmt: skip
    given, most = max(map(len, profile.sentence.values()), default=0), cards.MAX_SENTENCE
    if given > most:
        raise Unfit(
            f"A sentence for reporters has at most {most} characters; this one has {given}.",
            "sentence_long", most=most, given=given,
        )  # fmt: skip
    seeds, _ = schedule.fill([], schedule.months(today, None))
    try:
        cards.issue(
            site=site,
            serial=1,
            issued=today,
            name=profile.name,
            kind=profile.kind,
            scope=profile.scope,
            languages=profile.languages,
            sealing=schedule.windows(seeds),
            away=None,
            signing=SigningKey.generate(),
            register_number=profile.register_number,
            sentence=profile.sentence,
        )
    except CardError as error:
        raise Unfit(f"The card cannot be made like that: {error}.") from None


def move(place: Workplace, invitation: Invitation, proxy: str | None = None) -> None:
    """Take the addresses and the name of a new invitation for a site of this desk.

    ``proxy`` takes the place of the desk's own; an empty one ends it. Raises Unfit.
    """
    if invitation.site not in place.vault.sites:
        raise Unfit(
            "This invitation is for another site than this desk belongs to; 'init' adds a site.",
            "other_site",
        )
    desk = place.desk(invitation.site)
    if proxy is not None:
        desk.state.proxy = proxy
    way = read_proxy(desk.state.proxy)
    for origin in (*invitation.origins, *invitation.desk_origins):
        read_origin(origin, way)
    desk.state.origins, desk.state.desk_origins = invitation.origins, invitation.desk_origins
    desk.state.name = invitation.name
    desk.save()


def forget(desk: Desk, mailbox: str) -> int:
    """Delete a thread from this computer for good, unopened; return the number of items.

    What stays: the ids of its items (so that they are not fetched again) and, if the counsellor
    wrote in it, the number and hash of the last own message (so that the chain can go on).
    """
    state = desk.state
    items = state.of(mailbox)
    if any(item.sent == "waiting" for item in items):
        raise DeskError("A message to this thread is still waiting; 'fetch' first, then forget.")
    gone = [item.id for item in items]
    gone += [owed.item.id for owed in state.owed.values() if owed.item.mailbox == mailbox]
    state.forgotten.update(gone)
    for item in gone:
        state.items.pop(item, None)
        state.owed.pop(item, None)
    thread = state.threads.pop(mailbox, ThreadState())
    tip = max(thread.newest.get(desk.own, (0, "")), state.tips.get(mailbox, (0, "")))
    if tip[0]:
        state.tips[mailbox] = tip
    desk.store.forget(state, mailbox)
    desk.store.drop(gone)
    return len(items)
