"""Gesprek: the page of a conversation and its actions."""

import re
import textwrap
import threading

import pytest

from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Window
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.plain_browser import MULTIPART, Page, multipart


def opened(running: Running, window: Window) -> Page:
    """Return the page of the only conversation."""
    found = re.search(r'href="([^"]+/t/[^"]+/)"', window.get(running.home).html)
    assert found, "no conversation is listed"
    return window.get(found[1])


def test_report_is_shown_with_its_answers_in_dutch(running: Running, thread: str) -> None:
    page = opened(running, running.at_work())
    assert 'data-page="thread"' in page.html
    assert "Het gaat over mijn chef." in page.text
    assert "Gebeurt het nu nog ja" in page.text
    assert "gecontroleerd: het komt van degene die erboven staat" in page.text
    assert thread not in page.html
    assert thread[:8] not in page.html


def test_report_written_on_pages_in_another_language_is_marked_and_can_be_answered(
    running: Running, office: Office, peer: Peer
) -> None:
    """Snippets and answer then use the counsellor's own first language."""
    reporter = Reporter(peer, office.identity)
    reporter.language = "pl"
    reporter.report("Chodzi o mojego szefa.")
    office.fetch_quietly()
    window = running.at_work()
    page = opened(running, window)
    assert "in deze taal: Pools. Je antwoord wordt niet vertaald." in page.text
    assert '<textarea id="text" name="text" rows="10" lang="nl"' in page.html
    assert "Verstuurd." in window.press(page, "reply", text="Dank je wel.").text
    assert reporter.texts()[-1] == "Dank je wel."


def test_message_no_longer_counts_as_new_once_shown(running: Running, thread: str) -> None:
    window = running.at_work()
    assert "1 nieuw bericht" in window.get(running.home).text
    assert "· nieuw" in opened(running, window).text
    assert "nieuw bericht ·" not in window.get(running.home).text
    assert "· nieuw" not in opened(running, window).text


def test_answer_reaches_the_reporter(running: Running, reporter: Reporter, thread: str) -> None:
    window = running.at_work()
    answer = window.press(opened(running, window), "reply", text="Dank je wel.\nTot gauw.")
    assert 'data-page="thread"' in answer.html
    assert "Verstuurd." in answer.text
    assert reporter.texts()[-1] == "Dank je wel.\nTot gauw."
    assert "Verstuurd." not in opened(running, window).text  # shown only once


def test_file_is_sent_with_an_answer(running: Running, reporter: Reporter, thread: str) -> None:
    window = running.at_work()
    page = opened(running, window)
    body = multipart([("text", "Kijk eens."), ("snippet", "")], [("folder.txt", b"Een folder.")])
    target = page.form_to("reply").action.partition("#")[0]
    sent = window.request("POST", target, body, {"Content-Type": MULTIPART})
    assert "Verstuurd." in sent.text
    assert "folder.txt" in sent.text
    assert reporter.received() == {"folder.txt": b"Een folder."}


@pytest.mark.parametrize("why", ["a snippet", "no text", "no server", "the lock"])
def test_redisplayed_answer_form_says_that_files_must_be_chosen_again(
    running: Running, peer: Peer, thread: str, why: str
) -> None:
    """No page can restore chosen files, so the answer would be sent without them."""
    window = running.at_work()
    page = opened(running, window)
    text = "" if why in ("a snippet", "no text") else "Zie het bestand."
    fields = [("text", text), ("snippet", "listening" if why == "a snippet" else "")]
    if why == "no server":
        peer.drop_after = 0
    if why == "the lock":
        running.lock.lock()
    target = page.form_to("reply").action.partition("#")[0]
    body = multipart(fields, [("folder.txt", b"Een folder.")])
    shown = window.request("POST", target, body, {"Content-Type": MULTIPART})
    if why == "the lock":
        shown = window.press(shown, "unlock", passphrase=PASSPHRASE)
    assert "Je bestanden staan er niet meer bij. Kies ze opnieuw." in shown.text
    without = multipart(fields, [])
    peer.drop_after = None
    shown = window.request("POST", target, without, {"Content-Type": MULTIPART})
    assert "Je bestanden" not in shown.text


