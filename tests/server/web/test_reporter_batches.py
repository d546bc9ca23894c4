"""Several messages in one response of the reporter API (SPEC section 6)."""

import pytest

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.web import json_api
from tests.server.web.conftest import Counsellor, House
from tests.server.web.test_reporter_api import NOWHERE, browser, noor, sealing, sealing_browser
from tests.support.sealing_browser import SealingBrowser

__all__ = ["browser", "noor", "sealing"]  # fixtures


@pytest.fixture
def ids(noor: Counsellor, browser: SealingBrowser) -> list[str]:
    """Return the ids of a report and two messages, in the order of writing."""
    sealed = [browser.report("Een.", noor.identity), browser.write("Twee."), browser.write("Drie.")]
    return [sha256_hex(one) for one in sealed]


def test_batch_has_messages_in_the_order_of_the_ids(
    browser: SealingBrowser, ids: list[str]
) -> None:
    for asked in (ids, ids[::-1], ids[1:2]):
        assert [sha256_hex(one) for one in browser.batch(asked)] == asked
    single = browser.ask("GET", f"/api/items/{ids[0]}").body
    assert browser.batch(ids[:1]) == [single]


def test_batch_has_only_messages_of_its_own_conversation(
    sealing: House, noor: Counsellor, browser: SealingBrowser, ids: list[str]
) -> None:
    """Other people's items, files and unknown ids all give an empty item."""
    theirs = sha256_hex(sealing_browser(sealing).report("Van een ander.", noor.identity))
    attachment = browser.put_file("notitie.txt", b"wat er gebeurde")
    browser.write("Zie het bestand.", (attachment,))
    asked = [theirs, ids[0], attachment.sha256, NOWHERE]
    found = browser.batch(asked)
    assert [len(one) for one in found if one != found[1]] == [0, 0, 0]
    assert sha256_hex(found[1]) == ids[0]


@pytest.mark.parametrize(("room", "sent"), [(1, 1), (11_408, 1), (2 * 11_408, 2), (10**6, 3)])
def test_batch_is_limited_in_bytes_but_never_empty(
    browser: SealingBrowser,
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    sent: int,
) -> None:
    monkeypatch.setattr(json_api, "MOST_AT_ONCE", room)
    found = browser.batch(ids)
    assert {len(one) for one in found} == {11_408}
    assert [sha256_hex(one) for one in found] == ids[:sent]
    assert browser.texts() == ["Een.", "Twee.", "Drie."], "the rest can be asked for"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?ids=",
        "?ids={0}.",
        "?ids={0}.{0}",
        "?ids={0}&ids={1}",
        "?ids={0}&more=1",
        "?ids={0}.x",
        "?ids=" + ".".join(f"{number:064x}" for number in range(51)),
    ],
)
def test_batch_with_wrong_ids_is_refused(
    browser: SealingBrowser, ids: list[str], query: str
) -> None:
    assert browser.ask("GET", "/api/items" + query.format(*ids)).status == 400
    capital = f"/api/items?ids={ids[0].upper()}"
    assert browser.ask("GET", capital).status == 400
    many = "/api/items?ids=" + ".".join(f"{number:064x}" for number in range(50))
    assert browser.ask("GET", many).status == 200
