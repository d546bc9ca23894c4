"""Headers of every response, host names of the site only, and no request data in a log."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.server.web.assets import LEAVE_SCRIPT_HASH
from dropbox_app.server.web.hosts import Hosts
from dropbox_app.server.web.routing import LANG
from tests.server.web.conftest import ONION, ORIGIN, SECURE, House
from tests.server.web.test_before import check_shape
from tests.support.plain_browser import Page

WANTED = {
    "Content-Security-Policy": f"default-src 'none'; script-src {LEAVE_SCRIPT_HASH}; "
    "style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A policy does not stop a browser from resolving or connecting to hosts in resource hints.
ELSEWHERE = re.compile(r"""\b(?:href|src|srcset|action|formaction|poster|data)=["']?(?:\w+:)?//""")
OTHER_PORTS = ("drop.example.org:443", "drop.example.org:8443", "DROP.example.org")
UNWANTED = ("Server", "Date", "Last-Modified", "ETag", "Expires", "X-Powered-By", "Vary")


def every_answer(house: House, origin: str = ORIGIN) -> Iterator[Page]:
    """Yield a response of each route of the app, with valid and broken requests."""
    browser = house.browser(origin=origin)
    browser.come_back(browser.tell("Iets.").code)
    for rule in house.app.url_map.iter_rules():
        path = rule.rule
        for part, value in ((LANG, "/nl"), ("<item>", "x"), ("<mailbox>", "x")):
            path = path.replace(part, value)
        path = path.replace("<path:rest>", "nothing")
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            session = house.browser(origin=origin)
            session.cookies = dict(browser.cookies)
            yield session.request(method, path, follow=0)
    yield browser.get("/nowhere")
    yield browser.get("/nl")
    yield browser.get("/nl/%00")
    yield browser.get("//nl/")
    yield browser.request("POST", "/nl/report", b"x" * 600_000)
    yield browser.request("POST", "/nl/report", b"x", {"Content-Type": "text/plain"})
    yield browser.request("POST", "/nl/report", b"text=x", {"Origin": "null"})
    yield browser.request("GET", "/", headers={"Host": "evil.example"})


def test_every_response_has_the_security_headers(house: House) -> None:
    seen = set()
    for page in every_answer(house):
        seen.add(page.status)
        for name, value in WANTED.items():
            assert page.header(name) == value, (page.path, page.status, name)
        assert page.header("Permissions-Policy")
        for name in UNWANTED:
            assert page.header(name) is None, (page.path, page.status, name)
        assert page.header("Strict-Transport-Security") is None
        assert not ELSEWHERE.search(page.html), (page.path, page.status)
    assert {200, 303, 401, 403, 404, 405, 413, 415, 421, 422} <= seen
    assert 500 not in seen


def test_hsts_is_sent_over_https(house: House) -> None:
    for page in every_answer(house, SECURE):
        if page.status != 421:
            assert page.header("Strict-Transport-Security") == "max-age=63072000", page.path
    assert not house.browser(origin=ONION).get("/").header("Strict-Transport-Security")


@pytest.mark.parametrize("host", OTHER_PORTS)
def test_port_in_the_host_header_does_not_affect_https(house: House, host: str) -> None:
    """A proxy may forward the port, but the name is served by https only."""
    browser = house.browser(origin=SECURE)
    page = browser.post("/nl/report", {"Host": host}, text="Iets.")
    assert len(page.code.split()) == 7
    assert page.header("Strict-Transport-Security") == "max-age=63072000"
    (cookie,) = browser.seen_cookies
    assert cookie.startswith("__Host-s=")
    assert cookie.endswith("; Secure")


def test_scheme_of_a_host_name_with_both_http_and_https_is_determined_by_the_port() -> None:
    hosts = Hosts(("http://localhost:8000", "https://localhost:8443", "https://drop.example.org"))
    for host, https in (
        ("localhost:8000", False),
        ("localhost:8443", True),
        ("localhost", False),
        ("drop.example.org:1", True),
        ("evil.example", False),
        ("[::1", False),
    ):
        assert hosts.is_https({"HTTP_HOST": host}) is https, host


