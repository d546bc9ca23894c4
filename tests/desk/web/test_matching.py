"""Matching words for a caller: a first message with them can be added to the existing case."""

import json
import secrets

import pytest

from dropbox_app.desk import folder
from dropbox_app.desk.actions import register, threads
from dropbox_app.protocol import age
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.keys import VerifyKey
from tests.desk.conftest import Office
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_register import EMPLOYER, bring_in, case_page, contact, event, exported
from tests.support.fake_server import Peer, Reporter
from tests.support.plain_browser import Page as Answer


@pytest.fixture
def window(running: Running) -> Window:
    return running.at_work()


@pytest.fixture
def words(running: Running, window: Window) -> str:
    """Return the matching words of a case that a call opened."""
    contact(running, window, employer="Voorbeeld BV", which="new", new_case="Belde over roosters")
    page = case_page(running, window, "Belde over roosters")
    given = window.press(page, "/word")
    assert "De woorden staan hieronder" in given.text
    drawn = given.html.partition('<p class="drawn" translate="no">')[2].partition("<")[0]
    assert len(drawn.split()) == 2
    return drawn


def written(running: Running, window: Window, office: Office, text: str) -> Answer:
    """Return the page of a new conversation."""
    with running.lock.use() as place:
        counsellor: VerifyKey = place.one().identity
    reporter = Reporter(office.peer, counsellor)
    reporter.report(text)
    running.fetch(window)
    handle = running.page.handles.of(office.peer.site, reporter.mailbox)
    return window.get(f"{running.home}t/{handle}/")


def test_case_with_matching_words_in_the_first_message_is_proposed(
    running: Running, window: Window, office: Office, words: str
) -> None:
    page = written(running, window, office, f"Ik belde.\n{words.upper().replace(' ', ',  ')}!")
    assert "herkenningswoorden van je zaak “Belde over roosters”" in page.text
    window.get(f"{running.home}cases")  # creates a case for the conversation, before anybody chose
    joined = window.press(page, "/match/")
    assert "Belde over roosters" in joined.text
    assert "Open het gesprek" in joined.text
    with running.lock.use() as place:
        (one,) = register.all_cases(place)
    assert one.sheet.thread
    assert "herkenningswoorden" not in window.get(page.path).text


def test_conversation_with_entries_stays_a_separate_linked_case(
    running: Running, window: Window, office: Office, words: str
) -> None:
    page = written(running, window, office, f"Ik belde. {words}")
    with running.lock.use() as place:
        own = next(one for one in register.all_cases(place) if one.sheet.thread)
    bring_in(running, event("contact", case=own.reference, minutes=10))
    window.press(page, "/match/")
    with running.lock.use() as place:
        first, second = register.all_cases(place)
    assert first.related == {second.reference}
    assert "herkenningswoorden" not in window.get(page.path).text


def test_case_keeps_the_first_of_two_matching_conversations(
    running: Running, window: Window, office: Office, words: str
) -> None:
    pages = [written(running, window, office, f"{name}: {words}") for name in ("een", "twee")]
    assert all("herkenningswoorden" in page.text for page in pages)
    with running.lock.use() as place:
        made = {one.sheet.thread: one.reference for one in register.all_cases(place)}
    window.press(pages[0], "/match/")
    with running.lock.use() as place:
        first = next(one for one in register.all_cases(place) if one.sheet.match_word)
    for _ in range(2):
        assert "tellen nu samen als één situatie" in window.press(pages[1], "/match/").text
    with running.lock.use() as place:
        found = {one.reference: one for one in register.all_cases(place)}
    assert found.keys() == {made[""], first.reference, *made.values()} - {made[first.sheet.thread]}
    assert found[first.reference].sheet.thread == first.sheet.thread
    (other,) = found.keys() - {first.reference}
    assert found[first.reference].related == {other}
    assert "herkenningswoorden" not in window.get(pages[1].path).text


def test_pressing_the_match_button_twice_has_no_further_effect(
    running: Running, window: Window, office: Office, words: str
) -> None:
    page = written(running, window, office, words)
    assert "tellen nu samen als één situatie" in window.press(page, "/match/").text
    once = exported(running)
    assert "tellen nu samen als één situatie" in window.press(page, "/match/").text
    assert exported(running) == once


def test_case_with_matching_words_is_proposed_again_once_its_conversation_is_forgotten(
    running: Running, window: Window, office: Office, words: str
) -> None:
    window.press(written(running, window, office, words), "/match/")
    with running.lock.use() as place:
        (one,) = register.all_cases(place)
        folder.forget(*threads.find(place, one.sheet.thread))
    assert "herkenningswoorden van je zaak" in written(running, window, office, words).text


def test_case_is_not_proposed_if_its_matching_words_are_incomplete_or_separated(
    running: Running, window: Window, office: Office, words: str
) -> None:
    one, other = words.split()
    for text in (one, f"{one} en {other}", f"x{words}", f"{words}x"):
        page = written(running, window, office, text)
        assert page.status == 200
        assert text in page.text
        assert "herkenningswoorden" not in page.text


