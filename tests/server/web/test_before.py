"""The pages before a report are the same for everybody, true for this site, and calm."""

import html.parser
import re
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.protocol import card as cards
from dropbox_app.server.web.assets import LEAVE_SCRIPT
from dropbox_app.server.web.i18n import PAGE_LANGUAGES, words
from dropbox_app.server.web.rendering import PageRenderer
from dropbox_app.server.web.views.info import INFO
from tests.server.web.conftest import ONION, ORIGIN, SECURE, START, House
from tests.support.plain_browser import Page

NEUTRAL = ("info", "message", "read")
STILL = ("", "safety", "report", "return", "withdrawn", *INFO)
ADDRESSES = ("/", *(f"/{lang}/{page}" for lang in ("nl", "en") for page in STILL))


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_placeholder_is_left_unfilled(house: House, address: str) -> None:
    assert not re.findall(r"\{[a-z_]+\}", house.browser().get(address).text)


class Outline(html.parser.HTMLParser):
    """The structure of a page as a screen reader uses it."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.labels: set[str] = set()
        self.inside_label = 0
        self.unnamed: list[str] = []
        self.open: list[str] = []
        self.feed(page.html)
        assert self.open == [], f"{page.path}: left open: {self.open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        assert len(values) == len(attributes), f"an attribute stands twice in <{tag}>"
        self.tags.append((tag, values))
        if tag not in ("input", "meta", "link", "br", "circle", "path"):
            self.open.append(tag)
        if tag == "label":
            self.labels.add(values.get("for", ""))
            self.inside_label += 1
        if tag in ("input", "textarea") and values.get("type") not in ("hidden", "submit"):
            named = self.inside_label or values.get("id") in self.labels
            if not named:
                self.unnamed.append(values.get("name", tag))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        if tag == "label":
            self.inside_label -= 1

    def values(self, attribute: str) -> list[str]:
        return [values[attribute] for _, values in self.tags if attribute in values]


def check_shape(page: Page) -> None:
    """Check labels, ids, references and the frame of a page."""
    outline = Outline(page)
    ids = outline.values("id")
    assert len(ids) == len(set(ids)), f"{page.path}: an id stands twice"
    assert not outline.unnamed, f"{page.path}: without a label: {outline.unnamed}"
    for attribute in ("aria-describedby", "aria-labelledby", "form"):
        for value in outline.values(attribute):
            assert set(value.split()) <= set(ids), f"{page.path}: {attribute}={value}"
    for link in page.links:
        assert not link.startswith("#") or link[1:] in ids, f"{page.path}: {link}"
    links = page.links
    assert links[0] == "#main"
    assert links[1].endswith("/leave")
    assert "112" in page.text
    assert "0800-0113" in page.text
    title = re.search("<title>(.*)</title>", page.html)
    assert title
    neutral, _, mark = title[1].partition(" (")
    assert neutral in {
        words(lang).say(f"title.{key}") for lang in PAGE_LANGUAGES for key in NEUTRAL
    }
    # If a form has errors, the title says that it has, but not which ones.
    assert mark in {"", *(f"{words(lang).say('title.problem')})" for lang in PAGE_LANGUAGES)}
    assert [tag for tag, _ in outline.tags].count("h1") == 1
    assert re.findall("<script.*?</script>", page.html, re.S) == [
        f"<script>{LEAVE_SCRIPT}</script>"
    ]
    assert "style=" not in page.html
    assert not re.search(r'(href|src|action)="(?!/|#|data:,"|tel:[0-9+]+")', page.html), page.path


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_visitor_gets_the_same_bytes_and_no_cookie(house: House, address: str) -> None:
    """This holds with or without a session, at any address of the site."""
    plain = house.browser().get(address)
    # A page with a form has a status with which no browser keeps it in memory for "Back".
    assert plain.status == (203 if address.endswith(("/report", "/return")) else 200)
    assert not plain.header("Set-Cookie")
    headers = {
        "Accept-Language": "en-GB,en;q=0.9",
        "User-Agent": "anything",
        "Referer": "http://127.0.0.1:8000/nl/",
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
    }
    inside = house.browser()
    inside.come_back(inside.tell("Iets.").code)
    again = inside.request("GET", address, headers=headers)
    assert again.body == plain.body
    assert not again.header("Set-Cookie")
    assert sorted(again.headers) == sorted(plain.headers)
    for origin in (SECURE, ONION):
        assert house.browser(origin=origin).get(address).body == plain.body
    house.restart()
    assert house.browser().get(address).body == plain.body


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_has_its_frame_and_labels_and_a_neutral_title(two: House, address: str) -> None:
    check_shape(two.browser().get(address))


def test_page_language_is_chosen_explicitly_and_never_guessed(house: House) -> None:
    page = house.browser().request("GET", "/", headers={"Accept-Language": "en"})
    assert {"/nl/", "/en/"} <= set(page.links)
    assert house.browser().get("/de/").status == 404


def test_each_page_links_to_its_translation(house: House) -> None:
    for page in ("", "safety", "withdrawn", *INFO):
        assert f"/en/{page}" in house.browser().get(f"/nl/{page}").links


def test_landing_page_leads_to_safety_page_and_then_to_report_form(house: House) -> None:
    assert "/nl/safety" in house.browser().get("/nl/").links
    assert "/nl/report" in house.browser().get("/nl/safety").links


def test_page_says_that_only_the_counsellor_and_the_code_can_open_a_report(house: House) -> None:
    for page in ("", "about"):
        text = house.browser().get(f"/nl/{page}").text
        assert "alleen Noor Visser je bericht openen. En jij, met je code." in text, page
    assert "Je schrijft aan Noor Visser." in house.browser().get("/nl/report").text
    text = house.browser().tell("Iets.").text
    assert "Alleen Noor Visser kan je bericht openen. En jij, met je code." in text


@pytest.mark.parametrize("page", ["", "role"])
def test_confidentiality_statement_mentions_peers_and_exceptions(house: House, page: str) -> None:
    text = house.browser().get(f"/nl/{page}").text
    said = text[text.index("behalve als jij dat goedvindt.") :][:300]
    assert "Er zijn een paar uitzonderingen" in said
    assert "Soms bespreekt Noor Visser een situatie met een vakgenoot" in said
    assert "Lees de uitzonderingen" in said


def test_page_says_that_only_the_chosen_counsellor_can_open_a_report(two: House) -> None:
    text = two.browser().get("/en/").text
    assert "Only the person you choose and you, with your code, can open your message." in text
    assert "Noor Visser and Sam Jansen" in text


def test_page_names_operator_and_says_that_they_could_read_messages(house: House) -> None:
    text = house.browser().get("/en/").text
    assert "This site runs on a computer managed by Stichting Hosting." in text
    assert "While you write or read messages, Stichting Hosting could read them too." in text
    assert "call 030 123 45 67" in text


def test_employer_who_runs_the_site_is_called_the_employer_on_its_pages(tmp_path: Path) -> None:
    house = House(tmp_path / "site", run_by="De Korenaar BV", run_by_is_employer=True)
    text = house.browser().get("/nl/").text
    assert "een computer van De Korenaar BV, je werkgever" in text
    assert "zou je werkgever kunnen meelezen" in text
    assert "Bel dan 030 123 45 67" in text
    house.close()


def test_unnamed_employer_who_runs_the_site_is_still_called_the_employer(tmp_path: Path) -> None:
    """Settings of an earlier version may lack the name."""
    house = House(tmp_path / "site", run_by="", run_by_is_employer=True)
    assert "een computer van je werkgever" in house.browser().get("/nl/").text
    assert "your employer could read them too" in house.browser().get("/en/").text
    house.close()


def test_no_page_mentions_a_telephone_number_if_the_site_has_none(tmp_path: Path) -> None:
    house = House(tmp_path / "site", phone="", hours="", run_by="")
    for address in ADDRESSES:
        text = house.browser().get(address).text
        assert "Bel ." not in text
        assert "Bel dan ." not in text
        assert "Liever bellen" not in text
    assert "zou die persoon kunnen meelezen" in house.browser().get("/nl/").text
    house.close()


def test_site_without_a_card_is_described_as_not_yet_open(tmp_path: Path) -> None:
    house = House(tmp_path / "site", ())
    for page in ("", "safety", "report"):
        answer = house.browser().get(f"/nl/{page}")
        assert "nog niet open" in answer.text
        assert "030 123 45 67" in answer.text
        assert not answer.forms
        check_shape(answer)
    assert "/nl/safety" not in house.browser().get("/nl/").links
    house.close()


def test_with_only_expired_cards_writing_is_impossible_and_reading_works(
    house: House,
) -> None:
    browser = house.browser()
    code = browser.tell("Iets.").code
    house.clock.pass_days(170)
    page = house.browser().get("/nl/")
    assert "Je kunt hier nu niet schrijven" in page.text
    assert "/nl/return" in page.links
    assert not house.browser().get("/nl/report").forms
    read = house.browser().come_back(code)
    assert "Iets." in read.text
    assert "niemand die een nieuw bericht van je kan lezen" in read.text


def test_unreachable_counsellor_is_named_and_cannot_be_chosen(two: House) -> None:
    noor, sam = two.counsellors
    two.clock.pass_days(100)
    two.site.update(sam.identity, sam.card(), two.clock.today())
    two.clock.pass_days(60)
    page = two.browser().get("/nl/")
    assert "Aan Noor Visser kun je nu niet schrijven." in page.text
    assert noor.identity.hex not in two.browser().get("/nl/report").html


def test_page_shows_the_absence_of_a_counsellor_and_their_stand_in(two: House) -> None:
    noor, sam = two.counsellors
    until = START.replace(day=20)
    away = noor.card(away=cards.Away(until, sam.identity))
    two.site.update(noor.identity, away, two.clock.today())
    text = two.browser().get("/nl/").text
    assert "Noor Visser is afwezig tot en met 20 november." in text
    assert "Kies Sam Jansen. Alleen wie jij kiest, kan je bericht openen." in text
    two.clock.pass_days(18)
    assert "afwezig" not in two.browser().get("/nl/").text


def test_page_says_that_a_counsellor_has_not_checked_for_messages_for_days(house: House) -> None:
    assert "niet gekeken" not in house.browser().get("/nl/").text
    house.clock.pass_days(14)
    assert "minstens 4 doordeweekse dagen niet gekeken" in house.browser().get("/nl/").text
    house.counsellors[0].threads()
    assert "niet gekeken" not in house.browser().get("/nl/").text


def test_new_card_is_shown_at_once(house: House) -> None:
    assert "Sam" not in house.browser().get("/nl/").text
    house.welcome("Sam Jansen")
    assert "Sam Jansen" in house.browser().get("/nl/").text


def test_page_rendered_with_old_cards_is_not_cached_for_new_ones(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread serves the new cards while this one renders pages with the old ones."""
    made = PageRenderer.render

    def meanwhile(*given: Any, **named: Any) -> str:  # noqa: ANN401 - as it is called
        monkeypatch.setattr(PageRenderer, "render", made)
        house.welcome("Sam Jansen")
        assert "Sam Jansen" in house.browser().get("/nl/about").text
        return made(*given, **named)

    monkeypatch.setattr(PageRenderer, "render", meanwhile)
    assert "Sam Jansen" not in house.browser().get("/nl/about").text
    assert "Sam Jansen" in house.browser().get("/nl/about").text


