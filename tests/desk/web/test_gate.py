"""Access to the page: every combination of request properties."""

import itertools
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from dropbox_app.desk.web.gate import CSP, Gate
from dropbox_app.desk.web.link import SECONDS, Link
from tests.desk.web.conftest import Running, Seconds

PORT = 40_123
HERE = f"127.0.0.1:{PORT}"
HOSTS = (
    HERE, "127.0.0.1", f"localhost:{PORT}", f"rebound.example:{PORT}", "127.0.0.1:1", "", None,
)  # fmt: skip
SITES = ("same-origin", "same-site", "cross-site", "none", "", None)
ORIGINS = (f"http://{HERE}", "http://127.0.0.1:1", "http://rebound.example", "null", "", None)
ASKING = (("navigate", "document"), ("navigate", "iframe"), ("no-cors", "image"), ("cors", "empty"))
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE")


class Made:
    """A gate in front of an app that records its requests."""

    def __init__(self) -> None:
        self.clock = Seconds()
        self.gate = Gate(self._app, Link(self.clock))
        self.gate.port = PORT
        self.headers: dict[str, str] = {}
        self.reached = 0

    def _app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.reached += 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["SCRIPT_NAME"].encode(), b" ", environ["PATH_INFO"].encode()]

    def ask(self, path: str, method: str = "GET", /, **said: str | None) -> int:
        """Return the response's status; ``said``: headers by their WSGI names."""
        environ: WSGIEnvironment = {"REQUEST_METHOD": method, "PATH_INFO": path}
        environ |= {f"HTTP_{name}": value for name, value in said.items() if value is not None}
        status = 0

        def start(line: str, headers: list[tuple[str, str]], *_: object) -> object:
            nonlocal status
            status, self.headers = int(line[:3]), dict(headers)
            return None

        self.body = b"".join(self.gate(environ, start))  # type: ignore[arg-type] # a smaller start
        return status

    def link(self, token: str = "", **said: str | None) -> int:
        asked: dict[str, str | None] = {
            "HOST": HERE,
            "SEC_FETCH_SITE": "none",
            "SEC_FETCH_MODE": "navigate",
        }
        asked |= {"SEC_FETCH_DEST": "document"}
        return self.ask(f"/in/{token or self.gate.link.token}", "GET", **(asked | said))

    def cookie(self) -> str:
        assert self.link() == 200
        return self.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture
def made() -> Made:
    return Made()


def test_only_header_combinations_that_the_page_itself_sends_are_accepted(made: Made) -> None:
    cookie = made.cookie()
    paths = (f"{made.gate.prefix}/", "/", "/" + "0" * 32 + "/")
    cookies = (cookie, f"{cookie.partition('=')[0]}={'0' * 64}", None)
    through = set()
    for method, host, site, (mode, dest), origin, path, kept in itertools.product(
        METHODS, HOSTS, SITES, ASKING, ORIGINS, paths, cookies
    ):
        before = made.reached
        status = made.ask(
            path, method, HOST=host, SEC_FETCH_SITE=site, SEC_FETCH_MODE=mode,
            SEC_FETCH_DEST=dest, ORIGIN=origin, COOKIE=kept,
        )  # fmt: skip
        assert (status == 200) == (made.reached > before)
        if status == 200:
            assert (host, path, kept) == (HERE, paths[0], cookie)
            through.add((method, site, mode, dest, origin))
    own_posts = {("POST", "same-origin", *asking, ORIGINS[0]) for asking in ASKING}
    # A GET normally has no Origin; if it has one, only its Sec-Fetch-Site counts.
    own_gets = {("GET", "same-origin", *asking, origin) for asking in ASKING for origin in ORIGINS}
    typed = {("GET", "none", "navigate", "document", origin) for origin in ORIGINS}
    assert through == own_posts | own_gets | typed


def test_link_works_only_if_it_is_opened_directly_or_from_a_file() -> None:
    allowed = set()
    for method, host, site, (mode, dest) in itertools.product(METHODS, HOSTS, SITES, ASKING):
        made = Made()
        status = made.ask(
            f"/in/{made.gate.link.token}", method, HOST=host, SEC_FETCH_SITE=site,
            SEC_FETCH_MODE=mode, SEC_FETCH_DEST=dest,
        )  # fmt: skip
        assert status in (200, 403)
        if status == 200:
            allowed.add((method, host, site, mode, dest))
    assert allowed == {
        ("GET", HERE, site, "navigate", "document") for site in ("none", "cross-site")
    }


def test_link_works_once(made: Made) -> None:
    assert made.link() == 200
    assert made.link() == 404


def test_link_expires_after_a_minute(made: Made) -> None:
    made.clock.now += SECONDS + 1
    assert made.link() == 404


def test_guessed_link_opens_nothing_and_the_right_one_stays_valid(made: Made) -> None:
    for token in ("0" * 64, made.gate.link.token[:-1], made.gate.link.token + "0", "é"):
        assert made.link(token) == 404
    assert made.link() == 200


def test_response_to_the_link_has_a_refresh_and_a_cookie_for_the_path_of_this_run(
    made: Made,
) -> None:
    assert made.link() == 200
    parts = made.headers["Set-Cookie"].split("; ")
    assert set(parts[1:]) == {f"Path={made.gate.prefix}/", "HttpOnly", "SameSite=Strict"}
    assert len(made.gate.prefix) == 33
    assert f'content="0;url={made.gate.prefix}/"'.encode() in made.body


@pytest.mark.parametrize("stranger", ["weird", "page=evil", "page-1=x; ;;=", '"', "a=b=c"])
def test_cookies_set_by_another_port_do_not_lock_the_user_out(made: Made, stranger: str) -> None:
    own = made.cookie()
    for cookies in (f"{stranger}; {own}", f"{own}; {stranger}"):
        said = {"HOST": HERE, "SEC_FETCH_SITE": "same-origin", "COOKIE": cookies}
        assert made.ask(f"{made.gate.prefix}/", **said) == 200


def test_every_run_has_a_new_path_cookie_and_link() -> None:
    one, other = Made(), Made()
    assert one.gate.prefix != other.gate.prefix
    assert one.gate.link.token != other.gate.link.token
    assert one.cookie() != other.cookie()


@pytest.mark.parametrize("path", ["", "unlock", "static/style.css", "static/page.js", "nothing"])
def test_every_response_has_protective_headers(running: Running, path: str) -> None:
    answer = running.window().get(running.home + path)
    assert answer.header("Content-Security-Policy") == CSP
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Referrer-Policy") == "same-origin"
    assert answer.header("Server") is None
    assert answer.header("Access-Control-Allow-Origin") is None
    assert answer.header("Set-Cookie") is None


def test_refusals_also_have_the_protective_headers(running: Running) -> None:
    refused = running.window().request("GET", "/", headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status == 403
    assert refused.header("Content-Security-Policy") == CSP
    assert refused.header("Cache-Control") == "no-store"


def test_page_listens_only_on_loopback(running: Running) -> None:
    assert running.server.socket.getsockname()[0] == "127.0.0.1"
