"""Vandaag, Gesprekken and fetching: whose turn it is, search results and new messages."""

import pytest

from dropbox_app.desk.actions import notes, register, sites, threads
from dropbox_app.desk.actions.sites import Fetched
from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.register.events import Case, Close, Employer
from dropbox_app.desk.session import Report
from dropbox_app.desk.web.fetching import Round
from tests.desk.conftest import Office
from tests.desk.web.conftest import Running
from tests.desk.web.test_thread import opened
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.plain_browser import Page


def order(page: Page, *texts: str) -> list[str]:
    """Return the given texts that are on a page, in the order of the page."""
    return sorted((text for text in texts if text in page.text), key=page.text.index)


def test_reporter_who_does_not_feel_safe_is_listed_first(
    running: Running, peer: Peer, office: Office, reporter: Reporter, clock: Clock
) -> None:
    clock.to("2027-01-06")
    Reporter(peer, office.identity).report("Ik durf niet naar huis.", safe="no")
    window = running.at_work()
    running.fetch(window)
    today = window.get(running.home)
    assert order(today, "Het gaat over mijn chef.", "Ik durf niet naar huis.") == [
        "Ik durf niet naar huis.",
        "Het gaat over mijn chef.",
    ]
    assert "De melder voelt zich niet veilig" in today.text


def test_answered_conversation_waits_for_the_reporter(running: Running, thread: str) -> None:
    window = running.at_work()
    window.press(opened(running, window), "reply", text="Dank je.")
    today = window.get(running.home)
    assert order(today, "Wacht op de melder", "Het gaat over mijn chef.") == [
        "Wacht op de melder",
        "Het gaat over mijn chef.",
    ]
    assert "Er wacht niets op jou." in today.text


def test_conversation_waiting_for_the_reporter_shows_that_a_request_for_consent_is_open(
    running: Running, thread: str
) -> None:
    window = running.at_work()
    window.press(opened(running, window), "reply", text="Dank je.")
    open_question = "Je vraag om toestemming staat nog open"
    assert open_question not in window.get(running.home).text
    fields = {"step": "praten", "with": "je chef", "scope": "niets"}
    window.press(opened(running, window), "consent", **fields)
    today = window.get(running.home)
    assert order(today, "Wacht op de melder", open_question) == [
        "Wacht op de melder",
        open_question,
    ]


def test_row_on_the_today_page_shows_the_phase_of_its_case(
    running: Running, office: Office, thread: str
) -> None:
    """As the list of cases says it; where no phase may be recorded, none is said."""
    window = running.at_work()
    assert "fase: nieuw" in window.get(running.home).text  # its case is made at a first look
    day = office.machine.today()
    with running.lock.use() as place:
        (case,) = register.all_cases(place)
        informal = Case(date=day, employer=case.employer, case=case.reference, phase="informal")
        register.record(place, informal)
    assert "fase: er loopt iets, zonder klacht" in window.get(running.home).text


def test_row_on_the_today_page_shows_no_phase_if_none_may_be_recorded(
    running: Running, office: Office, thread: str
) -> None:
    window = running.at_work()
    with running.lock.use() as place:
        (case,) = register.all_cases(place)
        day = office.machine.today()
        register.record(place, Employer(date=day, employer=case.employer, recording="none"))
    shown = window.get(running.home).text
    assert "Het gaat over mijn chef." in shown
    assert "fase:" not in shown
    with running.lock.use() as place:
        register.record(place, Close(date=day, employer=case.employer, case=case.reference))
    assert "fase: gesloten" in window.get(running.home).text


