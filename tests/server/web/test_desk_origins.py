"""A separate address for desks: it answers only desks, and no other address answers them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol import desk_request
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.web.hosts import Hosts
from tests.server.web.conftest import ONION, ORIGIN, SECURE, House

DESKS = f"http://{'d3' * 28}.onion"
PAGES = ("/nl/", "/nl/report", "/en/safety", "/api/site", "/")


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "site", desk_origins=(DESKS,))
    yield made
    made.close()


def _ask(house: House, target: str, *, at: str, signed_for: str) -> int:
    """Send a desk's request to one address, signed for another; return the status."""
    host = {"Host": at.partition("//")[2]}
    client = house.app.test_client()
    token = client.get("/api/desk/challenge", headers=host).get_json().get("token", "t.o.k")
    signed = desk_request.header(
        house.counsellors[0].signing, origin=signed_for, site=house.site.settings.site,
        token=token, method="GET", target=target, body_hash=sha256_hex(b""),
    )  # fmt: skip
    return client.get(target, headers={**host, "Authorization": signed}).status_code


def test_desk_requests_are_answered_only_at_the_desk_address(apart: House) -> None:
    target = "/api/desk/mailboxes"
    assert _ask(apart, target, at=DESKS, signed_for=DESKS) == 200
    for origin in (ORIGIN, SECURE, ONION):
        assert _ask(apart, target, at=origin, signed_for=origin) == 404
        # A request signed for an address other than the one it was sent to is refused too.
        assert _ask(apart, target, at=origin, signed_for=DESKS) == 404
        assert _ask(apart, target, at=DESKS, signed_for=origin) == 401


def test_ordinary_client_finds_nothing_at_the_desk_address(apart: House) -> None:
    client = apart.app.test_client()
    for path in PAGES:
        there = client.get(path, headers={"Host": DESKS.partition("//")[2]})
        assert there.status_code == 404, path
        assert client.get(path, headers={"Host": ORIGIN.partition("//")[2]}).status_code < 400
    for path in ("/nl/report", "/nl/return"):
        assert client.post(path, headers={"Host": DESKS.partition("//")[2]}).status_code == 404


def test_no_page_names_the_desk_address(apart: House) -> None:
    name = DESKS.partition("//")[2]
    browser = apart.browser()
    for path in (*PAGES, "/nl/real", "/nl/technical", "/nl/privacy", "/nl/about"):
        page = browser.get(path)
        assert name not in page.html
        assert name not in json.dumps(page.headers)


def test_without_a_desk_address_desks_use_the_reporters_address() -> None:
    hosts = Hosts((ORIGIN, ONION))
    for origin in (ORIGIN, ONION):
        environ = {"HTTP_HOST": origin.partition("//")[2]}
        assert hosts.has_path(environ, "/api/desk/inbox")
        assert hosts.has_path(environ, "/nl/")
