"""What a reporter can do with a message, in a browser that seals: choose, check, take back."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.test_sealed_files import choose, is_sent, send
from tests.e2e.test_sealed_journey import bas, box, in_one_browser, meet, relay, start
from tests.e2e.test_sealed_parity import OPTIONS
from tests.support.drop_box import Counsellor
from tests.support.relay import Lie, Relay
from tests.support.sealing_person import LANG, Reporter, always
from tests.support.steps import STORY, the_only_thread

__all__ = ["bas", "box", "meet", "relay", "start"]

Meet = Callable[[], Reporter]


def tells_els(writer: Reporter, counsellor: Counsellor) -> tuple[str, str]:
    """Report to Els; return the code, and the thread at her desk."""
    writer.begins("report")
    radio = writer.page.get_by_label("Els de Vries")
    if radio.count():
        radio.check()
    writer.writes(STORY[LANG])
    code = writer.code()
    counsellor.desk("fetch")
    return code, the_only_thread(counsellor)


def texts_of(counsellor: Counsellor, thread: str) -> list[str]:
    counsellor.desk("fetch")
    return [message.get("text", "") for message in counsellor.read(thread)["messages"]]


@in_one_browser
def test_option_of_a_counsellor_can_be_chosen_and_an_unsent_text_stays(
    meet: Meet, counsellor: Counsellor, tmp_path: Path
) -> None:
    writer = meet()
    _, thread = tells_els(writer, counsellor)
    (tmp_path / "options.toml").write_text(OPTIONS)
    counsellor.desk("options", thread, "--file", tmp_path / "options.toml")
    writer.goes_on()
    writer.page.fill("[data-seal=message] [name=text]", "Nog niet af")
    writer.page.click("[data-seal=options] button")
    writer.reads("Schrijf eerst wat je wilt vertellen")
    writer.page.get_by_label("Niets doen").check()
    writer.page.click("[data-seal=options] button")
    writer.reads("Je bericht is verstuurd")
    assert writer.page.input_value("[data-seal=message] [name=text]") == "Nog niet af"
    assert texts_of(counsellor, thread)[-1] == "Ik kies: Niets doen"


@in_one_browser
def test_own_file_is_compared_with_what_was_sent(meet: Meet, relay: Relay) -> None:
    """Only the counsellor can open it, so nothing of it is shown, but altered bytes are noticed."""
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    choose(writer, [("verslag.txt", "text/plain", b"Wat ik deed.\n" * 4_000)])
    send(writer)
    is_sent(writer)
    assert "verslag.txt (50,8 kB)" in writer.shown
    check = writer.page.locator("article .files button")
    check.click()
    writer.reads("Dit bestand staat hier nog precies zoals het is opgeslagen toen jij het stuurde.")
    relay.fault = always(Lie(200, {"not": "the file"}, passed_on=False), "GET", "/api/files/")
    check.click()
    writer.reads("Dit bestand is veranderd sinds jij het stuurde.")
    gone = Lie(404, {"error": "no such item", "refused": "gone"}, passed_on=False)
    relay.fault = always(gone, "GET", "/api/files/")
    check.click()
    writer.reads("Dit bestand staat hier niet meer")


@in_one_browser
def test_yes_can_be_withdrawn_also_after_a_change_of_counsellor(
    meet: Meet, counsellor: Counsellor, bas: Counsellor
) -> None:
    """After the change, the answer would go to somebody else, so it is written to the asker."""
    assert bas
    writer = meet()
    _, thread = tells_els(writer, counsellor)
    for step in ("Stap een", "Stap twee"):
        counsellor.desk("ask", thread, *("--step", step, "--with", "Je chef", "--scope", "Alles"))
    writer.goes_on()
    for step in ("Stap een", "Stap twee"):
        asked = writer.page.locator("article", has_text=f"{step}")
        asked.locator("[value=yes]").check()
        asked.locator("[data-seal=consent] button").click()
        writer.reads("Je bericht is verstuurd")
        writer.page.locator("article", has_text=step).locator("details").first.wait_for()
    asked = writer.page.locator("article", has_text="Stap een")
    asked.locator("[data-slot=take-back] summary").click()
    asked.locator("[data-seal=take-back] button").click()
    writer.reads("Je bericht is verstuurd")
    counsellor.desk("fetch")
    assert "withdrawn" in str(counsellor.read(thread)["messages"][-1])

    writer.page.click("[data-seal=other]")
    writer.page.get_by_label("Bas Jansen").check()
    writer.page.fill("[data-seal=other] [name=text]", "Dag Bas.")
    writer.page.click("[data-seal=other] button[type=submit]")
    writer.reads("Je bericht is verstuurd")
    writer.page.click("details.older > summary")
    writer.page.click("[data-seal=turn]:visible")
    assert writer.page.get_by_label("Els de Vries").is_checked()
    proposed = "Ik trek mijn ja in. Het ging over: Stap twee"
    assert writer.page.input_value("[data-seal=other] [name=text]") == proposed
    writer.page.click("[data-seal=other] button[type=submit]")
    writer.reads("Je bericht is verstuurd")
    assert texts_of(counsellor, thread)[-1] == proposed
