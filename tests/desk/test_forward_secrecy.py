"""Forward secrecy with real files and a changed clock (SPEC sections 3 and 11).

The thief has the server's sealed items from January, and later the desk's whole folder and its
passphrase. Here the server is in memory; tests/e2e uses the real server and its disk.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import Disk
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.test_disk import Killed
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.thief import Thief


def stolen(folder: Path) -> Thief:
    """Return everything that somebody with the passphrase can extract from a folder."""
    return Thief(folder, PASSPHRASE)


@pytest.fixture
def january(office: Office, peer: Peer) -> list[bytes]:
    """Return the server's copies of two fetched reports, one of which was forgotten."""
    forgotten, kept = Reporter(peer, office.identity), Reporter(peer, office.identity)
    forgotten.report("Dit wordt vergeten.")
    kept.report("Dit blijft bewaard.")
    office.fetch_quietly()
    office.reply(kept.mailbox, "Ook dit blijft.")
    server = [item.sealed for item in peer.items.values()]
    # The control: in January everything can be opened.
    assert len(stolen(office.folder).opens(server)) == 3
    office.forget(forgotten.mailbox)
    office.kept = kept.mailbox  # type: ignore[attr-defined] # for the tests
    return server


def _kept_texts(office: Office) -> list[str]:
    mailbox: str = office.kept  # type: ignore[attr-defined] # set by the fixture above
    return office.texts(mailbox)


def test_fetched_january_messages_cannot_be_opened_in_april(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    for day in ("2027-02-03", "2027-03-01", "2027-04-04"):
        clock.to(day)
        office.fetch_quietly()
    thief = Path(shutil.copytree(office.folder, office.folder.with_name("stolen")))
    assert stolen(thief).opens(january) == []
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]
    assert not any(b"vergeten" in file.read_bytes() for file in _files(thief))


def test_unfetched_january_messages_cannot_be_opened_in_september(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    """The key is destroyed in the first fetch after seven months without one."""
    clock.to("2027-09-01")
    office.fetch_quietly()
    assert stolen(office.folder).opens(january) == []
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]


