"""The desk's actions without a command line; every interface uses the same ones."""

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import backups, notes, sites, threads, whole, writing
from dropbox_app.desk.errors import (
    AlreadyWaiting,
    CannotReach,
    Kept,
    NoSuchCounsellor,
    NotFound,
    Unfit,
)
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.transport.connection import Answer, Transport
from dropbox_app.protocol import age
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.errors import WrongPassphrase
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Clock, Peer, PeerTransport, Reporter

# list, read, label, search


def test_thread_list_shows_whose_turn_it_is_and_how_the_message_begins(
    office: Office, reporter: Reporter, thread: str
) -> None:
    with office.open() as place:
        (one,) = threads.list_threads(place)
    assert (one.employer, one.label, one.mailbox) == ("Voorbeeld BV", "", thread)
    assert one.summary.turn == "counsellor"
    assert one.summary.first_words == "Het gaat over mijn chef."
    assert (one.summary.unread, one.summary.messages, one.summary.waiting) == (1, 1, 0)
    office.reply(thread, "Dank je")
    with office.open() as place:
        assert threads.list_threads(place)[0].summary.turn == "reporter"
    reporter.write("Nog iets")
    office.fetch_quietly()
    with office.open() as place:
        assert threads.list_threads(place)[0].summary.turn == "counsellor"
    office.run("notice", thread, "closed")
    with office.open() as place:
        (one,) = threads.list_threads(place)
    assert (one.summary.turn, one.summary.closed) == ("nobody", True)


def test_reading_a_message_does_not_mark_it_as_seen(office: Office, thread: str) -> None:
    with office.open() as place:
        opened = threads.read(place, thread)
        assert threads.list_threads(place)[0].summary.unread == 1
        assert threads.mark_seen(opened) == 1
        assert threads.list_threads(place)[0].summary.unread == 0
        assert threads.mark_seen(threads.read(place, thread)) == 0