def test_snippet_is_inserted_into_the_text_and_not_sent(
    running: Running, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    page = opened(running, window)
    filled = window.press(page, "reply", snippet="listening", text="")
    kept = dict(filled.form_to("reply").fields)["text"]
    assert kept.startswith("Dank je dat je dit met me deelt.")
    assert reporter.texts() == ["Het gaat over mijn chef."]
    added = window.press(page, "reply", snippet="listening", text="Dag.", insert="1")
    assert dict(added.form_to("reply").fields)["text"].startswith("Dag.\n\nDank je")


def test_text_field_has_a_row_for_every_line_of_a_snippet(running: Running, thread: str) -> None:
    window = running.at_work()
    page = opened(running, window)
    assert rows_of_text(page) == 10  # an empty field
    for name in ("listening", "becomes_a_report", "does_not_want_to_live"):
        filled = window.press(page, "reply", snippet=name, text="")
        text = dict(filled.form_to("reply").fields)["text"]
        lines = [textwrap.wrap(line, 60) or [""] for line in text.split("\n")]
        assert rows_of_text(filled) >= sum(map(len, lines))


def rows_of_text(page: Page) -> int:
    found = re.search(r'<textarea id="text" name="text" rows="([0-9]+)"', page.html)
    assert found is not None
    return int(found[1])


def test_snippet_button_without_a_chosen_snippet_sends_nothing(
    running: Running, peer: Peer, thread: str
) -> None:
    window = running.at_work()
    page, before = opened(running, window), len(peer.puts)
    answer = window.press(page, "reply", text="Nog niet af", snippet="", insert="y")
    assert answer.status == 409
    assert "Kies eerst een tekst" in answer.text
    assert dict(answer.form_to("reply").fields)["text"].strip() == "Nog niet af"
    assert len(peer.puts) == before


def test_empty_answer_is_not_sent(running: Running, peer: Peer, thread: str) -> None:
    window = running.at_work()
    before = len(peer.items)
    answer = window.press(opened(running, window), "reply", text="  ")
    assert answer.status == 409
    assert "Schrijf eerst een bericht" in answer.text
    assert len(peer.items) == before


def test_text_stays_in_the_form_when_the_server_is_unreachable(
    running: Running, peer: Peer, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    page = opened(running, window)
    peer.drop_after = 0
    answer = window.press(page, "reply", text="Een lange brief <b>.")
    assert answer.status == 409
    assert "Er is niets verstuurd" in answer.text
    assert dict(answer.form_to("reply").fields)["text"] == "Een lange brief <b>."
    peer.drop_after = None
    window.press(answer, "reply")
    assert reporter.texts()[-1] == "Een lange brief <b>."


def test_kept_message_is_shown_as_waiting_and_not_sent_twice(
    running: Running, peer: Peer, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    peer.busy = True
    kept = window.press(opened(running, window), "reply", text="Dit wacht.")
    assert "bewaard, maar nog niet verstuurd" in kept.text
    assert "Wacht om verstuurd te worden" in kept.text
    again = window.press(kept, "reply", text="Dit wacht.")
    assert "Ditzelfde bericht wacht al" in again.text
    assert "Wacht om verstuurd te worden" in window.get(running.home).text
    peer.busy = False
    assert "1 bericht dat wachtte, is verstuurd" in running.fetch(window).text
    assert reporter.texts().count("Dit wacht.") == 1


def test_second_click_does_not_send_the_answer_again(
    running: Running, reporter: Reporter, thread: str
) -> None:
    """A different text from the same page, as after the browser's Back button, is sent."""
    window = running.at_work()
    page = opened(running, window)
    clicks = [
        threading.Thread(target=window.press, args=(page, "reply"), kwargs={"text": "Dank je."})
        for _ in range(3)
    ]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    window.press(page, "reply", text="Dank je.")
    assert reporter.texts().count("Dank je.") == 1
    window.press(page, "reply", text="Tot morgen.")
    assert reporter.texts()[-2:] == ["Dank je.", "Tot morgen."]


def test_consent_question_is_sent_only_if_all_three_fields_are_filled_in(
    running: Running, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    fields = {"step": "praten", "with": "de directeur", "scope": ""}
    refused = window.press(opened(running, window), "consent", **fields)
    assert "Vul in wat je wilt doen" in refused.text
    assert dict(refused.form_to("consent").fields)["with"] == "de directeur"
    sent = window.press(refused, "consent", **(fields | {"scope": "niet je naam"}))
    assert "Verstuurd." in sent.text
    assert "Wat je dan wel en niet vertelt niet je naam" in sent.text


def test_field_for_a_successor_is_collapsed_while_it_is_empty(
    running: Running, thread: str
) -> None:
    window = running.at_work()
    fields = {"step": "overdragen", "with": "Bas", "scope": ""}
    refused = window.press(opened(running, window), "consent", **fields)
    assert fold_of_successor(refused) == "<details>"
    named = window.press(refused, "consent", successor="Bas de Wit")
    assert fold_of_successor(named) == "<details open>"


def fold_of_successor(page: Page) -> str:
    """Return the tag of the innermost fold that has the field."""
    before = page.html.partition(' name="successor"')[0]
    return before[before.rindex("<details") :].partition("\n")[0].partition("<summary>")[0]


def test_formal_step_is_sent_only_after_confirmation(
    running: Running, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    fields = {"step": "een klacht indienen", "with": "de klachtencommissie", "scope": "alles"}
    asked = window.press(opened(running, window), "consent", **fields)
    assert "Dit lijkt een officiële stap" in asked.text
    assert len(reporter.thread().entries) == 1
    window.press(asked, "consent", formal="1")
    assert len(reporter.thread().entries) == 2


def test_incomplete_option_is_refused_and_complete_options_are_sent(
    running: Running, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    fields = {"title1": "Wachten", "pro1": "Rust", "con1": "Het gaat door", "title2": "Praten"}
    refused = window.press(opened(running, window), "options", **fields)
    assert "minstens twee mogelijkheden" in refused.text
    assert dict(refused.form_to("options").fields)["con1"] == "Het gaat door"
    sent = window.press(refused, "options", pro2="Het stopt", con2="Je naam wordt bekend")
    assert "Mogelijkheid 2 Praten" in sent.text


def test_conversation_is_closed_and_opened_again(running: Running, thread: str) -> None:
    window = running.at_work()
    closed = window.press(opened(running, window), "notice", text="Het ga je goed.")
    assert "Je hebt dit gesprek gesloten." in closed.text
    again = window.press(window.get(closed.path), "notice")
    assert "Je hebt dit gesprek gesloten." not in again.text


def test_counsellors_label_and_note_are_kept_and_never_sent(
    running: Running, peer: Peer, thread: str
) -> None:
    window = running.at_work()
    before = dict(peer.items)
    page = opened(running, window)
    noted = window.press(page, "own", label="Rooster zorgteam", note="Belde maandag.")
    assert "De naam en de aantekening zijn bewaard." in noted.text
    assert "Belde maandag." in window.get(noted.path).text
    assert "Rooster zorgteam" in window.get(running.home).text
    assert peer.items == before


def test_overlong_label_stays_in_the_form_with_the_note(running: Running, thread: str) -> None:
    window = running.at_work()
    refused = window.press(opened(running, window), "own", label="x" * 101, note="Belde maandag.")
    assert refused.status == 409
    fields = dict(refused.form_to("own").fields)
    assert (fields["label"], fields["note"]) == ("x" * 101, "Belde maandag.")


def test_form_without_the_note_field_leaves_the_note_unchanged(
    running: Running, thread: str
) -> None:
    window = running.at_work()
    page = window.press(opened(running, window), "own", label="", note="Belde maandag.")
    target = page.form_to("own").action.partition("#")[0]
    kept = window.request(
        "POST", target, b"label=Rooster", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert "zijn bewaard" in kept.text
    shown = opened(running, window)
    assert "Belde maandag." in shown.text
    assert "Rooster" in shown.text


def test_deleting_a_conversation_requires_confirmation(
    running: Running, office: Office, thread: str
) -> None:
    window = running.at_work()
    page = opened(running, window)
    look = window.get(next(link for link in page.links if link.endswith("/forget")))
    assert "Het gaat over mijn chef." in look.text
    gone = window.press(look, "forget")
    assert 'data-page="today"' in gone.html
    assert "chef" not in gone.text
    running.lock.lock()
    assert office.json("list") == []


def test_unverified_text_is_never_shown_as_the_reporters_text(
    running: Running, peer: Peer, reporter: Reporter, thread: str
) -> None:
    stranger = Reporter(peer, running.office.identity)
    stranger.report("Ik ben de melder niet.")
    item, kept = next((i, k) for i, k in peer.items.items() if k.mailbox == stranger.mailbox)
    kept.mailbox = reporter.mailbox  # the server moves the message to another conversation
    peer.gone.add(stranger.mailbox)
    window = running.at_work()
    running.fetch(window)
    page = opened(running, window)
    assert "Vertrouw dit niet." in page.text
    assert "Iemand die zich voordoet als" in page.text
    assert "is gecontroleerd" not in page.text
    assert "Bel de beheerder" in page.text
    assert item[:8] not in page.text


def test_script_in_a_report_is_shown_as_text(running: Running, peer: Peer, office: Office) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    Reporter(peer, office.identity).report(attack)
    window = running.at_work()
    running.fetch(window)
    page = opened(running, window)
    assert attack not in page.html
    assert attack in page.text


def test_successor_is_identified_by_fingerprint_and_never_by_name_alone(
    running: Running, reporter: Reporter, thread: str, office: Office, peer: Peer, clock: Clock
) -> None:
    bas = Office(office.folder.with_name("bas"), peer, clock, "Bas de Wit").set_up()
    window = running.at_work()
    fields = {"step": "overdragen", "with": "Bas", "scope": "alles wat hier staat"}
    asked = window.press(opened(running, window), "consent", **fields, successor="Bas de Wit")
    assert "tien groepjes" in asked.text
    assert len(reporter.thread().entries) == 1
    assert dict(asked.form_to("consent").fields)["successor"] == "Bas de Wit"
    window.press(asked, "consent", successor=bas.fingerprint(), formal="1")
    sent = reporter.thread().entries[-1].message
    assert sent is not None
    assert sent.body["successor"] == str(bas)
