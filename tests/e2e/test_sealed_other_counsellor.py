"""Continuing with another counsellor in a browser that seals, with the conversation so far."""

from collections.abc import Callable

import pytest

from tests.e2e.test_sealed_journey import bas, box, in_one_browser, meet, relay, start
from tests.support.drop_box import Counsellor, DropBox
from tests.support.relay import Lie, Relay
from tests.support.sealing_person import (
    LANG,
    Reporter,
    Step,
    always,
    each_once,
    leaked,
    refused_or_lost,
    site_of,
)
from tests.support.steps import ANSWER, STORY, the_only_thread

__all__ = ["bas", "box", "meet", "relay", "start"]

PASSED_ON = "[passed on by the reporter from the thread with an earlier counsellor]"
TO_BAS = "Dag Bas, ik ga graag met jou verder."
FILES, PARTS, MESSAGES = "/api/files/", "/api/files/parts/", "/api/conversation/messages"
Meet = Callable[[], Reporter]


@pytest.fixture
def answered(meet: Meet, counsellor: Counsellor, bas: Counsellor) -> tuple[Reporter, str]:
    """Return a reporter in a conversation with Els, who has answered, and the code."""
    assert bas
    writer = meet()
    writer.begins("report")
    writer.page.get_by_label("Els de Vries").check()
    writer.writes(STORY[LANG])
    code = writer.code()
    counsellor.desk("fetch")
    counsellor.reply(the_only_thread(counsellor), ANSWER[LANG])
    writer.goes_on()
    assert writer.messages == [STORY[LANG], ANSWER[LANG]]
    return writer, code


def turns_to_bas(writer: Reporter, *, along: bool) -> None:
    writer.page.click("[data-seal=other]")
    writer.page.get_by_label("Bas Jansen").check()
    if along:
        writer.page.get_by_label("Laat deze persoon ook lezen").check()
    writer.page.fill("[data-seal=other] [name=text]", TO_BAS)
    writer.page.click("[data-seal=other] button[type=submit]")


def texts_of(counsellor: Counsellor) -> list[str]:
    counsellor.desk("fetch")
    return [message["text"] for message in counsellor.read(the_only_thread(counsellor))["messages"]]


def test_other_counsellor_reads_the_conversation_so_far_if_the_reporter_ticks_the_box(
    answered: tuple[Reporter, str], relay: Relay, box: DropBox, counsellor: Counsellor,
    bas: Counsellor,
) -> None:  # fmt: skip
    """The desk shows it as one of the plain form; no request contains any of it unsealed."""
    writer, code = answered
    turns_to_bas(writer, along=True)
    writer.reads("Je bericht is verstuurd")
    assert writer.goes_to == "Dit gaat naar Bas Jansen."
    assert "Je liet Bas Jansen ook lezen wat er toen al in dit gesprek stond." in writer.shown
    assert texts_of(bas) == [STORY[LANG], ANSWER[LANG], TO_BAS]
    assert bas.desk("read", the_only_thread(bas)).stdout.count(PASSED_ON) == 2
    assert "COULD NOT BE VERIFIED" not in bas.desk("read", the_only_thread(bas)).stdout
    assert texts_of(counsellor) == [STORY[LANG], ANSWER[LANG]]

    # The next message goes to the same counsellor, who has the conversation.
    sent = len(relay.sent("PUT", PARTS))
    writer.says("En nu?", "Je bericht is verstuurd")
    assert len(relay.sent("PUT", PARTS)) == sent == 1
    assert texts_of(bas) == [STORY[LANG], ANSWER[LANG], TO_BAS, "En nu?"]
    texts = [STORY[LANG], ANSWER[LANG], TO_BAS]
    assert leaked(relay.seen, code, site_of(box), texts) == []


@in_one_browser
def test_conversation_stays_with_the_earlier_counsellor_without_a_tick(
    answered: tuple[Reporter, str], relay: Relay, counsellor: Counsellor, bas: Counsellor
) -> None:
    writer, _ = answered
    writer.page.click("[data-seal=other]")
    assert writer.page.locator("[name=counsellor]").count() == 1, "the current one is not offered"
    assert not writer.page.get_by_label("Laat deze persoon ook lezen").is_checked()
    writer.page.click("main [data-seal=back]")
    turns_to_bas(writer, along=False)
    writer.reads("Je bericht is verstuurd")
    assert "Je liet" not in writer.shown
    assert texts_of(bas) == [TO_BAS]
    assert relay.sent("PUT", "/api/files/") == []
    # Back again: both are former counsellors, and only the newest choice counts.
    writer.page.click("[data-seal=other]")
    assert writer.page.get_by_label("Els de Vries").count() == 1


@in_one_browser
@pytest.mark.parametrize(
    "steps", refused_or_lost([("PUT", PARTS), ("POST", FILES), ("POST", MESSAGES)])
)
def test_conversation_is_passed_on_once_even_if_requests_fail(
    answered: tuple[Reporter, str], relay: Relay, bas: Counsellor, steps: list[Step]
) -> None:
    writer, _ = answered
    relay.fault = each_once(*steps)
    turns_to_bas(writer, along=True)
    writer.reads("Je bericht is verstuurd")
    assert texts_of(bas) == [STORY[LANG], ANSWER[LANG], TO_BAS]


@in_one_browser
def test_conversation_is_sealed_again_if_another_tab_wrote_meanwhile(
    answered: tuple[Reporter, str], meet: Meet, bas: Counsellor
) -> None:
    """The server removed what waited when it stored that message, and its number is taken."""
    writer, code = answered
    other = meet()
    other.returns(code)
    other.says("Van de ander.", "Je bericht is verstuurd")
    turns_to_bas(writer, along=True)
    writer.reads("Je bericht is verstuurd")
    assert texts_of(bas) == [STORY[LANG], ANSWER[LANG], "Van de ander.", TO_BAS]


@in_one_browser
def test_full_conversation_is_named_as_the_reason_and_the_text_stays(
    answered: tuple[Reporter, str], relay: Relay, bas: Counsellor
) -> None:
    writer, _ = answered
    full = Lie(507, {"error": "full", "refused": "other", "full": "mailbox"}, passed_on=False)
    relay.fault = always(full, "PUT", PARTS)
    turns_to_bas(writer, along=True)
    writer.reads("In dit gesprek is geen ruimte meer")
    assert relay.sent("POST", MESSAGES) == []
    relay.fault = always("", "", "")
    assert writer.page.input_value("[data-seal=other] [name=text]") == TO_BAS
    assert writer.page.get_by_label("Laat deze persoon ook lezen").is_checked()
    writer.page.click("[data-seal=other] button[type=submit]")
    writer.reads("Je bericht is verstuurd")
    assert texts_of(bas) == [STORY[LANG], ANSWER[LANG], TO_BAS]
