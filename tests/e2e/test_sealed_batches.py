"""A long conversation in browsers that seal: its messages arrive together, and are all checked."""

import http.client
import re

import pytest
from playwright.sync_api import Route

from dropbox_app.protocol.batch import pack, unpack
from tests.e2e.test_sealed_journey import LONG, Meet, box, in_one_browser, meet, relay, start
from tests.support.drop_box import Counsellor
from tests.support.relay import Relay
from tests.support.sealing_browser import Answer, SealingBrowser

__all__ = ["box", "meet", "relay", "start"]  # fixtures

MALFORMED = [pack((b"x",) * 4), b"\xff\xff\xff\xffx", b"", pack((b"", b""))[:-1], b"{}"]
BATCH = re.compile(r"/api/items\?ids=")
IN_DOUBT = "Dit bericht kunnen we niet controleren"


def over_http(relay: Relay) -> SealingBrowser:
    """Return a browser without pages that seals and sends through the relay."""

    def exchange(method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", relay.own, timeout=60)
        connection.request(method, target, body, headers)
        got = connection.getresponse()
        answer = Answer(got.status, got.read())
        connection.close()
        return answer

    return SealingBrowser(exchange)


@pytest.fixture
def writer(relay: Relay, counsellor: Counsellor) -> SealingBrowser:
    """Return a browser with a conversation of three messages."""
    made = over_http(relay)
    made.report("Een.", made.cards[0].identity)
    made.write("Twee.")
    made.write("Drie.")
    return made


@in_one_browser
def test_conversation_of_sixty_messages_takes_two_requests(
    meet: Meet, relay: Relay, writer: SealingBrowser
) -> None:
    texts = ["Een.", "Twee.", "Drie."]
    while len(texts) < 60:
        texts.append(f"Bericht {len(texts) + 1}.")
        writer.write(texts[-1])
    relay.seen.clear()
    reader = meet()
    reader.returns(" ".join(writer.words))
    assert reader.messages == texts
    fetched = relay.sent("GET", "/api/items")
    assert len(fetched) == 2
    reader.says("Nog een.", "Je bericht is verstuurd")
    assert reader.messages[-1] == "Nog een."
    assert relay.sent("GET", "/api/items") == fetched, "what was read is not fetched again"


@in_one_browser
def test_swapped_items_of_a_batch_are_rejected_and_fetched_again(
    meet: Meet, relay: Relay, writer: SealingBrowser
) -> None:
    reader = meet()

    def swap(route: Route) -> None:
        target = route.request.url.removeprefix(relay.url)
        first, second, third = unpack(relay.ask(target, f"Bearer {writer.token}"), 3)
        route.fulfill(body=pack((first, third, second)))

    reader.page.route(BATCH, swap, times=1)
    reader.returns(" ".join(writer.words))
    assert reader.messages == ["Een.", "", ""]
    assert reader.shown.count(IN_DOUBT) == 2
    reader.says("Vier.", "Je bericht is verstuurd")
    assert reader.messages == ["Een.", "Twee.", "Drie.", "Vier."]


@in_one_browser
@pytest.mark.parametrize("body", MALFORMED if LONG else MALFORMED[:2])  # all: test_vectors.py
def test_malformed_batch_is_not_read(meet: Meet, writer: SealingBrowser, body: bytes) -> None:
    reader = meet()
    reader.begins("return")
    reader.page.route(BATCH, lambda route: route.fulfill(status=200, body=body))
    reader.enters(" ".join(writer.words))
    reader.reads("geen verbinding")
    reader.page.unroute(BATCH)
    reader.page.click("[data-seal=return] button.button")
    reader.page.wait_for_selector("[data-seal=message]")
    assert reader.messages == ["Een.", "Twee.", "Drie."]
