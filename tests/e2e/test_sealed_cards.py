"""Sealing browsers take names and keys from the cards of the day, not from the page."""

import base64
import datetime
import json
import re

from playwright.sync_api import Route, expect

from tests.e2e.test_sealed_journey import (
    MESSAGES,
    Meet,
    bas,
    box,
    in_one_browser,
    meet,
    relay,
    start,
)
from tests.e2e.test_sealed_lies import TWO_WORDS
from tests.support.drop_box import Counsellor
from tests.support.relay import Lie, Relay
from tests.support.sealing_person import LANG, always
from tests.support.steps import STORY

__all__ = ["bas", "box", "meet", "relay", "start"]  # fixtures


@in_one_browser
def test_name_next_to_a_choice_is_the_name_on_the_card(
    meet: Meet, relay: Relay, counsellor: Counsellor, bas: Counsellor
) -> None:
    """The page has the two names the wrong way round; the report goes to the name that is shown."""
    writer = meet()

    def swap(route: Route) -> None:
        page = relay.ask(f"/{LANG}/report").decode()
        page = page.replace("Els de Vries", "\0").replace("Bas Jansen", "Els de Vries")
        route.fulfill(content_type="text/html", body=page.replace("\0", "Bas Jansen"))

    writer.page.route(f"**/{LANG}/report", swap)
    writer.begins("report")
    writer.page.get_by_label("Bas Jansen").check()
    writer.writes(STORY[LANG])
    writer.code()
    counsellor.desk("fetch")
    bas.desk("fetch")
    assert (len(counsellor.threads()), len(bas.threads())) == (0, 1)
    # Nothing of the page of the conversation has been fetched again: this choice has its names too.
    writer.goes_on()
    writer.page.click("[data-seal=other]")
    writer.page.get_by_label("Els de Vries").check()
    writer.page.fill("[data-seal=other] [name=text]", TWO_WORDS)
    writer.page.click("[data-seal=other] button[type=submit]")
    writer.reads("Je bericht is verstuurd")
    assert writer.goes_to == "Dit gaat naar Els de Vries."
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1


@in_one_browser
def test_counsellor_whose_card_cannot_be_found_cannot_be_chosen(
    meet: Meet, relay: Relay, bas: Counsellor
) -> None:
    """The page gives an identity in another form, beside the name of somebody else."""
    writer = meet()

    def rewrite(route: Route) -> None:
        page = relay.ask(f"/{LANG}/report").decode()
        names = r'name="counsellor" value="([0-9a-f]{64})"[^>]*> <span><bdi[^>]*>([^<]+)<'
        by_name = {name: identity for identity, name in re.findall(names, page)}
        els, other = by_name["Els de Vries"], by_name["Bas Jansen"]
        hidden = base64.b64encode(bytes.fromhex(other)).decode()
        route.fulfill(content_type="text/html", body=page.replace(els, hidden))

    writer.page.route(f"**/{LANG}/report", rewrite)
    writer.begins("report")
    expect(writer.page.get_by_label("Els de Vries")).to_be_disabled()
    expect(writer.page.get_by_label("Bas Jansen")).to_be_enabled()
    writer.page.get_by_label("Bas Jansen").check()
    relay.fault = always(Lie(200, {"cards": []}), "GET", "/api/site")
    writer.writes(STORY[LANG])
    expect(writer.page.locator("#sealed-status, [data-slot=status]").first).not_to_be_empty()
    expect(writer.page.get_by_label("Els de Vries")).to_be_disabled()
    assert relay.sent("POST", "/api/reports") == []


@in_one_browser
def test_message_written_across_midnight_uses_the_cards_of_the_new_day(
    meet: Meet, relay: Relay
) -> None:
    """A card has a key for each month. Here the counsellor has none any more the next day."""
    writer = meet()
    midnight = datetime.datetime.combine(_today(), datetime.time(), datetime.UTC)
    writer.page.clock.install(time=midnight - datetime.timedelta(minutes=10))
    writer.tells(STORY[LANG])
    writer.goes_on()
    writer.says(TWO_WORDS, "Je bericht is verstuurd")
    asked = len(relay.sent("GET", "/api/site"))
    site = json.loads(relay.ask("/api/site"))
    writer.page.clock.fast_forward(15 * 60_000)
    relay.fault = always(Lie(200, site | {"cards": []}), "GET", "/api/site")
    writer.says("Te laat.", "zijn hier veranderd of weg")
    assert len(relay.sent("GET", "/api/site")) == asked + 1
    assert relay.sent("POST", f"{MESSAGES}?n=3") == []


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