ODD = (
    "a@127.0.0.1:8000", "@127.0.0.1:8000", "127.0.0.1:8000@", "127.0.0.1\t", "127.0.0.1 ",
    "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:08000", "127.0.0.1:65536", "127.0.0.1:800000",
    "127.0.0.1:+80", "127.0.0.1:80:80",
    "127.0.0.1:8000/", "127.0.0.1?x", "127.0.0.1#x", "127.0.0.1,evil.example", "127.0.0.1\x0b",
    "127.0.0.1:\u0668\u0660", "[127.0.0.1]x", "127.0.0.1\\x", "//127.0.0.1", "http://127.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("host", ODD)
def test_malformed_host_belongs_to_no_site(house: House, host: str) -> None:
    """A proxy or a browser could interpret such a name differently."""
    client = house.app.test_client()
    raw = host.encode().decode("latin-1")
    page = client.get("/nl/", environ_overrides={"HTTP_HOST": raw})
    assert page.status_code == 421
    assert "Korenaar" not in page.get_data(as_text=True)


@pytest.mark.parametrize("host", ["DROP.example.org", "drop.example.org:65535", "127.0.0.1:1"])
def test_host_name_ignores_case_and_port(house: House, host: str) -> None:
    assert house.browser().request("GET", "/nl/", headers={"Host": host}).status == 200


def test_ipv6_host_is_recognised(tmp_path: Path) -> None:
    house = House(tmp_path / "site", origins=("http://[::1]:8000",))
    for host, status in (("[::1]:8000", 200), ("[::1]", 200), ("::1", 421), ("[::1]8000", 421)):
        assert house.browser().request("GET", "/nl/", headers={"Host": host}).status == status
    house.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/x", 404), ("/nl/x", 404), ("/en/../etc/passwd", 404), ("/nl/leave/", 404)],
)
def test_unknown_page_is_explained_in_both_languages(house: House, path: str, status: int) -> None:
    page = house.browser().get(path)
    assert page.status == status
    assert "Deze pagina is er niet" in page.text
    assert "This page does not exist" in page.text
    check_shape(page)


def test_redirect_never_repeats_the_requested_url(house: House) -> None:
    """Even if only a slash is missing, the response has no werkzeug page, query or host."""
    rules = {rule.rule for rule in house.app.url_map.iter_rules()}
    paths = {rule.replace(LANG, "/nl") for rule in rules}
    paths |= {path.rstrip("/") if path.endswith("/") else path + "/" for path in paths}
    for path in sorted(paths - {""}):
        for method in ("GET", "HEAD", "POST"):
            page = house.browser().request(method, path + "?herkenbaar=1", follow=0)
            assert page.status not in (301, 302, 307, 308), (method, path)
            assert "herkenbaar" not in page.html + (page.header("Location") or ""), path
    for lang in ("nl", "en"):
        bare = house.browser().request("GET", f"/{lang}?herkenbaar=1", follow=0)
        assert (bare.status, bare.header("Location"), bare.body) == (303, f"/{lang}/", b"")


def test_error_page_never_repeats_the_request(house: House) -> None:
    for method in ("GET", "POST", "PUT"):
        for path in ("/nl/herkenbaar", "/nl/?herkenbaar=1", "/herkenbaar%3Cb%3E"):
            page = house.browser().request(method, path, b"herkenbaar=herkenbaar")
            assert "herkenbaar" not in page.html


def test_fault_is_logged_in_one_line_without_request_data(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dropbox_app.server.reporter.agent import ReporterAgent

    def fail(*_: object, **values: object) -> None:
        raise ValueError(f"herkenbaar {values}")

    monkeypatch.setattr(ReporterAgent, "prepare", fail)
    monkeypatch.setattr(logging.getLogger("klankbord"), "propagate", True)
    page = house.browser().tell("Een herkenbaar verhaal.")
    assert page.status == 500
    (said,) = {record.getMessage() for record in caplog.records}
    assert said.startswith("ValueError at tests.server.web.test_hardening:")
    assert "herkenbaar" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


def test_ordinary_visit_is_not_logged(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = house.browser()
    browser.come_back(browser.tell("Een herkenbaar verhaal.").code)
    browser.write_on("Nog een herkenbaar bericht.")
    browser.get("/nl/bestaat-niet")
    browser.come_back("aap noot")
    said = capfd.readouterr()
    assert caplog.text + said.out + said.err == ""


def test_style_sheet_is_the_only_static_file_and_is_named_after_its_content(house: House) -> None:
    page = house.browser().get("/nl/")
    start = page.html.index("/static/")
    address = page.html[start : page.html.index('"', start)]
    style = house.browser().get(address)
    assert style.status == 200
    assert style.header("Content-Type") == "text/css; charset=utf-8"
    assert b"@import" not in style.body
    assert b"url(" not in style.body
    assert house.browser().get("/static/style.css").status == 404
