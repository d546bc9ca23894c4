"""A restored server and a restored desk raise no false alarms."""

from pathlib import Path

import pytest

from dropbox_app.desk.actions import backups
from dropbox_app.desk.errors import AlreadyThere, BadAnswer, CannotReach, Damaged
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.errors import WrongPassphrase
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Clock, Peer, Reporter

# the server


def test_new_store_id_is_reported_and_items_lost_by_the_server_are_sent_again(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """Own messages missing from the backup are sent again byte for byte, without an alarm."""
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Een")
    backup = dict(peer.items)
    office.reply(reporter.mailbox, "Twee")
    office.reply(reporter.mailbox, "Drie")
    lost = set(peer.items) - set(backup)
    peer.restore(backup)
    report = office.fetch()
    assert report.alarms == []
    assert any("restored from a backup" in note for note in report.notes)
    assert lost <= set(peer.items)
    assert reporter.texts()[1:] == ["Een", "Twee", "Drie"]
    assert office.fetch().notes == []


def test_acknowledgements_are_sent_again_to_a_restored_server(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """This includes items forgotten since, which would otherwise stay for half a year.

    The connection may break at the first acknowledgement.
    """
    other = Reporter(peer, office.identity)
    other.report("Wordt vergeten")
    office.fetch_quietly()
    office.forget(other.mailbox)
    peer.restore(dict(peer.items))
    peer.fetched.clear()
    peer.lose_answer_to = "POST /api/desk/items/fetched"
    with pytest.raises(CannotReach):
        office.fetch()
    peer.fetched.clear()  # as if the request had not arrived
    office.fetch()
    assert set(peer.fetched) == set(peer.items)
    peer.fetched.clear()
    office.fetch_quietly()
    assert peer.fetched == []


def test_conversation_missing_from_the_backup_is_reported_as_lost(
    office: Office, peer: Peer
) -> None:
    """The reporter's code no longer works, unlike that of a reporter who changed counsellor."""
    backup = dict(peer.items)
    reporter = Reporter(peer, office.identity)
    reporter.report("Na de back-up")
    office.fetch_quietly()
    peer.restore(backup)
    office.fetch()
    said = office.run("reply", reporter.mailbox, "--text-file", "-", given="Dag", code=1).stderr
    assert "was restored from a backup" in said
    assert "opens nothing any more" in said
    assert "You can write again when" not in said


def test_card_is_the_first_thing_sent_to_a_restored_server(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    office.fetch_quietly()
    old_cards, backup = dict(peer.cards), dict(peer.items)
    clock.to("2027-02-10")
    office.fetch_quietly()
    new_cards = dict(peer.cards)
    peer.cards = old_cards
    peer.restore(backup)
    peer.log.clear()
    assert office.fetch().alarms == []
    assert peer.cards == new_cards
    changing = [entry for entry in peer.log if entry[0] != "GET"]
    assert changing[0] == ("PUT", "/api/desk/card")


def test_wrong_clock_when_the_server_is_restored_delays_only_the_card(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    office.fetch_quietly()
    old_cards, backup = dict(peer.cards), dict(peer.items)
    clock.to("2027-02-10")
    office.fetch_quietly()
    new_cards, peer.cards = dict(peer.cards), old_cards
    peer.restore(backup)
    peer.days_wrong = 30
    office.fetch()
    assert peer.cards == old_cards
    peer.days_wrong = 0
    office.fetch_quietly()
    assert peer.cards == new_cards


def test_fetch_is_abandoned_if_the_server_is_restored_repeatedly(
    office: Office, peer: Peer
) -> None:
    peer.restless = True
    with pytest.raises(BadAnswer, match="every page"):
        office.fetch()


def test_message_number_reused_after_a_restore_is_not_a_conflict(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    office.fetch_quietly()
    backup = dict(peer.items)
    reporter.write("Verloren bij de server")
    office.fetch_quietly()
    peer.restore(backup)
    assert office.fetch().alarms == []
    reporter.write("Geschreven na de terugzetting")
    reporter.write("En verder")
    assert office.fetch().alarms == []
    case = office.case(reporter.mailbox)
    assert [e.state for e in case.entries] == ["verified"] * 4
    assert [e.reason for e in case.entries] == ["", "after_restore", "after_restore", ""]
    assert [m.text for m in case.thread.genuine()] == [
        "Het gaat over mijn chef.",
        "Verloren bij de server",
        "Geschreven na de terugzetting",
        "En verder",
    ]
    office.reply(reporter.mailbox, "Antwoord")
    assert reporter.texts()[-1] == "Antwoord"


def test_message_number_reused_without_a_restore_is_a_conflict(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    first = reporter.draft("message", {"text": "Zo"})
    second = reporter.draft("message", {"text": "Of zo"})
    for draft in (first, second):
        to = [str(office.identity)]
        peer.keep(reporter.mailbox, "message", "reporter", 2, draft.seal(), to)
    office.fetch()
    assert [e.state for e in office.case(reporter.mailbox).entries] == [
        "verified",
        "conflict",
        "conflict",
    ]


def test_lost_withdrawal_is_sent_again(office: Office, reporter: Reporter, peer: Peer) -> None:
    office.fetch_quietly()
    backup = dict(peer.items)
    withdrawal = reporter.withdraw()
    office.fetch_quietly()
    peer.restore(backup)
    assert office.fetch().alarms == []
    assert withdrawal in peer.items
    assert office.case(reporter.mailbox).status == "withdrawn"


def test_lost_withdrawal_is_sent_again_if_the_thread_is_listed_for_another_counsellor(
    office: Office, reporter: Reporter, peer: Peer, tmp_path: Path
) -> None:
    """The backup is from before the reporter changed to this counsellor."""
    other = Office(tmp_path / "other", peer, office.clock, "Bram")
    other.set_up()
    other.fetch_quietly()
    backup = dict(peer.items)
    reporter.wanted = (other.identity,)
    reporter.write("Liever met jou")
    withdrawal = reporter.withdraw()
    other.fetch_quietly()
    assert other.case(reporter.mailbox).status == "withdrawn"
    peer.restore(backup)
    report = other.fetch()
    assert report.alarms == []
    assert set(peer.items) == {withdrawal}


def test_refused_withdrawal_raises_an_alarm(
    office: Office, reporter: Reporter, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.fetch_quietly()
    backup = dict(peer.items)
    reporter.withdraw()
    office.fetch_quietly()
    peer.restore(backup)
    monkeypatch.setattr(peer, "withdrawal", lambda *_: (422, b"{}"))
    assert any("does not take that" in alarm for alarm in office.fetch().alarms)


def test_items_are_sent_again_after_their_key_was_destroyed(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    office.fetch_quietly()
    backup = dict(peer.items)
    office.reply(reporter.mailbox, "Een")
    (lost,) = set(peer.items) - set(backup)
    sealed = peer.items[lost].sealed
    clock.to("2027-04-01")
    office.fetch_quietly()
    peer.restore(backup)
    office.fetch_quietly()
    assert peer.items[lost].sealed == sealed


def test_forgotten_messages_are_not_restored(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Een antwoord")
    office.forget(reporter.mailbox)
    peer.restore(dict(peer.items))
    report = office.fetch()
    assert (report.new, report.alarms) == ({}, [])
    with office.desk() as desk:
        assert desk.state.threads == {}
        assert desk.state.items == {}


def test_new_message_in_forgotten_thread_shows_that_older_ones_are_missing(
    office: Office, reporter: Reporter
) -> None:
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Een antwoord")
    office.forget(reporter.mailbox)
    reporter.write("Ben je er nog?")
    assert office.fetch().new == {reporter.mailbox: 1}
    case = office.case(reporter.mailbox)
    assert dict(case.thread.missing_beginning) == {"reporter": 1}
    assert office.texts(reporter.mailbox) == ["Ben je er nog?"]
    # The chain continues where it was, although the counsellor's own message is gone here.
    office.reply(reporter.mailbox, "Ja")
    entries = reporter.thread().entries
    assert [e.state for e in entries] == ["verified"] * 4
    assert entries[-1].message is not None
    assert (entries[-1].message.n, entries[-1].message.text) == (2, "Ja")
    office.reply(reporter.mailbox, "Nog steeds")
    assert [e.state for e in reporter.thread().entries] == ["verified"] * 5


def test_item_that_cannot_be_sent_again_does_not_block_the_thread(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The server has number 1 and the desk forgot 2, so the next is 3 and the gap is visible."""
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Een")
    backup = dict(peer.items)
    office.reply(reporter.mailbox, "Twee")
    office.forget(reporter.mailbox)
    peer.restore(backup)
    office.fetch_quietly()
    reporter.write("Ben je er nog?")
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Drie")
    thread = reporter.thread()
    assert [m.text for m in thread.genuine() if m.by != "reporter"] == ["Een", "Drie"]
    assert dict(thread.gaps) == {str(office.identity): (2,)}


# the desk


def _restore(office: Office, file: Path, name: str = "again") -> Office:
    again = Office(office.folder.with_name(name), office.peer, office.clock)
    backups.restore(again.folder, file, PASSPHRASE, again.machine)
    return again


def test_restored_desk_continues_where_the_lost_one_left_off(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock, tmp_path: Path
) -> None:
    """The desk learns n and prev, uses its own higher serial, and answers with the next number."""
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Een")
    with office.open() as place:
        backups.backup(place, tmp_path / "backup.age")
    office.reply(reporter.mailbox, "Twee")
    reporter.write("Nog iets")
    clock.to("2027-02-10")
    office.fetch_quietly()  # issues a card that the backup does not contain
    again = _restore(office, tmp_path / "backup.age")
    report = again.fetch()
    assert report.alarms == []
    card = cards.parse(next(iter(peer.cards.values())))
    assert card.serial == 3
    with again.desk() as desk:
        held = {one.seed.recipient() for one in desk.vault.seeds(peer.site)}
        assert {window.recipient for window in card.sealing} <= held
    again.reply(reporter.mailbox, "Drie")
    assert [t for t in reporter.texts() if t in ("Een", "Twee", "Drie")] == ["Een", "Twee", "Drie"]
    assert {e.state for e in reporter.thread().entries} == {"verified"}
    assert again.fetch().notes == []


def test_restored_desk_reports_that_it_cannot_open_its_newest_message(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock, tmp_path: Path
) -> None:
    with office.open() as place:
        backups.backup(place, tmp_path / "backup.age")
    for day in ("2027-02-10", "2027-03-10", "2027-04-10", "2027-05-10"):
        clock.to(day)
        office.fetch_quietly()
    reporter.write("Mei")
    office.fetch_quietly()
    office.reply(reporter.mailbox, "Antwoord van mei")
    again = _restore(office, tmp_path / "backup.age")
    assert again.fetch().alarms == []
    reporter.write("Juni")  # sealed to the new card
    again.fetch_quietly()
    assert "Juni" in again.texts(reporter.mailbox)
    with pytest.raises(Exception, match="cannot be opened by this desk"):
        again.reply(reporter.mailbox, "Kan niet")


def test_backup_is_one_age_file_containing_a_tar(
    office: Office, reporter: Reporter, tmp_path: Path
) -> None:
    import io
    import tarfile

    from dropbox_app.protocol import age

    office.fetch_quietly()
    with office.open() as place:
        assert backups.backup(place, tmp_path / "b.age") == 2
        with pytest.raises(AlreadyThere):
            backups.backup(place, tmp_path / "b.age")
    contents = age.open_with_passphrase((tmp_path / "b.age").read_bytes(), PASSPHRASE)
    with tarfile.open(fileobj=io.BytesIO(contents)) as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            assert file is not None
            assert file.read() == (office.folder / entry.name).read_bytes()
            assert entry.mtime == 0


def test_failed_restore_overwrites_nothing_and_leaves_nothing_behind(
    office: Office, tmp_path: Path, clock: Clock
) -> None:
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
    with pytest.raises(AlreadyThere):
        backups.restore(office.folder, tmp_path / "b.age", PASSPHRASE, office.machine)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WrongPassphrase):
        backups.restore(tmp_path / "x", tmp_path / "b.age", "iets heel anders!", office.machine)
    with pytest.raises(Damaged):
        backups.restore(tmp_path / "x", office.folder / "vault.age", PASSPHRASE, office.machine)
    assert sorted(tmp_path.iterdir()) == before