def test_matching_words_are_recognised_despite_keyboard_and_web_variants(
    running: Running, window: Window, office: Office
) -> None:
    """Examples are a dotless i, a soft hyphen, and a line break inside the words."""
    bring_in(running, event("case", employer=EMPLOYER, case="B", match_word="lila klimop"))
    page = written(running, window, office, "Ik belde: l\u0131la _kli\u00admop_")
    assert "herkenningswoorden van je zaak “B”" in page.text


def test_case_of_another_employer_with_matching_words_is_not_proposed(
    running: Running, window: Window, office: Office
) -> None:
    bring_in(running, event("case", employer="Bakkerij", case="B", match_word="appel peer"))
    page = written(running, window, office, "appel peer")
    assert "appel peer" in page.text
    assert "herkenningswoorden" not in page.text


def test_matching_words_are_recognised_despite_a_variant_spelling_of_the_employer(
    running: Running, window: Window, office: Office
) -> None:
    bring_in(running, event("case", employer="voorbeeld b.v.", case="K", match_word="appel peer"))
    page = written(running, window, office, "appel peer")
    assert "herkenningswoorden van je zaak “K”" in page.text
    assert "Open het gesprek" in window.press(page, "/match/").text


def test_matching_words_are_issued_once_and_only_without_a_conversation(
    office: Office, thread: str, peer: Peer
) -> None:
    office.run("register", "import", "-", given='{"event": "case", "date": "2027-01-05",'
               ' "employer": "Voorbeeld BV", "case": "K"}')  # fmt: skip
    first = office.run("register", "match-words", "K").stdout
    assert office.run("register", "match-words", "K").stdout == first
    joined = office.run("register", "match", thread[:8], "K").stdout
    assert joined == "The conversation and case K now count as one situation.\n"
    told = office.run("register", "match-words", "K", code=1)
    assert "has a conversation already" in told.stderr


def brought_in(office: Office, **values: object) -> None:
    """Import one more event into the register."""
    one = {"date": "2027-01-05", "employer": EMPLOYER} | values
    office.run("register", "import", "-", given=json.dumps(one))


def kept(office: Office) -> str:
    """Return the whole exported register."""
    return office.run("register", "export", "--json").stdout


def test_adding_a_conversation_to_its_own_case_again_changes_nothing(
    office: Office, thread: str
) -> None:
    brought_in(office, event="employer", recording="full")
    brought_in(office, event="case", case="K", thread=thread, label="Rooster", goal="Rust")
    before = kept(office)
    office.clock.to("2027-02-01")
    for _ in range(2):
        said = office.run("register", "match", thread[:8], "K").stdout
        assert said == "The conversation and case K now count as one situation.\n"
    assert kept(office) == before


def test_conversation_cannot_be_added_to_a_case_of_another_employer(
    office: Office, thread: str
) -> None:
    brought_in(office, event="case", employer="Bakkerij", case="B")
    office.run("register", "cases")  # creates a case for the conversation
    before = kept(office)
    told = office.run("register", "match", thread[:8], "B", code=1)
    assert f"is about {EMPLOYER!r}, and the case about 'Bakkerij'" in told.stderr
    assert kept(office) == before


@pytest.mark.parametrize("own", [{"goal": "Rust"}, {"label": "Rooster"}, {"channel": "telephone"}])
def test_case_edited_by_the_counsellor_is_linked_instead_of_replaced(
    office: Office, thread: str, own: dict[str, str]
) -> None:
    brought_in(office, event="employer", recording="full")
    brought_in(office, event="case", case="T", thread=thread, **own)
    brought_in(office, event="case", case="K")
    before = kept(office).splitlines()
    office.run("register", "match", thread[:8], "K")
    *left, added = kept(office).splitlines()
    assert left == before
    assert json.loads(added)["belongs_with"] == ["T"]


@pytest.mark.parametrize("level", ["none", "minimal", "full"])
def test_unedited_automatic_case_is_replaced(office: Office, thread: str, level: str) -> None:
    office.run("label", thread[:8], "Rooster")
    brought_in(office, event="employer", recording=level)
    brought_in(office, event="case", case="K")
    assert len(office.json("register", "cases")) == 2
    office.run("register", "match", thread[:8], "K")
    (one,) = office.json("register", "cases")
    assert (one["case"], one["thread"]) == ("K", thread)


def test_forged_conversation_is_not_added_to_any_case(
    office: Office, peer: Peer, thread: str
) -> None:
    (raw,) = peer.cards.values()
    key = cards.parse(raw).sealing_key(peer.today())
    assert key is not None
    sealed, made_up = age.seal(secrets.token_bytes(900), [key]), secrets.token_hex(32)
    peer.keep(made_up, "message", "reporter", 1, sealed, [str(office.identity)])
    office.fetch()
    brought_in(office, event="case", case="K")
    before = kept(office)
    told = office.run("register", "match", made_up, "K", code=1)
    assert "No message of this conversation is certain to be the reporter's" in told.stderr
    assert kept(office) == before


def test_conversation_named_by_an_older_entry_of_a_case_already_belongs_to_the_case(
    office: Office, peer: Peer, thread: str
) -> None:
    other = Reporter(peer, office.identity)
    other.report("Nog een gesprek.")
    office.fetch_quietly()
    for one in (thread, other.mailbox):
        brought_in(office, event="case", case="K", thread=one)
    before = kept(office)
    assert "count as one situation" in office.run("register", "match", thread[:8], "K").stdout
    assert kept(office) == before
