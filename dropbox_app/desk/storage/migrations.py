"""Convert desks of the first format (state and archive as age files) to the database.

All new files are written alongside the old desk and compared with it. Only then is the vault
written with the name of the database; this switches to the new format. If the program is killed
before that write, the old desk remains in use and the next start repeats the conversion. If the
program is killed after that write, the next start removes the rest of the old desk. After a
failure, the new files are removed and the old desk is unchanged.
"""

import datetime
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from dropbox_app.desk.errors import Damaged, DeskError
from dropbox_app.desk.storage import database as databases
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.storage.database import Database
from dropbox_app.desk.storage.item_store import LocalStore
from dropbox_app.desk.storage.state import Item, Items, Owed, Profile, Sent, State, ThreadState
from dropbox_app.desk.storage.vault import Vault
from dropbox_app.protocol import age
from dropbox_app.protocol.card import Away, Kind, Scope
from dropbox_app.protocol.encoding import (
    Json,
    check_day,
    check_hex,
    from_line,
    new_digest,
    sha256_hex,
)
from dropbox_app.protocol.errors import AgeError, FormatError, KlankbordError
from dropbox_app.protocol.fields import (
    flag_of,
    number_of,
    object_of,
    objects_of,
    one_of,
    text_of,
    texts_of,
)
from dropbox_app.protocol.keys import Seed, VerifyKey
from dropbox_app.protocol.stream import CHUNK

_ROOM = 64 * 1024 * 1024  # bytes that must be free besides the size of the copy


def take_over(disk: Disk, vault: Vault) -> None:
    """Convert a desk of the first format. Raises Damaged, DeskError or OSError.

    ``vault.archive`` is None afterwards. After any exception, the desk is unchanged.
    """
    archive = vault.archive
    if archive is None:
        return
    _need_room(disk)
    made: list[str] = []
    try:
        database = Database.create(disk, vault.database)
        try:
            stores = []
            for site in vault.sites:
                old = _OldStore(disk, site, archive, vault.openers(site))
                if old.exists():
                    store = LocalStore(disk, database, site)
                    stores.append((old, store, _copy(old, store, made)))
            database.flush()
            for old, store, state in stores:
                _compare(old, store, state)
            if database.run("PRAGMA quick_check") != [("ok",)]:
                raise Damaged("the database that was made of it is damaged")
        finally:
            database.close()
        disk.step("the copy is complete")
        vault.archive = None
        vault.save()
    except (KlankbordError, OSError) as error:
        vault.archive = archive
        databases.remove(disk, vault.database.file)
        disk.remove(*made)
        raise Damaged(
            f"This desk was made by an older version and could not be taken over ({error}). "
            "Nothing was changed: the older version still opens it."
        ) from None
    disk.step("taken over")
    for site in vault.sites:  # if this is interrupted, the next start finishes it
        disk.remove(f"sites/{site}/state.age")


def _need_room(disk: Disk) -> None:
    """Raise DeskError, before anything is written, if a second copy of all items does not fit."""
    size = sum(path.stat().st_size for path in disk.root.rglob("*.age"))
    free = shutil.disk_usage(disk.root).free
    if free < size + _ROOM:
        raise DeskError(
            "This desk was made by an older version. To take it over, this disk needs "
            f"{(size + _ROOM - free) // 1_000_000 + 1} MB more of free space. Nothing was changed."
        )


class _OldStore:
    """The folder ``sites/SITE`` in the first format."""

    def __init__(self, disk: Disk, site: str, archive: Seed, seeds: Sequence[Seed]) -> None:
        self.disk = disk
        self.archive = archive
        self.seeds = seeds
        self.folder = f"sites/{site}"

    def exists(self) -> bool:
        """Return whether the site's state was written. An interrupted ``init`` leaves no state."""
        return self.disk.exists(f"{self.folder}/state.age")

    def state(self) -> State:
        """Read the state. Raises AgeError or FormatError."""
        sealed = self.disk.read(f"{self.folder}/state.age")
        return _read(age.open_sealed(sealed, [self.archive]))

    def path(self, item: str) -> Path:
        """Return the path of an item's file."""
        return self.disk.path(f"{self.folder}/items/{item}.age")

    def original(self, item: str) -> bytes | None:
        """Return a message's bytes as received, if the desk still has them."""
        for folder in ("items", "kept"):
            path = self.disk.path(f"{self.folder}/{folder}/{item}.age")
            if path.is_file() and sha256_hex(sealed := path.read_bytes()) == item:
                return sealed
        return None

    def openers(self, item: str) -> list[Seed]:
        """Return the keys that may open an item's file."""
        digest = new_digest()
        for piece in _pieces(self.path(item)):
            digest.update(piece)
        return [*self.seeds] if digest.hexdigest() == item else [self.archive]

    def contents(self, item: Item) -> bytes | None:
        """Return the contents of a message; None if it cannot be opened."""
        if not item.sealed_for or not self.path(item.id).is_file():
            return None
        try:
            return age.open_sealed(self.path(item.id).read_bytes(), self.openers(item.id))
        except AgeError:
            return None


