"""Forward secrecy with real files and a moved clock (SPEC sections 3 and 11).

The thief has the server's sealed items as they were in January, and later the desk's whole folder
with its passphrase. The real server and its disk are in tests/e2e; here the server is in memory.
"""

import re
import shutil
from pathlib import Path

import pytest

from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.protocol import age
from dropbox_app.protocol.errors import AgeError
from dropbox_app.protocol.keys import Seed
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.test_disk import Killed
from tests.support.fake_server import Clock, Peer, Reporter


def stolen_seeds(folder: Path) -> list[Seed]:
    """Every age identity that a folder yields to somebody who has the passphrase.

    What the vault opens is looked through, and with the keys found, every other file too.
    """
    contents = []
    for file in folder.rglob("*"):
        if file.is_file():
            contents.append(file.read_bytes())
            try:
                contents.append(age.open_with_passphrase(contents[-1], PASSPHRASE))
            except AgeError:
                continue
    seeds: dict[str, Seed] = {}
    while True:
        found = {
            text.decode()
            for one in contents
            for text in re.findall(rb"AGE-SECRET-KEY-PQ-1[0-9A-Z]+", one)
        } - set(seeds)
        if not found:
            return list(seeds.values())
        seeds |= {text: Seed.parse(text) for text in found}
        contents += opened([one for one in contents if one.startswith(b"age-")], [*seeds.values()])


def opened(sealed: list[bytes], seeds: list[Seed]) -> list[bytes]:
    contents = []
    for one in sealed:
        try:
            contents.append(age.open_sealed(one, seeds))
        except AgeError:
            continue
    return contents


@pytest.fixture
def january(office: Office, peer: Peer) -> list[bytes]:
    """Two reports, fetched; one of them forgotten. What the server had of them."""
    forgotten, kept = Reporter(peer, office.identity), Reporter(peer, office.identity)
    forgotten.report("Dit wordt vergeten.")
    kept.report("Dit blijft bewaard.")
    office.fetch_quietly()
    office.reply(kept.mailbox, "Ook dit blijft.")
    server = [item.sealed for item in peer.items.values()]
    seeds = stolen_seeds(office.folder)
    assert len(opened(server, seeds)) == 3  # the control: in January all of it opens
    office.forget(forgotten.mailbox)
    office.kept = kept.mailbox  # type: ignore[attr-defined] # the tests ask for it
    return server


def _kept_texts(office: Office) -> list[str]:
    mailbox: str = office.kept  # type: ignore[attr-defined] # set by the fixture above
    return office.texts(mailbox)


def test_in_april_nothing_of_january_opens_if_all_was_fetched(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    for day in ("2027-02-03", "2027-03-01", "2027-04-04"):
        clock.to(day)
        office.fetch_quietly()
    thief = Path(shutil.copytree(office.folder, office.folder.with_name("stolen")))
    assert opened(january, stolen_seeds(thief)) == []
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]
    assert not any(b"vergeten" in file.read_bytes() for file in _files(thief))


def test_in_september_nothing_of_january_opens_in_any_case(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    """Not fetched since; the first round after seven months destroys the key."""
    clock.to("2027-09-01")
    office.fetch_quietly()
    assert opened(january, stolen_seeds(office.folder)) == []
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]


def test_the_key_goes_on_the_day_that_was_announced(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    """30 days after the end of January, and the inbox was read after 1 February."""
    for day, left in (("2027-02-03", 3), ("2027-03-01", 3), ("2027-03-02", 0)):
        clock.to(day)
        office.fetch_quietly()
        assert len(opened(january, stolen_seeds(office.folder))) == left


def test_an_inbox_that_is_not_read_to_its_end_keeps_the_key_until_day_210(
    office: Office, january: list[bytes], peer: Peer, clock: Clock
) -> None:
    """A server that hands over another file than listed: the key may still be needed."""
    late = Reporter(peer, office.identity)
    late.report("Nog onderweg.")
    item = next(i for i, kept in peer.items.items() if kept.mailbox == late.mailbox)
    peer.lies = {item: b"something else"}
    for day, left in (("2027-03-20", True), ("2027-08-28", True), ("2027-08-29", False)):
        clock.to(day)
        office.fetch()
        if day == "2027-03-20":
            assert opened([peer.items[item].sealed], stolen_seeds(office.folder))
        assert bool(opened(january, stolen_seeds(office.folder))) is left


def test_what_is_kept_never_lies_open_on_the_disk(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    clock.to("2027-04-04")
    office.fetch_quietly()
    for file in _files(office.folder):
        data = file.read_bytes()
        assert b"blijft" not in data
        assert not data or data.startswith(b"age-encryption.org/v1\n")


def test_killed_at_any_step_of_destroying_nothing_that_is_kept_is_lost(
    office: Office,
    january: list[bytes],
    peer: Peer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    long_run: bool,
) -> None:
    """Killed while items are sealed anew, while the vault is written, and in between."""
    late = Reporter(peer, office.identity)
    late.report("Kwam nog binnen.")
    clock.to("2027-04-04")
    before = Path(shutil.copytree(office.folder, office.folder.with_name("before")))
    server = (dict(peer.items), {k: list(v) for k, v in peer.inboxes.items()}, dict(peer.cards))
    kill_at, killed = 0, True
    while killed:
        shutil.rmtree(office.folder)
        shutil.copytree(before, office.folder)
        peer.items, peer.inboxes, peer.cards = (
            dict(server[0]), {k: list(v) for k, v in server[1].items()}, dict(server[2])
        )  # fmt: skip
        killed = _killed(office, kill_at, monkeypatch)
        assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]
        office.fetch_quietly()
        assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]
        assert office.texts(late.mailbox) == ["Kwam nog binnen."]
        assert opened(january, stolen_seeds(office.folder)) == []
        kill_at += 1 if long_run else 4
    assert kill_at > 40


def _killed(office: Office, kill_at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Fetch on a disk that stops the machine at one step; says whether it came to that."""
    seen = 0

    def step(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen > kill_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("dropbox_app.desk.folder.Disk", lambda root, today: Disk(root, today, step))
        try:
            office.fetch()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("back", ["2027-03-08", "2027-05-02"], ids=["five weeks", "three months"])
def test_a_leave_loses_nothing(office: Office, peer: Peer, clock: Clock, back: str) -> None:
    """What was written during the whole leave opens on the day of return."""
    clock.to("2027-01-30")
    office.fetch_quietly()
    written = []
    for day in ("2027-01-31", "2027-02-01", "2027-02-28", "2027-03-01", "2027-04-30"):
        if day < back:
            clock.to(day)
            reporter = Reporter(peer, office.identity)
            reporter.report(f"Geschreven op {day}")
            written.append((reporter.mailbox, f"Geschreven op {day}"))
    clock.to(back)
    office.fetch_quietly()
    office.fetch_quietly()
    for mailbox, text in written:
        assert office.texts(mailbox) == [text]


@pytest.mark.parametrize("wrong", ["2028-01-12", "2026-01-12"], ids=["a year on", "a year back"])
def test_a_clock_one_year_wrong_destroys_nothing(
    office: Office, january: list[bytes], peer: Peer, clock: Clock, wrong: str
) -> None:
    clock.to("2027-01-12")
    before = {seed.reveal() for seed in stolen_seeds(office.folder)}
    clock.to(wrong)
    peer.days_wrong = -365 if wrong > "2027" else 365
    assert office.fetch().alarms
    assert {seed.reveal() for seed in stolen_seeds(office.folder)} == before
    clock.to("2027-01-13")
    peer.days_wrong = 0
    office.fetch_quietly()
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