def test_answered_consent_request_is_shown_in_words(
    running: Running, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    fields = {"step": "praten", "with": "je chef", "scope": "niets"}
    window.press(opened(running, window), "consent", **fields)
    asked = reporter.thread().entries[-1].message
    assert asked is not None
    reporter.send("consent-answer", {"request": asked.digest, "answer": "yes", "text": "Graag."})
    running.fetch(window)
    assert "Antwoord op je vraag: ja, dat is goed" in window.get(running.home).text
    said = "Op je vraag praten Antwoord ja, dat is goed De melder schreef erbij Graag."
    assert said in opened(running, window).text


def test_fetch_button_reports_new_messages_by_employer(
    running: Running, reporter: Reporter
) -> None:
    window = running.at_work()
    page = running.fetch(window)
    assert 'data-page="fetch"' in page.html
    assert "Er is 1 nieuw bericht." in page.text
    assert "Voorbeeld BV" in page.text
    assert "http-equiv" not in page.html  # it no longer refreshes
    assert "Er is niets nieuws." in running.fetch(window).text


def test_unreachable_site_is_named(running: Running, peer: Peer) -> None:
    window = running.at_work()
    peer.drop_after = 0
    page = running.fetch(window)
    assert "De server was niet te bereiken." in page.text


def test_lying_server_is_reported_in_dutch_with_a_link_to_the_conversation(
    running: Running, peer: Peer, reporter: Reporter
) -> None:
    item = next(i for i, kept in peer.items.items() if kept.mailbox == reporter.mailbox)
    peer.lies[item] = b"something else"
    window = running.at_work()
    page = running.fetch(window)
    assert "De server gaf iets anders dan hij had genoemd." in page.text
    assert "ALARM" not in page.text
    assert reporter.mailbox[:8] not in page.html


def test_timer_fetches_only_while_the_desk_is_unlocked(
    running: Running, peer: Peer, reporter: Reporter
) -> None:
    def asked() -> int:
        return sum("inbox" in target for _, target in peer.log)

    before = asked()
    for _ in range(3):
        running.fetching.start_if_due()
        running.clock.now += 3600
    assert asked() == before
    running.at_work()
    running.fetching.start_if_due()  # schedules the first fetch
    running.clock.now += 75.1 * 60
    running.fetching.start_if_due()
    running.wait_for_fetch()
    assert asked() > before


def test_conversations_can_be_filtered_by_whose_turn_it_is(
    running: Running, peer: Peer, office: Office, thread: str
) -> None:
    Reporter(peer, office.identity).report("Op het rooster kloppen de uren niet.")
    window = running.at_work()
    window.press(opened(running, window), "reply", text="Dank je.")
    running.fetch(window)
    listed = window.get(f"{running.home}threads")
    assert "2 gesprekken" in listed.text
    mine = window.press(listed, "threads", turn="mine")
    assert "rooster" in mine.text
    assert "chef" not in mine.text
    theirs = window.press(listed, "threads", turn="theirs")
    assert "chef" in theirs.text
    assert "rooster" not in theirs.text


def test_search_finds_words_and_keeps_them_out_of_the_url(running: Running, thread: str) -> None:
    window = running.at_work()
    listed = window.get(f"{running.home}threads")
    found = window.press(listed, "threads", words="che")
    assert "1 bericht gevonden" in found.text
    assert "che" not in found.path
    assert "Geen bericht" in window.press(listed, "threads", words="rooster").text


def test_search_within_one_employer_also_finds_messages_older_than_those_of_others(
    running: Running, office: Office, clock: Clock, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "MOST_FOUND", 1)
    with office.open() as place:
        notes.write_note(place, thread, "De chef is op reis.")
    office.peer = other = Peer(clock, "http://127.0.0.1:8001")
    identity = office.set_up("Bakkerij")
    reporter = Reporter(other, identity)
    reporter.report("Mijn chef weer.")
    with office.open() as place:
        sites.fetch(place, "Bakkerij")
        notes.write_note(place, reporter.mailbox, "Over een andere chef.")
    window = running.at_work()
    listed = window.get(f"{running.home}threads")
    found = window.press(listed, "threads", words="chef", employer="Voorbeeld BV")
    assert "Het gaat over mijn chef." in found.text
    assert "De chef is op reis." in found.text
    assert "andere" not in found.text
    assert "meer dan" not in found.text
    newer = window.press(found, "threads", words="chef", employer="")
    assert "Mijn chef weer." in newer.text
    assert "meer dan 1" in newer.text


def test_label_is_shown_instead_of_the_first_words(
    running: Running, office: Office, thread: str
) -> None:
    with office.open() as place:
        threads.label(place, thread, "Rooster zorgteam")
    window = running.at_work()
    listed = window.get(f"{running.home}threads")
    assert "Rooster zorgteam" in listed.text
    assert "chef" not in listed.text


def test_conversation_urls_change_with_each_run(running: Running, thread: str) -> None:
    window = running.at_work()
    first = opened(running, window).path
    assert thread[:6] not in first
    assert running.page.handles.of("site", "mailbox") not in first
    assert window.get(f"{running.home}t/zzzzzzzz/").status == 404


def test_today_page_names_an_employer_whose_site_was_not_fetched_recently(
    running: Running, thread: str, clock: Clock
) -> None:
    window = running.at_work()
    assert "Laatst opgehaald Voorbeeld BV: vandaag" in window.get(running.home).text
    clock.to("2027-01-08")
    late = window.get(running.home).text
    assert "Hier is binnen 2 werkdagen antwoord beloofd: haal nieuwe berichten op." in late
    assert "Voorbeeld BV: vandaag" not in late


def test_search_shows_the_counsellors_notes_separately_from_messages(
    running: Running, thread: str
) -> None:
    window = running.at_work()
    window.press(opened(running, window), "own", label="Zaak", note="Denk aan de sleutelbos")
    page = window.get(f"{running.home}threads")
    found = window.submit(page, page.form_with("words"), words="sleutel")
    assert "1 eigen aantekening gevonden" in found.text
    assert "je eigen aantekening" in found.text
    assert "Geen bericht heeft al deze woorden." in found.text


def test_fetch_result_starts_with_messages_and_groups_identical_errors(
    running: Running,
) -> None:
    window = running.at_work()
    names = {"a": "Zorggroep", "b": "Bakkerij", "c": "Museum", "d": "Hotel"}
    away = [Fetched(site, names[site], Report(), failure=CannotReach("x")) for site in "ab"]
    came = Fetched("d", names["d"], Report(new={"m": 1}))
    running.fetching.last = Round(names, [*away, Fetched("c", names["c"], Report()), came], True)
    told = window.get(f"{running.home}fetch")
    assert order(told, "Hotel", "Bakkerij, Zorggroep", "Museum") == [
        "Hotel", "Bakkerij, Zorggroep", "Museum",
    ]  # fmt: skip
    assert told.html.count('class="alarm"') == 1


def test_employers_whose_sites_were_never_fetched_are_named_in_one_line(running: Running) -> None:
    window = running.at_work()
    asked = window.get(f"{running.home}cards/new")
    for name in ("Bakkerij", "Museum"):
        invitation = Peer(running.office.clock).invitation(name).decode()
        window.press(asked, "new", invitation=invitation, proxy="")
    assert "Nog niet opgehaald: Bakkerij, Museum" in window.get(running.home).text