def _copy(old: _OldStore, store: LocalStore, made: list[str]) -> State:
    """Write the state, all readable messages and all attachments; add new files to ``made``."""
    state = old.state()
    store.save(state)
    for item in state.items.values():
        contents = old.contents(item) if item.what == "message" else None
        if contents is not None and store.enter(item, contents, old.original(item.id)):
            continue
        if item.sealed_for and old.path(item.id).is_file():
            with old.path(item.id).open("rb") as file:
                try:
                    header, file_key = age.unwrap(file.read, old.openers(item.id))
                except AgeError:
                    continue  # it remains a file
                file.seek(len(header))
                made.append(f"{old.folder}/items/{item.id}.body")
                payload = iter(_reader(file.read), b"")
                store.keep_body(item.id, header, file_key, payload, old.disk)
    return state


def _compare(old: _OldStore, store: LocalStore, state: State) -> None:
    """Compare the copy with the old desk: the state, and the contents of every message."""
    if store.load() != state:
        raise Damaged("what it knows of a site did not come through")
    for item in state.items.values():
        if item.what == "message":
            contents = old.contents(item)
            if contents is not None and store.open(item, ()).plaintext != contents:
                raise Damaged("a message did not come through")
            if item.sent != "received" and old.original(item.id) != store.original(item.id):
                raise Damaged("an own message did not come through")
        elif store.is_parted(item.id) and store.digest(item.id) != _digest(old.path(item.id)):
            raise Damaged("a file did not come through")


def _reader(read: Callable[[int], bytes]) -> Callable[[], bytes]:
    return lambda: read(CHUNK)


def _digest(path: Path) -> str:
    digest = new_digest()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _read(line: bytes) -> State:
    """Read the one JSON line of a state of the first format. Raises FormatError."""
    fields = from_line(line)
    if number_of(fields, "v") != 1:
        raise FormatError("it was written by a newer version")
    read_to_end = fields.get("read_to_end")
    state = State(
        site=check_hex(text_of(fields, "site"), 16),
        name=text_of(fields, "name"),
        origins=tuple(texts_of(fields, "origins")),
        proxy=text_of(fields, "proxy"),
        profile=_read_profile(object_of(fields, "profile")),
        desk_origins=tuple(texts_of(fields, "desk_origins") if "desk_origins" in fields else ()),
        card=text_of(fields, "card").encode("utf-8"),
        serial=number_of(fields, "serial"),
        published=flag_of(fields, "published"),
        confirmed=flag_of(fields, "confirmed"),
        away=_read_away(fields.get("away")),
        store=text_of(fields, "store"),
        number=number_of(fields, "number"),
        read_to_end=None if read_to_end is None else _day(fields, "read_to_end"),
        restored=flag_of(fields, "restored"),
        resend=flag_of(fields, "resend"),
        items=Items(map(_read_item, objects_of(fields, "items"))),
        forgotten={check_hex(item, 32) for item in texts_of(fields, "forgotten")},
    )
    for entry in objects_of(fields, "owed"):
        item = _read_item(entry)
        state.owed[item.id] = Owed(item, _day(entry, "since"), flag_of(entry, "wrong"))
    for entry in objects_of(fields, "threads"):
        state.threads[check_hex(text_of(entry, "mailbox"), 32)] = ThreadState(
            verify=text_of(entry, "verify"),
            recipient=text_of(entry, "recipient"),
            gone=flag_of(entry, "gone"),
            withdrawn=flag_of(entry, "withdrawn"),
        )
    for entry in objects_of(fields, "pins"):
        pinned = (number_of(entry, "n"), check_hex(text_of(entry, "digest"), 32))
        known = state.thread(text_of(entry, "mailbox"))
        known.newest = {**known.newest, text_of(entry, "by"): pinned}
    for entry in objects_of(fields, "listed"):
        known = state.thread(text_of(entry, "mailbox"))
        known.listed = {**known.listed, text_of(entry, "by"): number_of(entry, "n")}
    for entry in objects_of(fields, "tips"):
        tip = (number_of(entry, "n"), check_hex(text_of(entry, "digest"), 32))
        state.tips[check_hex(text_of(entry, "mailbox"), 32)] = tip
    if "names" in fields:  # older versions did not write this field
        for entry in objects_of(fields, "names"):
            state.names[text_of(entry, "by")] = text_of(entry, "name")
    return state


def _read_item(fields: Mapping[str, Json]) -> Item:
    return Item(
        id=check_hex(text_of(fields, "id"), 32),
        mailbox=check_hex(text_of(fields, "mailbox"), 32),
        what=text_of(fields, "what"),
        server_says=text_of(fields, "server_says"),
        n=number_of(fields, "n"),
        day=_day(fields, "day"),
        size=number_of(fields, "size"),
        store=text_of(fields, "store"),
        sealed_for=number_of(fields, "sealed_for"),
        fetched=flag_of(fields, "fetched"),
        checked=flag_of(fields, "checked"),
        sent=cast(Sent, one_of(fields, "sent", get_args(Sent))),
        seen=flag_of(fields, "seen"),
    )


def _read_away(value: Json) -> Away | None:
    if not isinstance(value, dict):
        return None
    stand_in = value.get("stand_in")
    return Away(
        _day(value, "until"), VerifyKey.parse(stand_in) if isinstance(stand_in, str) else None
    )


def _read_profile(value: Mapping[str, Json]) -> Profile:
    return Profile(
        text_of(value, "name"),
        cast(Kind, one_of(value, "kind", get_args(Kind))),
        cast(Scope, one_of(value, "scope", get_args(Scope))),
        tuple(texts_of(value, "languages")),
    )


def _day(fields: Mapping[str, Json], key: str) -> datetime.date:
    return check_day(text_of(fields, key))
