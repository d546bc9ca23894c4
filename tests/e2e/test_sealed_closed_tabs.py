"""Tabs of sealing browsers that are closed during a request, before or after the server has it."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.test_sealed_files import PARTS, WHOLE, at_the_desk, choose, is_sent, send, some_files
from tests.e2e.test_sealed_journey import (
    LONG,
    MESSAGES,
    REPORTS,
    Meet,
    box,
    in_one_browser,
    meet,
    relay,
    start,
)
from tests.support.drop_box import Counsellor
from tests.support.recorder import Passed
from tests.support.relay import Fault, Relay
from tests.support.sealing_person import LANG, Reporter
from tests.support.steps import FOLLOW_UP, STORY, the_only_thread

__all__ = ["box", "meet", "relay", "start"]  # fixtures

BOUND = 30.0  # seconds
WITHDRAWAL = "/api/conversation/withdrawal"

STEPS_OF_FILES = [("PUT", PARTS), ("POST", WHOLE), ("POST", MESSAGES)]

MOMENTS = [pytest.param(False, id="before"), pytest.param(True, id="after")]
# With --long at both moments; by default at the one after which there is more to go wrong.
at_each_moment = pytest.mark.parametrize("arrives", MOMENTS if LONG else MOMENTS[1:])


@dataclass
class Closing:
    """Holds the first request of a kind until its tab is closed, then lets it arrive or not."""

    relay: Relay
    method: str
    part: str
    arrives: bool
    _sent: threading.Event = field(default_factory=threading.Event)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.relay.fault = self._of

    def _of(self, passed: Passed) -> Fault:
        if passed.method != self.method or self.part not in passed.target or self._sent.is_set():
            return ""
        self._sent.set()
        assert self._closed.wait(BOUND)
        return "lose" if self.arrives else "refuse"

    def closes(self, writer: Reporter) -> None:
        """Close the tab of this reporter once the request is on its way."""
        while not self._sent.is_set():  # the driver must go on, because it answers the browser
            writer.page.wait_for_timeout(20)
        writer.context.close()
        self._closed.set()


@in_one_browser
@at_each_moment
def test_tab_closed_while_a_report_is_sent_leaves_a_whole_report_or_none(
    meet: Meet, relay: Relay, counsellor: Counsellor, arrives: bool
) -> None:
    """Nobody has seen its code, so the person writes again; that report arrives too."""
    writer = meet()
    writer.begins("report")
    closing = Closing(relay, "POST", REPORTS, arrives)
    writer.writes(STORY[LANG])
    closing.closes(writer)
    meet().tells(FOLLOW_UP[LANG])
    counsellor.desk("fetch")
    read = [counsellor.read(thread["id"])["messages"] for thread in counsellor.threads()]
    said = [[message["text"] for message in messages] for messages in read]
    assert sorted(said) == sorted(
        [[STORY[LANG]], [FOLLOW_UP[LANG]]] if arrives else [[FOLLOW_UP[LANG]]]
    )


@in_one_browser
@at_each_moment
def test_tab_closed_while_a_message_is_sent_leaves_a_whole_message_or_none(
    meet: Meet, relay: Relay, counsellor: Counsellor, arrives: bool
) -> None:
    """With the code, the person sees which; a message written then arrives once."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    closing = Closing(relay, "POST", MESSAGES, arrives)
    writer.page.fill("[data-seal=message] [name=text]", FOLLOW_UP[LANG])
    writer.page.click("[data-seal=message] button[type=submit]")
    closing.closes(writer)
    later = meet()
    later.returns(code)
    so_far = [STORY[LANG], FOLLOW_UP[LANG]] if arrives else [STORY[LANG]]
    assert later.messages == so_far
    later.says("Nog iets.", "Je bericht is verstuurd")
    assert later.messages == [*so_far, "Nog iets."]
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == later.messages


@in_one_browser
@at_each_moment
@pytest.mark.parametrize(("method", "part"), STEPS_OF_FILES if LONG else STEPS_OF_FILES[:1])
def test_tab_closed_while_files_are_sent_leaves_the_whole_message_or_nothing(
    meet: Meet,
    relay: Relay,
    counsellor: Counsellor,
    tmp_path: Path,
    method: str,
    part: str,
    arrives: bool,
) -> None:
    """The person sends the files again if they are not there, and the desk has them once."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    given = some_files()
    choose(writer, given)
    closing = Closing(relay, method, part, arrives)
    send(writer)
    closing.closes(writer)
    later = meet()
    later.returns(code)
    stored = arrives and part == MESSAGES
    assert later.messages == ([STORY[LANG], "Zie de bijlagen."] if stored else [STORY[LANG]])
    if not stored:
        choose(later, given)
        send(later)
        is_sent(later)
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents
    read = counsellor.read(the_only_thread(counsellor))
    assert [one["text"] for one in read["messages"]] == [STORY[LANG], "Zie de bijlagen."]


@in_one_browser
@pytest.mark.parametrize("arrives", MOMENTS if LONG else MOMENTS[:1])
def test_tab_closed_while_a_conversation_is_withdrawn_leaves_all_of_it_or_nothing(
    meet: Meet, relay: Relay, arrives: bool
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    closing = Closing(relay, "POST", WITHDRAWAL, arrives)
    writer.page.click("[data-seal=withdraw]")
    writer.page.check("[name=sure]")
    writer.page.click("[data-seal=withdraw-sure] button[type=submit]")
    closing.closes(writer)
    later = meet()
    if not arrives:
        later.returns(code)
        assert later.messages == [STORY[LANG]]
        later.withdraws()
    meet().finds_nothing_with(code)


@in_one_browser
@pytest.mark.parametrize("part", ["/api/items", *(["/api/conversation"] if LONG else [])])
def test_tab_closed_while_a_conversation_is_opened_changes_nothing(
    meet: Meet, relay: Relay, part: str
) -> None:
    code = meet().tells(STORY[LANG])
    reader = meet()
    reader.begins("return")
    closing = Closing(relay, "GET", part, arrives=True)
    reader.enters(code)
    closing.closes(reader)
    later = meet()
    later.returns(code)
    assert later.messages == [STORY[LANG]]