def test_label_stays_on_the_desk_and_is_deleted_with_its_thread(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    office.run("label", thread, "  Rooster\n zorgteam ")
    assert office.json("list")[0]["label"] == "Rooster zorgteam"
    assert "Rooster zorgteam" in office.run("list").stdout
    office.reply(thread, "Dank je")
    assert not any(b"Rooster" in str(entry).encode() for entry in peer.log)
    with office.open() as place, pytest.raises(Unfit, match="at most 100"):
        threads.label(place, thread, "x" * 101)
    office.forget(thread)
    reporter.write("Ik ben er weer")
    office.fetch()
    assert office.json("list")[0]["label"] == ""


@pytest.mark.parametrize(
    "words", ["chef", "CHEF", "che", "het chef", "chéf", "ch", "gaat che", "chef - het", "chef &"]
)
def test_search_matches_words_and_prefixes(office: Office, thread: str, words: str) -> None:
    (hit,) = office.json("search", *words.split())
    assert hit["text"] == "Het gaat over mijn chef."
    assert hit["thread"]["id"] == thread
    assert hit["verified"]


@pytest.mark.parametrize(
    "words", ["directeur", "chef directeur", '" OR', "chef*", "NEAR(", "ef", "- &"]
)
def test_search_treats_query_as_plain_words(office: Office, thread: str, words: str) -> None:
    expected = 1 if words == "chef*" else 0
    assert len(office.json("search", *words.split())) == expected


def test_search_finds_the_counsellors_answers_but_no_forgotten_messages(
    office: Office, thread: str
) -> None:
    office.reply(thread, "Zullen we bellen?")
    with office.open() as place:
        assert [one.message.kind for one in threads.search(place, "bellen").newest] == ["reply"]
        threads.forget(place, thread)
        assert threads.search(place, "bellen").newest == ()
    with office.open() as place:
        assert threads.search(place, "chef").newest == ()


def test_prefix_search_works_in_every_script_and_spelling(
    office: Office, reporter: Reporter, thread: str
) -> None:
    reporter.write("Straße, Ĳsland, één ﬁets; Ёлка, 東京 en chef's.")
    office.fetch()
    for words in ("stra", "straße", "ĳs", "een", "ÉÉN", "ﬁet", "ёл", "東", "chef's", "chef's een"):
        assert len(office.json("search", words)) == 1, words
    assert len(office.json("search", "che")) == 2
    assert office.json("search", "island") == []


def test_search_ignores_invisible_characters_and_adjacent_punctuation(
    office: Office, reporter: Reporter, thread: str
) -> None:
    """Examples: a web page's soft hyphen, a direction mark, a number sign, a pasted end of text."""
    reporter.write("Mijn ver\u00adtrouwen in het \u200erooster\u2060 #42 is weg.")
    office.fetch()
    with office.open() as place:
        notes.write_note(place, thread, "Vroeg naar ver\u00adtrouwen (rooster) #42.")
        for words in ("vertrouwen", "ver\u00adtrouw", "roos\u00adter", "#42", "(rooster", "42\0"):
            assert len(threads.search(place, words).newest) == 1, words
            assert len(threads.search_notes(place, words)) == 1, words
    # A terminal with an encoding other than UTF-8 passes on incomplete characters.
    assert office.json("search", "caf\udce9") == []


def test_search_reports_that_it_found_more_than_it_shows(
    office: Office, reporter: Reporter, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter.write("Mijn chef weer.")
    office.fetch()
    for most, newest in (
        (1, ["Mijn chef weer."]),
        (2, ["Mijn chef weer.", "Het gaat over mijn chef."]),
    ):
        monkeypatch.setattr(threads, "MOST_FOUND", most)
        with office.open() as place:
            found = threads.search(place, "chef")
        assert ([one.message.text for one in found.newest], found.more) == (newest, most == 1)


# sending


def test_same_message_is_not_queued_twice(
    office: Office, reporter: Reporter, peer: Peer, thread: str
) -> None:
    answer = writing.reply("Dank je")
    peer.busy = True
    with office.open() as place:
        desk, mailbox = threads.find(place, thread)
        with pytest.raises(Kept):
            writing.send(place, desk, mailbox, answer)
        assert threads.list_threads(place)[0].summary.waiting == 1
    with office.open() as place:
        desk, mailbox = threads.find(place, thread)
        with pytest.raises(AlreadyWaiting, match="already waits"):
            writing.send(place, desk, mailbox, answer)
    peer.busy = False
    assert office.run("fetch").stdout == "1 waiting message sent.\n"
    assert [m.text for m in reporter.thread().genuine()] == ["Het gaat over mijn chef.", "Dank je"]
    with office.open() as place:
        desk, mailbox = threads.find(place, thread)
        assert writing.send(place, desk, mailbox, answer).mailbox == thread


def test_failed_send_reports_by_text_and_exit_code_whether_the_message_is_kept(
    office: Office, peer: Peer, thread: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("Dank je")
    peer.drop_after = 0
    gone = office.run("reply", thread, "--text-file", str(tmp_path / "a.txt"), code=1)
    assert "not sent and not kept" in gone.stderr
    peer.drop_after, peer.busy = None, True
    kept = office.run("reply", thread, "--text-file", str(tmp_path / "a.txt"), code=3)
    assert "kept here" in kept.stderr
    waits = office.run("fetch", code=1)
    assert "still not sent" in waits.stderr
    assert "'fetch' sends it" in office.run("list").stdout


@pytest.mark.parametrize("requests", range(6, 12))
def test_older_waiting_message_is_not_mistaken_for_the_new_one(
    office: Office, reporter: Reporter, peer: Peer, thread: str, requests: int
) -> None:
    """Another copy of the desk took the older one's number, so it was signed again meanwhile."""
    another = shutil.copytree(office.folder, office.folder.with_name("another"))
    peer.busy = True
    with pytest.raises(Kept):
        office.reply(thread, "Ouder")
    peer.busy = False
    Office(another, peer, office.clock).reply(thread, "Van de andere kopie")
    peer.drop_after = requests
    told = ""
    with office.open() as place:
        desk, mailbox = threads.find(place, thread)
        try:
            writing.send(place, desk, mailbox, writing.reply("Nieuw"))
        except CannotReach as error:
            told = "kept" if isinstance(error, Kept) else str(error)
    assert told in ("", "kept") or "not sent and not kept" in told
    peer.drop_after = None
    office.fetch_quietly()
    assert reporter.texts().count("Ouder") == 1
    assert reporter.texts().count("Nieuw") == (1 if told in ("", "kept") else 0)


# several sites


class ToEach:
    """A transport that finds each of several servers by its address."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.peers = peers

    def send(
        self, method: str, origin: str, target: str, headers: Mapping[str, str],
        body: bytes | Iterable[bytes], seconds: float,
    ) -> AbstractContextManager[Answer]:  # fmt: skip
        (peer,) = (peer for peer in self.peers if peer.origin == origin)
        return PeerTransport(peer).send(method, origin, target, headers, body, seconds)

    def break_off(self) -> None:
        """Do nothing: no request waits here."""

    def apart(self) -> "ToEach":
        return ToEach(self.peers)

    def close(self) -> None:
        """Do nothing: no connection is open."""


class Offices:
    """One desk for several sites, each with its own server."""

    def __init__(self, folder: Path, clock: Clock, count: int) -> None:
        self.peers = [Peer(clock, f"http://127.0.0.1:{8000 + number}") for number in range(count)]
        self.meet: Callable[[], object] = lambda: None  # before anything is asked
        self.clock = clock
        self.folder = folder
        for number, peer in enumerate(self.peers):
            self.join(peer, f"Bedrijf {number}")

    def join(self, peer: Peer, name: str) -> None:
        desk = workplace.init(
            self.folder, PASSPHRASE, self.machine(),
            invitation=workplace.read_invitation(peer.invitation(name)),
            profile=Profile("Els", "external", "both", ("nl",)), proxy="",
        )  # fmt: skip
        peer.add_card(desk.state.card)

    def machine(self) -> Machine:
        def transport(_: object) -> Transport:
            self.meet()
            return ToEach(self.peers)

        return Machine(self.clock, transport, vault.CHEAP_FOR_TESTS)


@pytest.fixture
def offices(tmp_path: Path, clock: Clock) -> Offices:
    return Offices(tmp_path / "many", clock, 4)


def test_sites_are_fetched_in_parallel_and_a_failing_one_does_not_delay_the_others(
    offices: Offices,
) -> None:
    """All requests start before any response; one connection is then dropped."""
    offices.meet = threading.Barrier(4, timeout=60).wait
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        assert [one.failure for one in sites.fetch(place)] == [None] * 4
        sealed_for = {desk.state.site: desk.identity for desk in place.desks()}
    for peer in offices.peers:
        Reporter(peer, sealed_for[peer.site]).report(f"Melding bij {peer.site}")
    broken = offices.peers[1]
    broken.drop_after = 0
    told: list[str] = []
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        done = sites.fetch(place, progress=lambda one: told.append(one.employer))
        assert {one.site: isinstance(one.failure, CannotReach) for one in done} == {
            peer.site: peer is broken for peer in offices.peers
        }
        assert sorted(told) == sorted(one.employer for one in done)
        assert len(threads.list_threads(place)) == 3


def test_exact_site_name_takes_precedence_over_a_partial_match(
    tmp_path: Path, clock: Clock
) -> None:
    offices = Offices(tmp_path / "many", clock, 2)
    offices.join(Peer(clock), "Bedrijf 10")
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        assert place.one("bedrijf 1").state.name == "Bedrijf 1"
        with pytest.raises(NotFound, match="More than one"):
            place.one("Bedrijf")


def test_absence_is_announced_on_all_sites_at_once(offices: Offices, clock: Clock) -> None:
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        done = sites.away(place, clock().replace(month=3), everywhere=True)
        assert [one.failure for one in done] == [None] * 4
        assert {one.away.until for one in sites.sites(place) if one.away} == {
            clock().replace(month=3)
        }


def test_cards_of_all_sites_are_written_with_one_fingerprint_list(
    offices: Offices, tmp_path: Path
) -> None:
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        found = sites.cards_of_all(place)
        groups = {one.site: one.fingerprint for one in sites.sites(place)}
    assert [employer for employer, _ in found] == [f"Bedrijf {number}" for number in range(4)]
    read = [cards.parse(shown.raw) for _, shown in found]
    assert {card.site: card.identity.fingerprint() for card in read} == groups
    told = {card.site: shown.fingerprint for card, (_, shown) in zip(read, found, strict=True)}
    assert told == groups


def test_command_writes_all_cards_into_a_new_folder(office: Office, tmp_path: Path) -> None:
    said = office.run("cards", "--out", str(tmp_path / "cards")).stdout
    card = cards.parse((tmp_path / "cards" / "01.card").read_bytes())
    assert card.identity.fingerprint() in said
    office.run("cards", "--out", str(tmp_path / "cards"), code=1)


def test_stand_in_is_named_on_each_site_where_they_have_a_card(
    offices: Offices, clock: Clock, tmp_path: Path
) -> None:
    first, second, *others = offices.peers
    known = {
        peer.site: Office(tmp_path / f"bas-{number}", peer, clock, "Bas de Wit").set_up()
        for number, peer in enumerate((first, second))
    }
    groups = "\n".join(one.fingerprint() for one in known.values())
    until = clock().replace(month=3)
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        done = sites.away(place, until, everywhere=True, stand_in=groups)
        announced = {one.site: one.away for one in sites.sites(place)}
    for peer in (first, second):
        away = announced[peer.site]
        assert away is not None
        assert away.stand_in == known[peer.site]
    assert [announced[peer.site] for peer in others] == [None] * len(others)
    assert sum(isinstance(one.failure, NoSuchCounsellor) for one in done) == len(others)


def test_result_of_announcing_an_absence_is_reported_per_site(
    offices: Offices, clock: Clock
) -> None:
    first, broken, *_ = offices.peers
    broken.drop_after = 0
    until = clock().replace(month=3)
    machine = offices.machine()
    with workplace.opened(offices.folder, PASSPHRASE, machine) as place:
        done = sites.away(place, until, at=[first.site, broken.site])
        names = place.names()
        assert {one.employer for one in done} == {names[first.site], names[broken.site]}
        assert {one.employer for one in done if one.failure} == {names[broken.site]}
        away = {one.site for one in sites.sites(place) if one.away}
    assert away == {first.site}


# the passphrase


def test_new_passphrase_opens_the_desk_and_the_old_one_does_not(
    office: Office, thread: str
) -> None:
    with office.open() as place:
        before = place.vault.database.key
        whole.change_passphrase(place, "heel andere woorden 2028")
    with pytest.raises(WrongPassphrase), office.open():
        pass
    with workplace.opened(office.folder, "heel andere woorden 2028", office.machine) as place:
        assert place.vault.database.key != before
        assert threads.read(place, thread).case.unread == 1
        with pytest.raises(Unfit, match="at least 16"):
            whole.change_passphrase(place, "te kort")


@pytest.mark.parametrize(
    "form", ["\ufeff{}", "{}\r", "\ufeff{}\r\n", "{}\n"], ids=["mark", "cr", "both", "lf"]
)
def test_invisible_characters_in_passphrase_are_ignored(
    office: Office, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "written"
    file.write_bytes(form.format(PASSPHRASE).encode())
    with workplace.opened(office.folder, form.format(PASSPHRASE), office.machine) as place:
        assert len(place.vault.sites) == 1
    assert vault.tidy(form.format(PASSPHRASE)) == PASSPHRASE
    office.passphrase_file.write_bytes(file.read_bytes())
    office.run("list")


@pytest.mark.parametrize("typed", ["\ufeff{}", "{}\r", "{}"], ids=["mark", "cr", "plain"])
@pytest.mark.parametrize("sealed_with", ["\ufeff{}", "{}"], ids=["sealed with it", "without"])
def test_invisible_characters_in_backup_passphrase_are_ignored(
    office: Office, thread: str, tmp_path: Path, typed: str, sealed_with: str
) -> None:
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
    contents = age.open_with_passphrase((tmp_path / "b.age").read_bytes(), PASSPHRASE)
    sealed = age.seal_with_passphrase(contents, sealed_with.format(PASSPHRASE), 4)
    (tmp_path / "c.age").write_bytes(sealed)
    again = Office(tmp_path / "again", office.peer, office.clock)
    backups.restore(again.folder, tmp_path / "c.age", typed.format(PASSPHRASE), office.machine)
    assert again.texts(thread) == ["Het gaat over mijn chef."]


def test_passphrases_with_composed_and_decomposed_accents_are_equal(
    tmp_path: Path, clock: Clock
) -> None:
    composed, parted = "één café te vroeg 1729", "e\u0301e\u0301n cafe\u0301 te vroeg 1729"
    office = Office(tmp_path / "desk", Peer(clock), clock)
    workplace.init(
        office.folder, parted, office.machine,
        invitation=workplace.read_invitation(office.peer.invitation()),
        profile=Profile("Els", "external", "both", ("nl",)), proxy="",
    )  # fmt: skip
    for form in (composed, parted):
        with workplace.opened(office.folder, form, office.machine):
            pass


def test_world_writable_passphrase_file_is_refused(office: Office) -> None:
    office.passphrase_file.chmod(0o666)
    assert "chmod 600" in office.run("list", code=1).stderr
