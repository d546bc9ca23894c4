"""Removed data is gone from the database, its log, its free pages, the folder and open files."""

import contextlib
import json
import random
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.store import connections
from dropbox_app.server.store.interface import ItemInfo, Store
from tests.security.leaks.conftest import purge, site_of
from tests.support.drop_box import DropBox
from tests.support.hostile_pages import Hostile
from tests.support.journey import post
from tests.support.programs import FAKETIME, needs_faketime
from tests.support.server_folder import ANNA, DAY, AServer
from tests.support.steps import come_back
from tests.support.syscalls import held_by

WINDOW = 64  # bytes: no consecutive piece of removed data longer than this remains anywhere
BLOCK = 16  # bytes: at most half of WINDOW
MARK = b"<gone-and-gone->"


def sealed_items(box: DropBox) -> dict[str, bytes]:
    """Return every sealed item on the server: id and bytes."""
    with contextlib.closing(
        sqlite3.connect(f"file:{box.folder}/klankbord.db?mode=ro", uri=True)
    ) as db:
        found = dict(db.execute("SELECT item, file FROM sealed"))
    return found | {p.name: p.read_bytes() for p in (box.folder / "files").iterdir()}


def names(box: DropBox) -> set[str]:
    """Return the ids of every mailbox, its access and its items."""
    with contextlib.closing(
        sqlite3.connect(f"file:{box.folder}/klankbord.db?mode=ro", uri=True)
    ) as db:
        rows = db.execute(
            "SELECT mailbox, access FROM mailboxes UNION SELECT item, item FROM items"
        )
        return {name for row in rows for name in row if name}


def everything(box: DropBox) -> Iterator[tuple[str, bytes]]:
    """Yield all files in the folder and everything else that server processes have open."""
    for path in sorted(box.folder.rglob("*"), key=lambda path: not path.name.startswith("klank")):
        if path.is_file():  # the database first
            yield path.name, path.read_bytes()
    for pid in box.processes():
        yield from held_by(pid, box.folder)


def windows(sealed: bytes) -> set[bytes]:
    """Return pieces of a file; any 2 x WINDOW consecutive bytes of a small file contain a piece."""
    start = sealed.index(b"\n", 60)  # what every sealed file begins with
    step = WINDOW if len(sealed) < 1 << 20 else 256 * WINDOW  # these are separate files
    return {sealed[at : at + WINDOW] for at in range(start, len(sealed) - WINDOW, step)}


def left_of(box: DropBox, items: dict[str, bytes]) -> Iterator[str]:
    """Yield where pieces of these items remain. Fewer pieces are searched for large ones.

    Any piece completely contains at least one of the consecutive blocks of BLOCK bytes in the
    searched data, so only these blocks are looked up.
    """
    pieces = {
        piece[at : at + BLOCK]: piece
        for sealed in items.values()
        for piece in windows(sealed)
        for at in range(WINDOW - BLOCK + 1)
    }
    for where, data in everything(box):
        blocks = {data[at : at + BLOCK] for at in range(0, len(data), BLOCK)}
        if any(pieces[one] in data for one in blocks & pieces.keys()):
            yield where


def unclean_pages(database: Path) -> list[int]:
    """Return the free database pages that contain anything but zeros (and list page numbers)."""
    raw = database.read_bytes()
    size = int.from_bytes(raw[16:18], "big")
    size = 65_536 if size == 1 else size
    trunk, count, unclean = int.from_bytes(raw[32:36], "big"), 0, []
    while trunk:
        page = raw[(trunk - 1) * size : trunk * size]
        leaves = int.from_bytes(page[4:8], "big")
        numbers = [int.from_bytes(page[8 + 4 * i : 12 + 4 * i], "big") for i in range(leaves)]
        count += 1 + leaves
        # After the list there may be older page numbers, and nothing else.
        rest = {int.from_bytes(page[i : i + 4], "big") for i in range(8 + 4 * leaves, size, 4)}
        if max(rest) > len(raw) // size:
            unclean.append(trunk)
        unclean += [n for n in numbers if any(raw[(n - 1) * size : n * size])]
        trunk = int.from_bytes(page[:4], "big")
    assert count == int.from_bytes(raw[36:40], "big"), "this test reads the list wrongly"
    return unclean


def tell_bas(box: DropBox, bas: Hostile, text: str) -> str:
    """Report to the second counsellor; return the code."""
    fields = {"text": text, "counsellor": bas.signing.verify_key.hex}
    return post(box.browser(), "/nl/report", fields).code


def put_file(box: DropBox, bas: Hostile, mailbox: str, size: int) -> bytes:
    """Upload a desk's file sealed to two people; return the sent bytes."""
    content = secrets.token_bytes(attachment_size(size))
    sealed = age.seal(content, [bas.seed.recipient()] * 2)
    target = f"/api/desk/mailboxes/{mailbox}/files/{sha256_hex(sealed)}"
    assert bas.ask("PUT", target, sealed)[0] == 200
    return sealed


@pytest.fixture
def bas(box: DropBox, tmp_path: Path) -> Hostile:
    return Hostile(box, site_of(box), tmp_path)


