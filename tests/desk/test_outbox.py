"""Writing: to the currently chosen counsellors, once, and without loss."""

from pathlib import Path

import pytest

from dropbox_app.desk.errors import CannotReach, DeskError
from dropbox_app.protocol.errors import MessageError, TooLong
from tests.desk.conftest import Office
from tests.support.fake_server import Peer, Reporter


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    office.fetch_quietly()
    return reporter.mailbox


def test_answer_reaches_the_reporter(office: Office, reporter: Reporter, thread: str) -> None:
    office.reply(thread, "Dank voor je bericht.")
    assert reporter.texts() == ["Het gaat over mijn chef.", "Dank voor je bericht."]
    assert office.texts(thread) == reporter.texts()
    assert office.case(thread).unread == 1  # own messages are not unread


def test_answer_with_lost_confirmation_is_sent_once(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    peer.lose_answer_to = "/messages"
    with pytest.raises(CannotReach, match="kept here"):
        office.reply(thread, "Een keer")
    assert reporter.texts()[1:] == ["Een keer"]
    office.fetch_quietly()
    assert reporter.texts()[1:] == ["Een keer"]
    assert office.case(thread).unsent == {}


@pytest.mark.parametrize("requests", range(8))
def test_undelivered_answer_is_sent_by_the_next_fetch(
    office: Office, reporter: Reporter, peer: Peer, thread: str, requests: int
) -> None:
    """The connection breaks after some requests; the answer is sent later or reported as unsent."""
    peer.drop_after = requests
    told = ""
    try:
        office.reply(thread, "Blijft niet liggen")
    except CannotReach as error:
        told = str(error)
    peer.drop_after = None
    waiting = "waiting" in office.case(thread).unsent.values()
    assert waiting is ("kept here" in told)
    office.fetch_quietly()
    if waiting or not told:
        assert reporter.texts()[1:] == ["Blijft niet liggen"]
    else:
        assert reporter.texts()[1:] == []


def test_waiting_message_is_shown_as_such(office: Office, peer: Peer, thread: str) -> None:
    peer.lose_answer_to = "/messages"
    with pytest.raises(CannotReach):
        office.reply(thread, "Wacht")
    shown = office.json("read", thread)["messages"][-1]
    assert (shown["text"], shown["sent"]) == ("Wacht", "waiting")
    assert "[waiting" in office.run("read", thread).stdout


def test_message_is_renumbered_if_another_copy_of_the_desk_wrote_first(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    """After a 409 the desk reads, signs with the next number, and sends; both messages are kept."""
    peer.drop_after = 5
    with pytest.raises(CannotReach):
        office.reply(thread, "Tweede")
    assert "waiting" in office.case(thread).unsent.values()
    peer.drop_after = None
    with office.desk() as desk:
        (item,) = [i for i in desk.state.items.values() if i.sent == "waiting"]
        del desk.state.items[item.id]  # like the other copy, which does not know the message
        sealed = desk.store.original(item.id)
        desk.save()
        assert sealed is not None
    office.reply(thread, "Eerste")
    with office.desk() as desk:
        desk.store.put(item.id, sealed)
        desk.state.items[item.id] = item
        item.sent = "waiting"
        desk.save()
    office.fetch_quietly()
    assert reporter.texts()[1:] == ["Eerste", "Tweede"]
    assert {e.state for e in reporter.thread().entries} == {"verified"}
    assert office.case(thread).unsent == {}


def test_messages_that_arrived_in_the_meantime_are_read_before_answering(
    office: Office, reporter: Reporter, thread: str
) -> None:
    reporter.write("Wacht nog even")
    report = office.reply(thread, "Goed")
    assert report.new == {thread: 1}
    newest = reporter.thread().newest[str(office.identity)]
    assert newest.seen == (("reporter", 2),)


def test_message_refused_by_the_server_is_kept_and_shown(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    peer.busy = True
    with pytest.raises(DeskError):
        office.reply(thread, "Te laat")
    peer.busy = False
    peer.gone.add(thread)
    assert any("not taken" in note for note in office.fetch().notes)
    shown = office.json("read", thread)["messages"][-1]
    assert (shown["text"], shown["sent"], shown["verified"]) == ("Te laat", "refused", False)
    assert "did not accept it" in office.run("read", thread).stdout
    peer.gone.clear()
    office.fetch_quietly()
    office.reply(thread, "Op tijd")
    assert reporter.texts()[1:] == ["Op tijd"]


def test_message_to_a_busy_server_is_sent_later(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    peer.busy = True
    with pytest.raises(DeskError, match="next 'fetch' sends it"):
        office.reply(thread, "Straks")
    assert "busy" in office.fetch().notes[0]
    assert reporter.texts()[1:] == []
    peer.busy = False
    office.fetch_quietly()
    assert reporter.texts()[1:] == ["Straks"]


def test_nothing_is_sent_in_a_closed_thread(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    reporter.withdraw()
    with pytest.raises(DeskError, match="withdrawn"):
        office.reply(thread, "Te laat")


def test_error_for_overlong_text_states_its_size(office: Office, thread: str) -> None:
    with pytest.raises(TooLong, match="70000"):
        office.reply(thread, "x" * 70_000)
    office.reply(thread, "x" * 60_000)


def test_counsellor_no_longer_chosen_cannot_write(
    office: Office, reporter: Reporter, peer: Peer, thread: str, tmp_path: object
) -> None:
    other = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    reporter.wanted = (other.set_up(),)
    reporter.write("Ik ga verder met Bas")
    with pytest.raises((DeskError, MessageError)):
        office.reply(thread, "Toch nog iets")
    assert office.case(thread).status == "gone"
    other.fetch_quietly()
    assert other.texts(thread) == ["Ik ga verder met Bas"]
    other.reply(thread, "Welkom")
    assert reporter.texts()[-1] == "Welkom"


def test_message_is_sealed_to_the_colleagues_that_the_reporter_chose(
    office: Office, peer: Peer, tmp_path: object
) -> None:
    """Both counsellors can read each other's messages; an unconfirmed card is never used."""
    other = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    stranger = Office(office.folder.with_name("cor"), peer, office.clock, "Cor")
    bas, cor = other.set_up(), stranger.set_up()
    both = Reporter(peer, office.identity, bas)
    both.report("Aan jullie beiden")
    office.fetch_quietly()
    office.reply(both.mailbox, "Van Els")
    other.fetch_quietly()
    other.reply(both.mailbox, "Van Bas")
    office.fetch_quietly()
    assert office.texts(both.mailbox) == ["Aan jullie beiden", "Van Els", "Van Bas"]
    assert other.texts(both.mailbox) == office.texts(both.mailbox)
    assert all(str(cor) not in kept.to for kept in peer.items.values())


def test_pasted_line_separator_becomes_a_line_break(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"pagina 1\x0cpagina 2\x0bregel 2")
    office.run("reply", thread, "--text-file", str(tmp_path / "a.txt"))
    assert reporter.texts()[-1] == "pagina 1\npagina 2\nregel 2"
