"""Threads as the desk shows them: forgeries are marked and hostile text is escaped."""

import json

import pytest
from click.testing import CliRunner

from dropbox_app.desk.actions import threads
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.errors import NotFound
from dropbox_app.desk.storage.state import Profile, State
from dropbox_app.protocol import age, thread
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.padding import attachment_size
from tests.desk.conftest import Office
from tests.support.fake_server import Peer, Reporter


def _deliver(peer: Peer, reporter: Reporter, office: Office, plaintext: bytes, n: int) -> str:
    """Seal a text to reporter and counsellor, store it as the reporter's, and return its id."""
    from dropbox_app.protocol import card as cards

    card = cards.parse(peer.cards[str(office.identity)])
    key = card.sealing_key(peer.today())
    assert key is not None
    sealed = age.seal(plaintext, [reporter.keys.recipient, key])
    return peer.keep(reporter.mailbox, "message", "reporter", n, sealed, [str(office.identity)])


def test_forged_message_is_shown_as_unverified(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The text is under the reporter's name, but signed by somebody else."""
    other = Reporter(peer, office.identity)
    draft = other.draft("report", {"text": "Ik trek alles in.", "answers": {}}, first=True)
    forged = draft.plaintext.replace(other.mailbox.encode(), reporter.mailbox.encode())
    item = _deliver(peer, reporter, office, forged, 2)
    report = office.fetch()
    assert any("could not be verified" in note for note in report.notes)
    shown = office.json("read", reporter.mailbox[:8])["messages"]
    assert [(m["verified"], m["state"]) for m in shown] == [
        (True, "verified"),
        (False, "unverified"),
    ]
    assert shown[1]["item"] == item
    office.fetch_quietly()  # anybody with a code can do this, so it raises no alarm


def test_message_for_another_counsellor_is_marked_as_forwarded(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    stranger = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    reporter.wanted = (stranger.set_up(),)
    draft = reporter.draft("message", {"text": "Alleen voor Bas"})
    _deliver(peer, reporter, office, draft.plaintext, 2)
    office.fetch()
    shown = office.json("read", reporter.mailbox)["messages"][-1]
    assert (shown["state"], shown["verified"]) == ("not_addressed", False)
    assert "passed on by somebody" in office.run("read", reporter.mailbox).stdout


def test_undecryptable_file_is_shown(office: Office, reporter: Reporter, peer: Peer) -> None:
    sealed = age.seal(b" " * 8192, [Seed.generate().recipient()] * 2)
    peer.keep(reporter.mailbox, "message", "reporter", 2, sealed, [str(office.identity)])
    office.fetch()
    text = office.run("read", reporter.mailbox).stdout
    assert "COULD NOT BE VERIFIED: none of your keys opens it" in text


def test_missing_message_is_reported(office: Office, reporter: Reporter, peer: Peer) -> None:
    lost = reporter.write("Twee")
    reporter.write("Drie")
    peer.purge(lost)
    office.fetch()
    shown = office.run("read", reporter.mailbox).stdout
    told = "MISSING: number 2 from the reporter is not here: not addressed to you, or withheld.\n"
    assert told in shown


def test_earlier_messages_to_another_counsellor_are_not_reported_as_removed(
    office: Office, peer: Peer
) -> None:
    """The reporter first wrote only to Bas, so those messages were never meant for this desk."""
    bas = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    identity = bas.set_up()
    reporter = Reporter(peer, identity)
    reporter.report("Voor Bas")
    bas.fetch_quietly()
    bas.reply(reporter.mailbox, "Van Bas")
    reporter.wanted = (office.identity,)
    reporter.write("Nu voor Els")
    office.fetch_quietly()
    shown = office.run("read", reporter.mailbox).stdout.splitlines()
    assert shown[1:3] == [
        "Earlier messages from the reporter are not here: they were written to somebody else, or "
        "have been removed.",
        f"Messages from Bas (counsellor {str(identity)[:12]}) are not here: the reporter then "
        "wrote with them, not you.",
    ]
    assert "MISSING" not in "\n".join(shown)
    assert "removed:" not in shown[1]


def test_missing_message_from_a_colleague_is_reported(office: Office, peer: Peer) -> None:
    """The reporter had chosen both, so the message was also meant for this desk."""
    bas = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    identity = bas.set_up()
    reporter = Reporter(peer, identity)
    reporter.wanted = (identity, office.identity)
    reporter.report("Voor allebei")
    bas.fetch_quietly()
    bas.reply(reporter.mailbox, "Van Bas")
    answered = {item for item, kept in peer.items.items() if kept.author == str(identity)}
    reporter.write("Dank je")
    for item in answered:
        peer.purge(item)
    office.fetch()
    shown = office.run("read", reporter.mailbox).stdout
    assert (
        f"MISSING: the reporter refers to a newer message from counsellor {str(identity)[:12]}"
        in (shown)
    )


def test_names_of_a_hundred_current_and_former_colleagues_are_kept() -> None:
    state = State("0" * 32, "n", (), "", Profile("n", "external", "both", ("nl",)))
    assert state.learn({"a": "Ada", "b": "Bo"})
    assert not state.learn({"b": "Bo"})
    assert state.learn({"b": "Bob"})
    assert state.names == {"a": "Ada", "b": "Bob"}
    state.learn({str(number): "x" for number in range(99)})
    assert len(state.names) == 100
    assert "a" not in state.names


def test_message_that_disappeared_is_reported(office: Office, reporter: Reporter) -> None:
    reporter.write("Twee")
    office.fetch_quietly()
    with office.desk() as desk:
        gone = [item.id for item in desk.state.items.values() if item.n == 2]
        for item in gone:
            del desk.state.items[item]
        desk.save()
    shown = office.run("read", reporter.mailbox).stdout
    assert "MISSING: number 2 from the reporter was here before, but is not here now.\n" in shown


def test_files_are_listed_with_size_name_and_type(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    from dropbox_app.protocol import card as cards
    from dropbox_app.protocol.messages import Attachment
    from dropbox_app.protocol.writing import from_reporter

    draft = from_reporter(
        reporter.keys, site=peer.site, day=peer.today(), lang="nl", kind="message",
        body={"text": "Zie foto"}, thread=reporter.thread(), wanted=None,
        cards=[cards.parse(raw) for raw in peer.cards.values()],
        attachments=[Attachment("ab" * 32, "foto\u202egpj.exe", "image/jpeg", 1234)],
    )  # fmt: skip
    to = [str(office.identity)]
    peer.keep(reporter.mailbox, "message", "reporter", 2, draft.seal(), to)
    office.fetch_quietly()
    (file,) = office.json("read", reporter.mailbox)["messages"][-1]["attachments"]
    assert (file["type"], file["size"]) == ("image/jpeg", 1234)
    text = office.run("read", reporter.mailbox).stdout
    assert "  | file: foto<U+202E>gpj.exe (image/jpeg, 1234 bytes)" in text


def test_forwarded_thread_is_verified_and_shown_as_such(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The reporter changes counsellor and includes the thread."""
    from dropbox_app.protocol import card as cards
    from dropbox_app.protocol.writing import from_reporter

    office.fetch_quietly()
    office.reply(reporter.mailbox, "Van Els")
    other = Office(office.folder.with_name("bas"), peer, office.clock, "Bas")
    bas = other.set_up()
    lines = thread.write_passed_on(reporter.thread())
    key = cards.parse(peer.cards[str(bas)]).sealing_key(peer.today())
    assert key is not None
    sealed = age.seal(lines.ljust(attachment_size(len(lines)), b"\0"), [key])
    file = peer.keep(reporter.mailbox, "attachment", "reporter", 2, sealed, [str(bas)])
    draft = from_reporter(
        reporter.keys, site=peer.site, day=peer.today(), lang="nl", kind="message",
        body={"text": "Ik ga verder met jou"}, thread=reporter.thread(), wanted=[bas],
        cards=[cards.parse(raw) for raw in peer.cards.values()], passed_on=file,
    )  # fmt: skip
    peer.keep(reporter.mailbox, "message", "reporter", 2, draft.seal(), [str(bas)])
    other.fetch_quietly()
    shown = other.json("read", reporter.mailbox)["messages"]
    assert [(m["text"], m["verified"], m["passed_on"]) for m in shown] == [
        ("Het gaat over mijn chef.", True, True),
        ("Van Els", True, True),
        ("Ik ga verder met jou", True, False),
    ]
    assert "[passed on by the reporter" in other.run("read", reporter.mailbox).stdout


def test_altered_database_page_is_detected(office: Office, reporter: Reporter) -> None:
    """Whichever page a command reads, it shows no altered data and says what to do."""
    office.fetch_quietly()
    before = office.json("read", reporter.mailbox)["messages"]
    file = office.folder / "desk-a.db"
    good = file.read_bytes()
    refused = 0
    for start in range(0, len(good), 4096):
        data = bytearray(good)
        data[start + 100] ^= 1
        file.write_bytes(bytes(data))
        options = ["--dir", str(office.folder), "--passphrase-file", str(office.passphrase_file)]
        said = CliRunner().invoke(main, [*options, "read", reporter.mailbox, "--json"],
                                  obj=office.machine)  # fmt: skip
        if said.exit_code == 0:
            assert json.loads(said.stdout)["messages"] == before
        else:
            assert "is damaged" in said.stderr
            assert "backup" in said.stderr
            refused += 1
    assert refused > 5


def test_resealed_copy_has_the_same_number_of_recipients(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """A copy sealed to one more recipient is refused, before and after the key is gone."""
    draft = reporter.draft("message", {"text": "Aan jou alleen"})
    sealed = age.seal(draft.plaintext, [*draft.recipients, Seed.generate().recipient()])
    peer.keep(reporter.mailbox, "message", "reporter", 2, sealed, [str(office.identity)])
    office.fetch()
    before = [e.state for e in office.case(reporter.mailbox).entries]
    assert before == ["verified", "unverified"]
    office.clock.to("2027-04-10")
    office.fetch()
    with office.desk() as desk:
        assert desk.store.original(sha256_hex(sealed)) is None  # it was sealed again
    assert [e.state for e in office.case(reporter.mailbox).entries] == before


def test_thread_id_prefix_needs_at_least_eight_characters(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    office.fetch_quietly()
    with office.open() as place:
        assert threads.find(place, reporter.mailbox[:8].upper())[1] == reporter.mailbox
        with pytest.raises(NotFound, match="at least 8"):
            threads.find(place, reporter.mailbox[:7])
        with pytest.raises(NotFound, match="No thread"):
            threads.find(place, "0" * 64)
        desk = place.one()
        desk.state.thread(reporter.mailbox[:8] + "f" * 56)
        desk.save()
        with pytest.raises(NotFound, match="More than one"):
            threads.find(place, reporter.mailbox[:8])


def test_hostile_text_is_escaped_in_the_terminal(office: Office, peer: Peer) -> None:
    """The JSON output keeps the text in ASCII; the page escapes it."""
    reporter = Reporter(peer, office.identity)
    reporter.report("Hoi\u202e\nThread 00\u2028[waiting]\u2066")
    office.fetch_quietly()
    raw = office.run("read", reporter.mailbox, "--json").stdout
    assert raw.isascii()
    assert json.loads(raw)["messages"][0]["text"].startswith("Hoi\u202e")
    text = office.run("read", reporter.mailbox).stdout
    assert "\u202e" not in text
    assert "  | Hoi<U+202E>\n  | Thread 00<U+2028>[waiting]<U+2066>\n" in text