@pytest.mark.parametrize("how", ["withdrawn", "purged"])
def test_no_64_bytes_of_removed_data_remain(box: DropBox, bas: Hostile, how: str) -> None:
    """Reports of all sizes, an answer and a large file are removed while the server runs."""
    if how == "purged" and FAKETIME is None:
        pytest.skip("Debian's faketime is not installed")
    codes = [tell_bas(box, bas, "Kort. " * many) for many in (1, 3000, 9000)]
    mailboxes = sorted({item["mailbox"] for item in bas.inbox()})
    for number, mailbox in enumerate(mailboxes):
        put_file(box, bas, mailbox, 1_050_000 + number)
        short = age.seal(bytes(8192), [bas.seed.recipient()] * 2)
        assert bas.send(mailbox, 1, [bas.signing.verify_key], short) == 200
    before, known = sealed_items(box), names(box)
    assert sorted(len(one) > 1_050_000 for one in before.values())[-3:] == [True] * 3
    some = dict(list(before.items())[:1])
    assert next(left_of(box, some), ""), "this test cannot see what is there"
    kept: dict[str, bytes] = {}
    if how == "purged":
        assert "removed: 3 mailboxes" in purge(box)
    else:
        last = codes.pop()  # this one stays
        for code in codes:
            browser = box.browser()
            come_back(browser, "nl", code)
            page = browser.get("/nl/withdraw")
            assert browser.submit(page, page.form_with("sure"), sure="y").path == "/nl/withdrawn"
        kept = {name: one for name, one in sealed_items(box).items() if name in before}
        assert len(kept) == 3
        assert "Kort." in come_back(box.browser(), "nl", last).text
    gone = {name: sealed for name, sealed in before.items() if name not in kept}
    assert list(left_of(box, gone)) == []
    assert len(list((box.folder / "files").iterdir())) == (1 if kept else 0)
    listed = (box.folder / "withdrawn").read_text() if how == "withdrawn" else ""
    now = list(everything(box))
    for name in known - names(box):
        holders = {where for where, data in now if name.encode() in data}
        assert holders <= ({"withdrawn"} if name in listed else set()), holders
    assert unclean_pages(box.folder / "klankbord.db") == []
    assert (box.folder / "klankbord.db-wal").stat().st_size == 0
    assert json.loads(box.server("doctor", "--site", ".", "--json").stdout)


# With these seeds it failed before the cover was added.
@pytest.mark.parametrize("seed", [16, 28, 31, 37, 39, 49])
def test_splitting_and_merging_database_pages_leaves_no_copy_of_a_sealed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """300 mailboxes come and go in random order, so that shared pages fill, split and merge.

    SQLite leaves copies of rows there that secure_delete does not reach: these may contain only the
    cover of a sealed file, and its id.
    """
    _set(monkeypatch, "synchronous = OFF")
    store = _come_and_go(tmp_path, seed)
    left = b"".join(p.read_bytes() for p in (tmp_path / "site").rglob("*") if p.is_file())
    assert MARK not in left
    assert unclean_pages(tmp_path / "site" / "klankbord.db") == []
    store.close()


def test_without_secure_delete_removed_data_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, "synchronous = OFF", "secure_delete = OFF")
    store = _come_and_go(tmp_path, 1)
    assert MARK in (tmp_path / "site" / "klankbord.db").read_bytes()
    assert unclean_pages(tmp_path / "site" / "klankbord.db")
    store.close()


def _set(monkeypatch: pytest.MonkeyPatch, *settings: str) -> None:
    """Apply these settings to every database connection, after the connection's own settings."""
    connect = connections.connect

    def altered(path: Path) -> sqlite3.Connection:
        made = connect(path)
        for setting in settings:
            made.execute(f"PRAGMA {setting}")
        return made

    monkeypatch.setattr(connections, "connect", altered)


def _come_and_go(folder: Path, seed: int) -> Store:
    chance = random.Random(seed)  # noqa: S311 - repeatable from its seed
    store = AServer(folder / "site").store
    going: list[str] = []
    for _ in range(300):
        goes = chance.random() < 0.6
        mailbox, access, item = (
            chance.randbytes(12).hex() + "0" * 16 + chance.randbytes(12).hex() for _ in range(3)
        )
        size = chance.choice((11_408, 11_408, 35_984))
        sealed = chance.randbytes(size)
        if goes:
            sealed = (MARK + chance.randbytes(16)) * (size // 32)
            going.append(mailbox)
        with store.writing():
            store.add_mailbox(mailbox, access, DAY)
            info = ItemInfo(item, "message", "reporter", 1, DAY, len(sealed))
            store.add_item(mailbox, info, sealed)
            store.address(item, [ANNA.hex])
        if len(going) > 20 and chance.random() < 0.3:
            with store.writing():
                store.remove_mailbox(going.pop(chance.randrange(len(going))))
    chance.shuffle(going)
    for mailbox in going:
        with store.writing():
            store.remove_mailbox(mailbox)
    assert store.truncate_log()
    return store


@needs_faketime
def test_no_process_keeps_a_removed_desk_file_open(box: DropBox, bas: Hostile) -> None:
    """A desk fetches half of a file and disconnects; after the purge no process has it open."""
    tell_bas(box, bas, "Kort.")
    (item,) = bas.inbox()
    sealed = put_file(box, bas, item["mailbox"], 3_000_000)
    message = age.seal(bytes(8192), [bas.seed.recipient()] * 2)
    assert bas.send(item["mailbox"], 1, [bas.signing.verify_key], message) == 200
    assert bas.ask("GET", f"/api/desk/items/{sha256_hex(sealed)}") == (200, sealed)
    purge(box)
    for pid in box.processes():
        for where, data in held_by(pid, box.folder):
            assert sealed[5000:5064] not in data, where
            # A heartbeat file, and the workers' tables in memory, which never had a name on a disk.
            ours = "wgunicorn" in where or "memfd:klankbord" in where
            assert "(deleted)" not in where or ours, where
    assert list((box.folder / "files").iterdir()) == []
