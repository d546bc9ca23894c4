"""Files at the desk in both directions: intact, verified, and written only where requested."""

import json
import os
import random
import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.desk.threads import attachments
from dropbox_app.desk.untrusted_files.inspect import safe_name
from dropbox_app.protocol import age
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.padding import attachment_size
from tests.desk.conftest import Office
from tests.support.chance import seed
from tests.support.fake_server import Clock, Peer, Reporter

PATTERN = b"Dit staat nergens in het klaar. " * 40
EDGES = (0, 1, 2, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 100_000)


def put(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.fixture
def answer(tmp_path: Path) -> list[str]:
    """Return the arguments of a reply, without its files."""
    return ["--text-file", put(tmp_path, "answer.txt", b"Zie bijlage")]


def states(office: Office, thread: str, code: int = 0) -> dict[str, str]:
    shown = office.run("files", thread, "--json", code=code).stdout
    return {one["item"]: one["state"] for one in json.loads(shown)}


def test_saved_file_equals_the_sent_file_and_the_server_sees_only_padded_sizes(
    office: Office, peer: Peer, tmp_path: Path, long_run: bool
) -> None:
    chance = random.Random(seed())  # noqa: S311 - sizes, no secrets
    many = 990 if long_run else 20
    sizes = [*EDGES, *(int(2 ** chance.uniform(0, 21 if long_run else 18)) for _ in range(many))]
    # One reporter per thirty files, because long threads are slow.
    for at in range(0, len(sizes), 30):
        sent: dict[str, bytes] = {}
        reporter = Reporter(peer, office.identity)
        reporter.report("Het begin")
        for part in (sizes[at : at + 10], sizes[at + 10 : at + 20], sizes[at + 20 : at + 30]):
            contents = [chance.randbytes(size) for size in part]
            named = [(f"{n}.bin", "application/octet-stream", c) for n, c in enumerate(contents)]
            sent |= zip(reporter.attach("Tien", *named), contents, strict=True)
        for item, content in sent.items():
            assert len(peer.items[item].sealed) == sealed_length(attachment_size(len(content)), 1)
        office.fetch_quietly()
        for item, content in sent.items():
            out = tmp_path / item
            office.run("save", reporter.mailbox, item, "--out", str(out))
            assert out.read_bytes() == content
            out.unlink()
        office.forget(reporter.mailbox)
        peer.gone.add(reporter.mailbox)


def test_desk_folder_contains_no_plaintext_of_a_file(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, answer: list[str]
) -> None:
    reporter.attach("Een", ("mijn-foto.bin", "application/octet-stream", PATTERN))
    office.fetch_quietly()
    office.run("reply", thread, *answer, "--file", put(tmp_path, "folder.bin", PATTERN))
    for path in office.folder.rglob("*"):
        held = path.read_bytes() if path.is_file() else b""
        assert PATTERN[:32] not in held
        assert b"mijn-foto" not in held
        assert b"folder.bin" not in held


def test_forgetting_a_thread_deletes_its_files(
    office: Office, reporter: Reporter, thread: str
) -> None:
    (item,) = reporter.attach("Een", ("a", "text/plain", PATTERN))
    office.fetch_quietly()
    assert list(office.folder.rglob(f"{item}.body"))
    office.forget(thread)
    assert not list(office.folder.rglob(f"{item}.*"))


# files altered by the server, the disk or the sender


def halves_swapped(sealed: bytes) -> bytes:
    """Return a payload with its first two chunks swapped."""
    head = sealed.index(b"\n--- ") + 5 + 43 + 1 + 16
    chunk = 65_536 + 16
    first, second = sealed[head : head + chunk], sealed[head + chunk : head + 2 * chunk]
    return sealed[:head] + second + first + sealed[head + 2 * chunk :]


LIES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda sealed: sealed[:-1],
    "reordered": halves_swapped,
    "flipped": lambda sealed: sealed[:-30] + bytes([sealed[-30] ^ 1]) + sealed[-29:],
    "empty": lambda sealed: b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_altered_file_is_refused_and_named(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path, lie: str
) -> None:
    (item,) = reporter.attach("Een", ("foto.jpg", "image/jpeg", bytes(200_000)))
    peer.lies[item] = LIES[lie](peer.items[item].sealed)
    assert peer.lies[item] != peer.items[item].sealed
    office.fetch()
    assert states(office, thread, code=1) == {item: "swapped"}
    assert "NOT HERE: the server handed over something else" in office.run("read", thread).stdout
    told = office.run("save", thread, item[:8], "--out", str(tmp_path / "x"), code=1)
    assert "Nothing was written" in told.output
    assert not (tmp_path / "x").exists()


def test_swapped_file_is_refused(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    one, two = reporter.attach("Twee", ("a", "text/plain", b"a"), ("b", "text/plain", b"b"))
    peer.lies[one] = peer.items[two].sealed
    office.fetch()
    assert states(office, thread, code=1) == {one: "swapped", two: "here"}


def test_listed_but_undelivered_file_is_shown_as_withheld(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    (item,) = reporter.attach("Een", ("a", "text/plain", b"a"))
    peer.withheld.add(item)
    office.fetch()
    assert states(office, thread, code=1) == {item: "withheld"}
    assert "WITHHELD" in office.run("read", thread).stdout
    peer.withheld.clear()
    office.fetch()
    assert states(office, thread) == {item: "here"}


def test_unlisted_file_is_shown_as_missing(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    (item,) = reporter.attach("Een", ("a", "text/plain", b"a"))
    peer.hidden.add(item)
    office.fetch()
    assert states(office, thread, code=1) == {item: "missing"}
    assert "MISSING: the signed message names it" in office.run("read", thread).stdout
    (shown,) = office.json("read", thread)["messages"][-1]["attachments"]
    assert shown["state"] == "missing"


def test_file_that_no_message_names_is_shown_as_added_and_not_opened(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path
) -> None:
    (item,) = reporter.attach("Een", ("a", "text/plain", b"a"))
    nonsense = age.seal(b"onzin", [Seed.generate().recipient()])
    added = peer.keep(thread, "attachment", "reporter", 2, nonsense, peer.items[item].to)
    office.fetch()
    assert states(office, thread, code=1) == {item: "here", added: "added"}
    shown = office.run("read", thread).stdout
    assert f"File {added[:8]}: ADDED: no message" in shown
    assert office.json("read", thread)["unnamed_files"] == [{"item": added, "state": "added"}]
    told = office.run("save", thread, added, "--out", str(tmp_path / "x"), code=1)
    assert "ADDED" in told.output
    assert not (tmp_path / "x").exists()


def test_file_that_arrives_before_its_message_raises_no_alarm(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    (item,) = reporter.attach("Een", ("a", "text/plain", b"a"))
    (message,) = [i for i, k in peer.items.items() if k.what == "message" and k.n == 2]
    peer.hidden.add(message)
    office.fetch()
    assert states(office, thread) == {item: "early"}


def test_signed_message_and_not_the_server_decides_whether_an_item_is_a_file(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: Path
) -> None:
    (item,) = reporter.attach("Een", ("a.bin", "application/octet-stream", PATTERN))
    peer.items[item].what = "message"
    office.fetch()
    assert states(office, thread) == {item: "here"}
    assert "COULD NOT BE VERIFIED" not in office.run("read", thread).stdout
    office.run("save", thread, item, "--out", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == PATTERN


@pytest.mark.parametrize(
    ("size", "state"), [(99, "other_size"), (101, "other_size"), (40_000, "other_size"),
                        (100, "here")],
)  # fmt: skip
def test_size_differing_from_the_signed_one_is_reported(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, size: int, state: str
) -> None:
    (item,) = reporter.attach("Een", ("a", "text/plain", b"y" * 99 + b"z"), sizes=[size])
    if size == 101:
        # One more zero falls within the padding: trailing zeros cannot be told from padding.
        state = "here"
    office.fetch_quietly()
    assert states(office, thread, code=0 if state == "here" else 1) == {item: state}
    out = tmp_path / "x"
    office.run("save", thread, item, "--out", str(out), code=0 if state == "here" else 1)
    assert out.exists() is (state == "here")


@pytest.mark.parametrize("how", ["flipped", "cut", "gone", "another"])
def test_file_altered_on_the_disk_of_the_desk_is_reported(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, how: str
) -> None:
    item, two = reporter.attach("Een", ("a", "text/plain", PATTERN), ("b", "text/plain", b"b"))
    office.fetch_quietly()
    (path,) = office.folder.rglob(f"{item}.body")
    (other,) = office.folder.rglob(f"{two}.body")
    sealed = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {"flipped": sealed[:-1] + bytes([sealed[-1] ^ 1]), "cut": sealed[:-20],
             "another": other.read_bytes()}[how]
        )  # fmt: skip
    expected = "lost" if how == "gone" else "altered"
    assert states(office, thread, code=1) == {item: expected, two: "here"}
    told = office.run("save", thread, item, "--out", str(tmp_path / "x"), code=1)
    assert attachments.SAID[expected] in told.output
    assert not (tmp_path / "x").exists()


def test_file_can_be_read_after_its_sealing_key_was_destroyed(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, clock: Clock
) -> None:
    """The database keeps the file key, which yields the same bytes."""
    (item,) = reporter.attach("Een", ("a", "text/plain", PATTERN * 200))
    office.fetch_quietly()
    with office.desk() as desk:
        before = desk.vault.seeds(desk.state.site)[0]
    clock.to("2027-09-01")
    office.fetch_quietly()
    with office.desk() as desk:
        assert before not in desk.vault.seeds(desk.state.site)
    assert states(office, thread) == {item: "here"}
    office.run("save", thread, item, "--out", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == PATTERN * 200


# where files are saved


def test_saved_file_is_private_and_its_date_reveals_no_time_of_day(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    (item,) = reporter.attach("Een", ("../../x.txt", "text/plain", PATTERN))
    office.fetch_quietly()
    folder = tmp_path / "evidence"
    folder.mkdir()
    old = os.umask(0)
    try:
        office.run("save", thread, item, "--out", str(folder))
    finally:
        os.umask(old)
    (saved,) = folder.iterdir()
    assert saved.name == safe_name("../../x.txt")
    told = saved.stat()
    assert stat.S_IMODE(told.st_mode) == 0o600
    assert told.st_mtime % 86_400 == 0
    saved.write_bytes(b"mine")
    again = office.run("save", thread, item, "--out", str(saved), code=1)
    assert "not overwritten" in again.output
    assert saved.read_bytes() == b"mine"


def test_second_file_with_the_same_name_gets_a_number(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    one, two = reporter.attach(
        "Twee", ("image.jpg", "image/jpeg", PATTERN), ("image.jpg", "image/jpeg", b"b")
    )
    office.fetch_quietly()
    for item in (one, two):
        office.run("save", thread, item, "--out", str(tmp_path))
    assert (tmp_path / "image.jpg").read_bytes() == PATTERN
    assert (tmp_path / "image (2).jpg").read_bytes() == b"b"


def test_symbolic_link_is_not_followed(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    (item,) = reporter.attach("Een", ("x.txt", "text/plain", PATTERN))
    office.fetch_quietly()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    office.run("save", thread, item, "--out", str(tmp_path / "link"), code=1)
    assert not (tmp_path / "elsewhere").exists()


def test_saving_to_a_full_disk_leaves_nothing_behind(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = reporter.attach("Een", ("x.bin", "application/octet-stream", bytes(200_000)))
    office.fetch_quietly()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dropbox_app.desk.storage.atomic_files.os.fsync", full)
    told = office.run("save", thread, item, "--out", str(tmp_path / "x"), code=1)
    assert "No space left" in told.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["1234567", "ffffffff", "zz"])
def test_unknown_file_is_reported(office: Office, thread: str, name: str) -> None:
    told = office.run("save", thread, name, "--out", "x", code=1)
    assert "'files'" in told.output


def test_large_file_needs_little_memory(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    """Sealing, reading twice and writing a file each use a few chunks of memory."""
    large = 24 * 1024 * 1024
    item = sent_large(reporter, large)
    office.fetch_quietly()
    out = tmp_path / "x"
    tracemalloc.start()
    try:
        office.run("save", thread, item, "--out", str(out))
        saving = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        with office.desk() as desk:
            pieces = (bytes(65_536) for _ in range(large // 65_536))
            desk.store.seal(pieces, [Seed.generate().recipient()])
        sealing = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert out.stat().st_size == large
    assert max(saving, sealing) < large / 4


def sent_large(reporter: Reporter, size: int) -> str:
    (item,) = reporter.attach("Groot", ("x.bin", "application/octet-stream", bytes(size)))
    return item
