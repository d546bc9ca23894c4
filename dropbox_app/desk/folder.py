"""Create or open the desk's folder, and move a site to new addresses.

One desk serves several sites, and has a separate identity for each (SPEC section 3).
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
from dropbox_app.desk.transport.api_client import Courier
from dropbox_app.desk.transport.connection import HttpTransport, Transport
from dropbox_app.desk.transport.proxy import Proxy, read_origin, read_proxy
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.encoding import Json, check_day, check_hex, from_line
from dropbox_app.protocol.errors import CardError, FormatError
from dropbox_app.protocol.keys import SigningKey

MAX_ORIGINS = 10
MAX_SITE_NAME = 200
MAX_INVITATION = 16_384  # bytes
# Files that an interrupted init may leave behind. The next init continues from them.
_BEGUN = {LOCK, f"{vault.NAME}{NEW}", "sites"} | {
    name + side for name in vault.FILES for side in ("", "-wal", "-journal")
}


def utc_today() -> datetime.date:
    """Return this computer's UTC day, which is the desk's only clock."""
    return datetime.datetime.now(datetime.UTC).date()


@dataclass(frozen=True)
class Machine:
    """The environment of a desk. Tests use a different day, transport and scrypt cost."""

    today: Callable[[], datetime.date] = utc_today
    transport: Callable[[Proxy | None], Transport] = HttpTransport
    log_n: int = vault.USUAL


@dataclass(frozen=True)
class Invitation:
    """The invitation that the operator's ``init`` command printed."""

    site: str
    name: str
    origins: tuple[str, ...]
    day: datetime.date
    desk_origins: tuple[str, ...] = ()  # addresses for desks only


def read_invitation(raw: bytes) -> Invitation:
    """Read one JSON line ``{v, origins, site, name, day}``, optionally with ``desk_origins``.

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
    """Return the single line of an invitation file that a user saved.

    Notepad and PowerShell add a byte order mark, and mail programs wrap the line. Raises
    FormatError.
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
    """An open desk. Threads may share a workplace if each works on its own site."""

    disk: Disk
    vault: Vault
    database: Database
    machine: Machine
    _swept: set[str] = field(default_factory=set)
    _couriers: set[Courier | Transport] = field(default_factory=set)
    _broken_off: bool = False
    _book: Book | None = None
    _book_of: object = None  # the database version from which the book was read
    summarised: object = None  # the database version in which no summary was missing

    def change_key_if_due(self) -> None:
        """Rekey the database if data was deleted or keys were destroyed since the last rekeying."""
        if self.database.rewrite_is_due:
            before, after = self.database.rewrite(self.vault)
            if self._book_of == before:
                self._book_of = after

    def book(self) -> Book:
        """Return the current contents of the register."""
        version = self.database.version
        if self._book is None or version != self._book_of:
            self._book = Book(register.events(self.database), self._book)
            self._book_of = version
        return self._book

    def add_events(self, given: Sequence[dict[str, Json]]) -> None:
        """Store events in the register, all or none, without reading the register again."""
        book, before = self.book(), self.database.version
        register.add(self.database, given)
        after = self.database.version
        # No other data was written meanwhile: the version also counts the rows.
        if after == (before[0], before[1] + len(given)):
            self._book = book.extended(register.events(self.database, book.last))
            self._book_of = after

    def replace_events(self, changes: Sequence[tuple[int, Sequence[dict[str, Json]]]]) -> None:
        """Replace events like ``register.replace``, and update the book."""
        with self.database.transaction():  # a rollback also changes the version
            book, gone = self.book(), {number for number, _ in changes}
            register.replace(self.database, changes)
            new = [*register.some(self.database, gone), *register.events(self.database, book.last)]
            self._book = book.replaced(gone, new)
            self._book_of = self.database.version

    def desk(self, site: str) -> Desk:
        """Return the desk for one site, not connected. Raises NotSetUp or Damaged.

        The first call for a site removes the leftovers of a crash. Later calls leave such files,
        because they could belong to a fetch in progress.
        """
        store = LocalStore(self.disk, self.database, site)
        state = store.load()
        if site not in self._swept:
            store.sweep(state)
            self._swept.add(site)
        return Desk(self.vault, store, state, self.machine.today())

    def names(self, hint: str = "") -> dict[str, str]:
        """Return the names of the sites by id: all of them, or only the site that ``hint`` names.

        A complete name takes precedence over a part of a name or the beginning of an id. Raises
        NotFound.
        """
        called = rows.names(self.database)
        for site in self.vault.sites:
            if site not in called:
                self.desk(site)  # raises an error that names the missing data
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
        """Return the desks of all sites, or only of the site named by ``hint``. Raises NotFound."""
        return [self.desk(site) for site in sorted(self.names(hint))]

    def one(self, hint: str = "") -> Desk:
        """Return the desk of one site. Raises NotFound unless exactly one site matches."""
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

    @contextlib.contextmanager
    def visiting(self, desk: Desk) -> Iterator[Callable[[], Transport]]:
        """Yield a function that opens a new connection to the site, like a visitor's. Raises Unfit.

        Over Tor, each connection has its own circuit.
        """
        proxy, opened = read_proxy(desk.state.proxy), []

        def way() -> Transport:
            transport = self.machine.transport(proxy)
            opened.append(transport)
            self._couriers.add(transport)
            if self._broken_off:
                transport.break_off()
            return transport

        try:
            yield way
        finally:
            for transport in opened:
                self._couriers.discard(transport)
                transport.close()

    @property
    def is_broken_off(self) -> bool:
        """Return whether ``break_off`` was called."""
        return self._broken_off

    def break_off(self) -> None:
        """Abort all work with servers within a minute, by raising CannotReach; no data is lost.

        Call this method from another thread. After the call, no connection can be made.
        """
        self._broken_off = True
        for courier in tuple(self._couriers):
            courier.break_off()


@contextlib.contextmanager
def opened(folder: Path, passphrase: str, machine: Machine) -> Iterator[Workplace]:
    """Open a desk and lock its folder. Raises NotSetUp, InUse, WrongPassphrase, Damaged.

    A desk of the first format is migrated first. If data was deleted or keys were destroyed, the
    database gets a new key at the end, or at the next start if the work is interrupted.
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
            except Exception:  # any exception; it is raised again below, so none is hidden
                # A fetch that failed halfway may have destroyed keys, and then the database needs a
                # new key.
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
    """Create a desk for the invitation's site, or add the site to the desk in the folder.

    After a crash, running the same command again finishes the work. Raises AlreadyThere if the site
    is already set up here, Unfit, WrongPassphrase.
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
    """Raise Unfit for unusable values, before anything is created."""
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
    """Add a site to an open desk. Raises Unfit, AlreadyThere."""
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
    """Raise Unfit for values that a card cannot contain, before anything is created."""
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
    """Adopt the addresses and name in a new invitation for a site of this desk.

    ``proxy`` replaces the existing proxy; "" removes it, and None keeps it. Raises Unfit.
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
    """Permanently delete a thread from this computer without opening it; return its item count.

    The ids of the thread's items remain, so that the items are not fetched again. If the counsellor
    wrote in the thread, the number and hash of the counsellor's last message also remain, so that
    the chain can continue.
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
