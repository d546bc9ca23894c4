"""A desk's signature is valid for one origin, site, token, method, target and body (SPEC 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol.desk_request import check, check_target, header, parse_header
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import RequestError
from tests.vectors.world import ANNA, OTHER_SITE, SITE

ORIGIN = "https://vp.example.org"
TARGET = "/api/desk/inbox?after=1"
TOKEN = "dG9rZW4.x_y-z"
EMPTY = sha256_hex(b"")


def authorization(
    *,
    origin: str = ORIGIN,
    site: str = SITE,
    token: str = TOKEN,
    method: str = "GET",
    target: str = TARGET,
    body_hash: str = EMPTY,
) -> str:
    """Return a desk's header with the given changes."""
    return header(
        ANNA,
        origin=origin,
        site=site,
        token=token,
        method=method,
        target=target,
        body_hash=body_hash,
    )


@pytest.mark.parametrize(
    "origin",
    [
        "https://vp.example.org",
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
        "http://" + "a" * 56 + ".onion",
    ],
)
def test_server_accepts_requests_signed_by_a_desk(origin: str) -> None:
    claim = parse_header(authorization(origin=origin))
    check(claim, origins={origin}, site=SITE, method="GET", target=TARGET)
    assert (claim.identity, claim.body_hash) == (ANNA.verify_key, EMPTY)


def test_challenge_response_is_invalid_at_another_server() -> None:
    """A hostile server passes on another server's challenge and replays the response there."""
    hostile = "https://hostile.example"
    claim = parse_header(authorization(origin=hostile))
    with pytest.raises(RequestError, match="another server"):
        check(claim, origins={ORIGIN}, site=SITE, method="GET", target=TARGET)
    # If the honest origin replaces the signed one, the signature is no longer valid.
    rewritten = parse_header(authorization(origin=hostile).replace(hostile, ORIGIN))
    with pytest.raises(RequestError, match="signature"):
        check(rewritten, origins={ORIGIN}, site=SITE, method="GET", target=TARGET)


@pytest.mark.parametrize(
    "token", ["", "a b", "a\nGET\n/api/desk/card", "a\r\nx: y", "a" * 201, "é", "a\u2028b"]
)
def test_desk_signs_no_malformed_token(token: str) -> None:
    """The server supplies the token; a line end in it would shift the signed lines."""
    with pytest.raises(RequestError):
        authorization(token=token)


@pytest.mark.parametrize(
    "origin",
    ["", "vp.example.org", "ftp://vp.example.org", "https://VP.example.org", "https://a b.example",
     "https://vp.example.org/", "https://vp.example.org\n", "https://u@vp.example.org",
     "https://vp.ex\u00e4mple.org", "https://vp.example.org:", "https://vp.example.org:123456"],
)  # fmt: skip
def test_desk_signs_no_request_for_an_invalid_origin(origin: str) -> None:
    with pytest.raises(RequestError):
        authorization(origin=origin)


@pytest.mark.parametrize("body_hash", ["", "x", EMPTY.upper(), EMPTY[:-1], EMPTY + "\n"])
def test_desk_signs_no_request_with_a_malformed_body_hash(body_hash: str) -> None:
    with pytest.raises(RequestError):
        authorization(body_hash=body_hash)


@given(st.text(max_size=120) | st.builds("Klankbord {}".format, st.text(max_size=120)))
def test_arbitrary_header_raises_only_request_error(value: str) -> None:
    with pytest.raises(RequestError):
        parse_header(value)


@given(st.data())
def test_header_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    value = authorization()
    at = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.characters(min_codepoint=0x20, max_codepoint=0x2FF))
    if value[at] == letter:
        return
    with pytest.raises(RequestError):
        check(
            parse_header(value[:at] + letter + value[at + 1 :]),
            origins={ORIGIN},
            site=SITE,
            method="GET",
            target=TARGET,
        )


@pytest.mark.parametrize(
    ("site", "method", "target"),
    [
        (OTHER_SITE, "GET", TARGET),
        (SITE, "POST", TARGET),
        (SITE, "get", TARGET),
        (SITE, "GET", "/api/desk/inbox?after=2"),
        (SITE, "GET", "/api/desk/inbox"),
    ],
)
def test_signature_is_valid_for_one_site_method_and_target(
    site: str, method: str, target: str
) -> None:
    with pytest.raises(RequestError, match="signature"):
        check(
            parse_header(authorization()), origins={ORIGIN}, site=site, method=method, target=target
        )


@given(st.text(max_size=40).map("/".__add__))
def test_ambiguous_target_is_refused(target: str) -> None:
    try:
        check_target(target)
    except RequestError:
        return
    assert target.isascii()
    assert target.isprintable()
    assert not set(target) & set(" %#\\;+,:@!$'()*[]~\"<>^`{|}")
    assert "//" not in target
    assert ".." not in target
