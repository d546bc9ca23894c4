"""Response lengths are few and independent of contents, and a first visit is small."""

import gzip
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import card as cards
from dropbox_app.protocol.retrieval_code import generate
from dropbox_app.server.web.assets import read_style
from dropbox_app.server.web.padding import (
    COARSE,
    PACKED,
    PACKED_COARSE,
    PLAIN,
    filled,
    packed,
    step_of,
)
from tests.server.web.conftest import START, House
from tests.server.web.test_before import ADDRESSES
from tests.support.plain_browser import Page

TEXT = "Er is iets gebeurd."
GZIP = {"Accept-Encoding": "gzip, deflate, br, zstd"}
FIRST_VISIT = 14_000  # bytes on the wire: what a connection's first round trip delivers


def away(house: House) -> None:
    noor, sam = house.counsellors
    absence = cards.Away(START.replace(day=20), sam.identity)
    house.site.update(noor.identity, noor.card(away=absence), START)


def crowd(house: House) -> None:
    for number in range(12):
        house.welcome(f"naam{number} " + "lang " * 15 + "einde")


def retired(house: House) -> None:
    house.site.retire("noor")
    house.site.retire("sam")


STATES: dict[str, Callable[[House], None]] = {
    "two": lambda _: None,
    "away": away,
    "silent": lambda house: house.clock.pass_days(20),
    "over": lambda house: house.clock.pass_days(170),
    "retired": retired,
    "crowd": crowd,
}


@pytest.mark.parametrize("state", STATES)
def test_all_pages_before_a_session_have_the_same_length(two: House, state: str) -> None:
    """This holds in both encodings and in any state of the site."""
    STATES[state](two)
    plain, small = set(), set()
    for address in ADDRESSES:
        page = two.browser().get(address)
        other = two.browser().request("GET", address, headers=GZIP)
        assert (page.header("Content-Encoding"), other.header("Content-Encoding")) == (None, "gzip")
        for one in (page, other):
            assert one.header("Content-Length") == str(len(one.body))
            assert one.header("Vary") is None
        assert gzip.decompress(other.body) == page.body.rstrip()
        plain.add(len(page.body))
        small.add(len(other.body))
    assert small == {PACKED}
    assert plain == {PLAIN}


@pytest.mark.parametrize("value", ["", "br", "identity", "gzip;q=0", "deflate;q=1, gzip;q=0"])
def test_client_without_gzip_gets_uncompressed_pages(house: House, value: str) -> None:
    page = house.browser().request("GET", "/nl/", headers={"Accept-Encoding": value})
    assert page.header("Content-Encoding") is None
    assert page.body == house.browser().get("/nl/").body


@pytest.mark.parametrize("path", ["", "safety", "report", "return"])
@pytest.mark.parametrize("lang", ["nl", "en"])
def test_first_visit_is_small_and_takes_two_requests(two: House, lang: str, path: str) -> None:
    """Headers are included. Icon and script are inline, so nothing else is requested."""
    page = two.browser().request("GET", f"/{lang}/{path}", headers=GZIP)
    html = gzip.decompress(page.body).decode()
    assert '<link rel="icon" href="data:,">' in html
    (style,) = re.findall(r'(?:src|<link rel="stylesheet" href)="([^"]+)"', html)
    sheet = two.browser().request("GET", style, headers=GZIP)
    assert gzip.decompress(sheet.body) == read_style().content
    weight = 0
    for answer in (page, sheet):
        head = [("HTTP/1.1", "200 OK"), ("Connection", "close"), *answer.headers]
        weight += sum(len(name) + len(value) + 4 for name, value in head) + 2 + len(answer.body)
    assert weight <= FIRST_VISIT


def test_personal_pages_are_never_compressed(house: House) -> None:
    """A compressed length could reveal secrets next to typed text."""
    for page in answers(house, GZIP):
        assert page.header("Content-Encoding") is None, page.path
    browser = house.browser()
    told = browser.request("POST", "/nl/report", b"text=Iets.", GZIP)
    assert told.header("Content-Encoding") is None
    for path in ("code", "conversation", "counsellor", "withdraw", "files"):
        page = browser.request("GET", f"/nl/{path}", headers=GZIP)
        assert (page.status, page.header("Content-Encoding")) == (200, None), path


def answers(house: House, headers: dict[str, str] | None = None) -> Iterator[Page]:
    """Yield all responses that are not session pages: codes, errors, returned forms."""
    (*six, last) = generate("nl")
    more = headers or {}
    for lang in ("nl", "en"):
        for typed in ("", "een twee", "zzzzqq " * 7, " ".join([*six, last]), "x" * 300):
            yield house.browser().post(f"/{lang}/return", more, code=typed)
        yield house.browser().request("GET", f"/{lang}/nergens", headers=more)
        yield house.browser().request("GET", f"/{lang}/conversation", headers=more)
        yield house.browser().request("PUT", f"/{lang}/report", headers=more)
        yield house.browser().request("POST", f"/{lang}/report", b"x" * 600_000, more)
        plain = {"Content-Type": "text/plain", **more}
        yield house.browser().request("POST", f"/{lang}/report", b"x", plain)
        yield house.browser().post(f"/{lang}/report", {"Origin": "null", **more}, text=TEXT)
        yield house.browser().post(f"/{lang}/conversation", more, text=TEXT)
        yield house.browser().post(f"/{lang}/consent", more, text=TEXT)
        evil = {"Host": "evil.example", **more}
        yield house.browser().request("GET", f"/{lang}/", headers=evil)


def test_code_and_error_responses_also_have_the_same_length(house: House) -> None:
    seen = set()
    for page in answers(house):
        seen.add(page.status)
        assert len(page.body) == PLAIN, (page.path, page.status)
    assert {203, 403, 404, 405, 413, 415, 421, 422} <= seen


def test_session_page_length_does_not_reveal_text_length(house: House) -> None:
    """Pages with short texts share one length, and longer pages have a multiple of it."""
    seen = []
    for size in (1, 500, 5_000, 9_999, 20_000, 60_000):
        browser = house.browser()
        page = browser.tell("a" * size)
        assert len(page.body) == PLAIN
        seen.append(len(browser.come_back(page.code).body))
        double = seen[-1] // PLAIN
        assert seen[-1] % PLAIN == 0
        assert double & (double - 1) == 0
        assert seen[-1] >= size
    assert seen[0] == PLAIN < seen[-1]


@given(
    st.integers(1, 4 * COARSE),
    st.sampled_from([(PLAIN, COARSE), (PACKED, PACKED_COARSE)]),
)
def test_padded_length_fits_the_page_and_has_few_values(
    length: int, steps: tuple[int, int]
) -> None:
    step, coarse = steps
    found = step_of(length, step, coarse)
    assert length <= found
    assert found % step == 0
    assert step_of(found, step, coarse) == found
    assert step_of(length + 1, step, coarse) >= found
    if found <= coarse:
        assert found < 2 * max(length, step)
        assert (found // step) & (found // step - 1) == 0
    else:
        assert found - length < 2 * coarse


@given(st.binary(min_size=1, max_size=100_000))
def test_compressed_page_is_padded_gzip_and_deterministic(page: bytes) -> None:
    made = packed(page)
    assert gzip.decompress(made) == page
    assert len(made) == step_of(len(made), PACKED, PACKED_COARSE)
    assert made == packed(page)
    assert len(filled(page)) == step_of(len(page), PLAIN, COARSE)