def test_onion_address_is_shown_if_there_is_one(house: House, tmp_path: Path) -> None:
    assert ONION in house.browser().get("/nl/safety").text
    without = House(tmp_path / "without", origins=(ORIGIN,))
    assert "Tor" not in without.browser().get("/nl/safety").text
    without.close()


def test_privacy_page_names_the_controller_or_says_that_none_is_named(
    house: House, tmp_path: Path
) -> None:
    assert "noemt nog niet wie verantwoordelijk is" in house.browser().get("/nl/privacy").text
    named = House(tmp_path / "named", controller="Noor Visser, Dorpsstraat 1, Utrecht")
    text = named.browser().get("/en/privacy").text
    assert "(GDPR): Noor Visser, Dorpsstraat 1, Utrecht." in text
    assert "does not say yet who is responsible" not in text
    named.close()


def test_technical_page_shows_the_fingerprint_of_each_current_card(two: House) -> None:
    for lang in ("nl", "en"):
        text = two.browser().get(f"/{lang}/technical").text
        for counsellor in two.counsellors:
            assert counsellor.identity.fingerprint() in text
    two.site.retire("sam")
    text = two.browser().get("/nl/technical").text
    assert two.counsellors[0].identity.fingerprint() in text
    assert two.counsellors[1].identity.fingerprint() not in text


def test_every_information_page_is_listed_and_the_list_is_linked_everywhere(
    house: House,
) -> None:
    for lang in ("nl", "en"):
        links = house.browser().get(f"/{lang}/more").links
        for page in INFO:
            assert page == "more" or f"/{lang}/{page}" in links, page
        for page in STILL:
            assert page == "more" or f"/{lang}/more" in house.browser().get(f"/{lang}/{page}").links


def test_page_shows_a_counsellors_languages_kind_and_scope(house: House) -> None:
    text = house.browser().get("/en/").text
    assert "Does not work at the organisation. For unwanted behaviour" in text
    assert "Languages: Dutch and English" in text
    assert "Prefer to call? 030 123 45 67 (ma-vr 9-17)" in text


def test_landing_page_has_two_buttons(house: House) -> None:
    """One is for writing a report and one for coming back."""
    html = house.browser().get("/nl/").html
    assert re.findall(r'<a class="button[^"]*" href="([^"]+)"', html) == [
        "/nl/safety",
        "/nl/return",
    ]