def test_key_is_destroyed_on_the_announced_day(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    """The day is 30 days after the end of January, if the inbox was read after 1 February."""
    for day, left in (("2027-02-03", 3), ("2027-03-01", 3), ("2027-03-02", 0)):
        clock.to(day)
        office.fetch_quietly()
        assert len(stolen(office.folder).opens(january)) == left


def test_key_is_kept_until_day_210_if_the_inbox_was_not_read_completely(
    office: Office, january: list[bytes], peer: Peer, clock: Clock
) -> None:
    """The server delivers a file other than the listed one, so the key may still be needed."""
    late = Reporter(peer, office.identity)
    late.report("Nog onderweg.")
    item = next(i for i, kept in peer.items.items() if kept.mailbox == late.mailbox)
    peer.lies = {item: b"something else"}
    for day, left in (("2027-03-20", True), ("2027-08-28", True), ("2027-08-29", False)):
        clock.to(day)
        office.fetch()
        if day == "2027-03-20":
            assert stolen(office.folder).opens([peer.items[item].sealed])
        assert bool(stolen(office.folder).opens(january)) is left


def test_stored_messages_are_never_readable_on_disk(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    clock.to("2027-04-04")
    office.fetch_quietly()
    for file in _files(office.folder):
        data = file.read_bytes()
        assert b"blijft" not in data
        sealed = data.startswith(b"age-encryption.org/v1\n")
        assert not data or sealed or file.name in vault.FILES
        assert not data.startswith(b"SQLite format 3")


def test_kill_during_key_destruction_loses_no_stored_message(
    office: Office,
    january: list[bytes],
    peer: Peer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    long_run: bool,
) -> None:
    """The kill happens while items are resealed, while the vault is written, and in between."""
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
        assert stolen(office.folder).opens(january) == []
        kill_at += 1 if long_run else 4
    assert kill_at > 40


def _killed(
    office: Office,
    kill_at: int,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], object] | None = None,
) -> bool:
    """Fetch on a disk that stops at one step; return whether that step was reached."""
    seen = 0

    def step(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen > kill_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("dropbox_app.desk.folder.Disk", lambda root, today: Disk(root, today, step))
        try:
            (work or office.fetch)()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("back", ["2027-03-08", "2027-05-02"], ids=["five weeks", "three months"])
def test_no_message_is_lost_during_an_absence_of_the_counsellor(
    office: Office, peer: Peer, clock: Clock, back: str
) -> None:
    """Messages written during the whole absence can be opened on the day of return."""
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
def test_clock_that_is_wrong_by_one_year_destroys_no_key(
    office: Office, january: list[bytes], peer: Peer, clock: Clock, wrong: str
) -> None:
    clock.to("2027-01-12")
    before = set(stolen(office.folder).seeds)
    clock.to(wrong)
    peer.days_wrong = -365 if wrong > "2027" else 365
    assert office.fetch().alarms
    assert set(stolen(office.folder).seeds) == before
    clock.to("2027-01-13")
    peer.days_wrong = 0
    office.fetch_quietly()
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# forgotten threads


@pytest.fixture
def yesterday(office: Office, reporter: Reporter, peer: Peer) -> Path:
    """Return a copy of a desk with two threads, a file and an answer by the counsellor."""
    reporter.attach("Zie de foto", ("chef.jpg", "image/jpeg", b"het beeld van de chef" * 99))
    other = Reporter(peer, office.identity)
    other.report("Dit blijft bewaard.")
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Mijn antwoord daarop.")
    office.kept = other.mailbox  # type: ignore[attr-defined] # for the tests
    return Path(shutil.copytree(office.folder, office.folder.with_name("yesterday")))


FORGOTTEN = ("Het gaat over mijn chef.", "Zie de foto", "chef.jpg", "Mijn antwoord daarop.")


def test_forgotten_messages_are_in_no_database_page(
    office: Office, reporter: Reporter, yesterday: Path
) -> None:
    """This includes freed pages and the search index; as a control, the text was there before."""
    before = stolen(office.folder)
    assert all(text.encode() in before.pages for text in FORGOTTEN)
    assert b"antwoord" in before.pages
    office.forget(reporter.mailbox)
    after = stolen(office.folder)
    for text in (*FORGOTTEN, "chef", "antwoord", "daarop", "foto"):
        assert not after.knows(text), text
    assert after.knows("Dit blijft bewaard.")
    assert _kept_texts(office) == ["Dit blijft bewaard."]


def test_older_database_copy_with_the_current_vault_reveals_no_forgotten_message(
    office: Office, reporter: Reporter, yesterday: Path
) -> None:
    """As a control, the vault of that time opens the copied database, items and bodies."""
    office.forget(reporter.mailbox)
    today = (office.folder / vault.NAME).read_bytes()
    control = stolen(yesterday)
    assert all(control.knows(text) for text in FORGOTTEN)
    (yesterday / vault.NAME).unlink()
    thief = Thief(yesterday, PASSPHRASE, today)
    for text in FORGOTTEN:
        assert not thief.knows(text), text
    bodies = [path.read_bytes() for path in yesterday.rglob("*.body")]
    assert bodies
    assert thief.pages == b""
    assert thief.file_keys == []


def test_older_database_copies_are_unreadable_after_each_key_destruction(
    office: Office, january: list[bytes], clock: Clock
) -> None:
    before = Path(shutil.copytree(office.folder, office.folder.with_name("before")))
    clock.to("2027-03-02")
    office.fetch_quietly()
    (before / vault.NAME).unlink()
    thief = Thief(before, PASSPHRASE, (office.folder / vault.NAME).read_bytes())
    assert thief.pages == b""
    assert _kept_texts(office) == ["Dit blijft bewaard.", "Ook dit blijft."]


def test_kill_during_forget_leaves_a_usable_desk_and_no_old_key(
    office: Office, reporter: Reporter, yesterday: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill happens while rows are deleted, while the new file is written, and at the switch."""
    kill_at, killed = 0, True
    while killed:
        shutil.rmtree(office.folder)
        shutil.copytree(yesterday, office.folder)
        killed = _killed(office, kill_at, monkeypatch, lambda: office.forget(reporter.mailbox))
        with office.desk() as desk:
            forgotten = reporter.mailbox not in desk.state.threads
        assert _kept_texts(office) == ["Dit blijft bewaard."]
        if forgotten:
            after = stolen(office.folder)
            assert not any(after.knows(text) for text in FORGOTTEN)
            old = Thief(yesterday, PASSPHRASE)
            assert not set(old.vault_keys()) & set(after.vault_keys())
        else:
            assert office.texts(reporter.mailbox)[0] == FORGOTTEN[0]
        assert len([*office.folder.glob("desk-*.db*")]) == 1
        kill_at += 1
    assert kill_at > 10
