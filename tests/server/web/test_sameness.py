"""Page lengths, responses to codes and header order are equal for everybody."""

import re
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.protocol.retrieval_code import derive_root, generate
from dropbox_app.server.mailboxes.purge import purge
from dropbox_app.server.reporter import agent
from dropbox_app.server.store import connections
from dropbox_app.server.web.assets import read_style
from dropbox_app.server.web.padding import PACKED
from dropbox_app.server.web.page_cache import PageCache
from dropbox_app.server.web.rendering import PageRenderer
from dropbox_app.server.web.security_headers import HEADERS
from tests.server.web.conftest import SECURE, Browser, House
from tests.server.web.test_before import ADDRESSES, STILL
from tests.support.plain_browser import Page
from tests.support.serving import Serving

TEXT = "Er is iets gebeurd."

# made once


@pytest.fixture
def made(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the templates of all pages that are rendered from now on."""
    templates: list[str] = []
    real = PageRenderer.render

    def make(self: PageRenderer, template: str, *given: Any, **named: Any) -> str:  # noqa: ANN401 - stands in for any page
        templates.append(template)
        return real(self, template, *given, **named)

    monkeypatch.setattr(PageRenderer, "render", make)
    house.restart()
    return templates


def test_static_page_is_rendered_once_per_day_and_set_of_counsellors(
    house: House, made: list[str]
) -> None:
    all_of_them = 2 * len(STILL) + 1

    def asked() -> int:
        before = len(made)
        for address in ADDRESSES * 3:
            house.browser().get(address)
            house.browser().request("HEAD", address)
        return len(made) - before

    assert [asked(), asked()] == [all_of_them, 0]
    house.clock.pass_days(1)
    assert [asked(), asked()] == [all_of_them, 0]
    house.welcome("Sam Jansen")
    assert [asked(), asked()] == [all_of_them, 0]
    house.clock.pass_days(14)  # their desks fall silent, and that is looked at each time
    assert [asked(), asked()] == [all_of_them, 0]


def test_page_cache_is_bounded_and_keeps_the_newest_pages() -> None:
    """Days, cards and sites change; each page takes one entry, and all share one limit."""
    kept = PageCache(3 * PACKED)
    made: list[str] = []

    def make(what: str) -> bytes:
        made.append(what)
        return bytes(PACKED)

    def get(key: str, state: int) -> bytes:
        return kept.get(key, state, lambda: make(f"{key}{state}"))

    for key, state in (("a", 1), ("b", 1), ("a", 1), ("a", 2), ("a", 2), ("c", 1), ("a", 2)):
        assert len(get(key, state)) == PACKED
    assert made == ["a1", "b1", "a2", "c1"]
    get("d", 1)  # and the least recently used entry is removed
    get("c", 1)
    get("a", 2)
    assert made == ["a1", "b1", "a2", "c1", "d1"]
    get("b", 1)
    assert made[-1] == "b1"
    assert kept.size == 3 * PACKED


# one response to every code that opens nothing


def codes_of_nothing(house: House) -> dict[str, str]:
    """Return one code of each kind that opens nothing."""
    noor = house.counsellors[0]
    codes = {"unknown": " ".join(generate("nl")), "purged": house.browser().tell("Eerst.").code}
    noor.threads()
    house.clock.pass_days(200)
    purge(house.site, house.store, house.clock.today())
    assert not house.stored()
    house.site.update(noor.identity, noor.card(), house.clock.today())
    codes["expired"] = house.browser().tell("Over.").code
    noor.threads()
    house.clock.pass_days(100)
    with house.store.writing():
        house.store.set_served(house.clock.today())  # as the daily purges would have
    taken_back = house.browser()
    codes["withdrawn"] = taken_back.tell("Terug.").code
    page = taken_back.get("/nl/withdraw")
    taken_back.submit(page, page.form_with("sure"), sure="y")
    noor.threads()
    assert house.stored() == 2  # the expired conversation, and the withdrawal for the desk
    return codes


class Work:
    """The steps of a new process for one code, in order: hashing and database statements."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        connect = connections.connect

        def traced(path: Path) -> sqlite3.Connection:
            connection = connect(path)
            connection.set_trace_callback(self._statement)
            return connection

        monkeypatch.setattr(connections, "connect", traced)
        house.restart()
        house.browser().get("/nl/")  # after this, the process has read the cards
        self.done.clear()

        def derive(words: Sequence[str], site: str) -> bytes:
            self.done.append("hash")
            return derive_root(words, site)

        monkeypatch.setattr(agent, "derive_root", derive)

    def _statement(self, text: str) -> None:
        self.done.append(re.sub("'[^']*'", "?", text))

    def before_the_answer_differs(self) -> list[str]:
        """Return the steps up to and including the look-up, and clear the list."""
        done, self.done = self.done, []
        looked_up = next(n for n, what in enumerate(done) if "access = ?" in what)
        assert done.count("hash") == done[:looked_up].count("hash") == 1
        return done[: looked_up + 1]


def by_return_form(browser: Browser, lang: str, code: str) -> Page:
    return browser.come_back(code, lang)


def by_form_of_a_session_that_is_over(browser: Browser, lang: str, code: str) -> Page:
    """Post a text with an expired cookie; return the form that asks for the code."""
    page = browser.post(f"/{lang}/conversation", text=TEXT)
    return browser.submit(page, page.form_with("code", "text"), code=code)


NO_SUCH_CODE: dict[tuple[Callable[[Browser, str, str], Page], str], str] = {
    (by_return_form, "nl"): "Deze code werkt niet",
    (by_return_form, "en"): "This code does not work",
    (by_form_of_a_session_that_is_over, "nl"): "Bij deze code hoort geen gesprek.",
    (by_form_of_a_session_that_is_over, "en"): "There is no conversation for this code.",
}


@pytest.mark.parametrize("lang", ["nl", "en"])
@pytest.mark.parametrize("way", [by_return_form, by_form_of_a_session_that_is_over])
def test_every_unusable_code_gets_the_same_response_after_the_same_work(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[Browser, str, str], Page],
    lang: str,
) -> None:
    """The codes were never issued, or their conversation was purged, expired or withdrawn."""
    old = house.browser()
    codes = codes_of_nothing(house)
    old.tell("Iets anders.")
    work = Work(house, monkeypatch)
    assert old.cookies
    seen = {}
    for kind, code in codes.items():
        browser = house.browser()
        browser.cookies = dict(old.cookies)
        page = way(browser, lang, code)
        assert page.status == 422
        assert NO_SUCH_CODE[way, lang] in page.text
        assert browser.cookies == old.cookies
        assert page.html.count(code) == 1
        body = page.html.replace(code, "").rstrip()
        lengths = (page.header("Content-Length"), len(page.body))
        seen[kind] = (page.status, page.headers, lengths, body, work.before_the_answer_differs())
    for kind, answer in seen.items():
        for part, expected in zip(answer, seen["unknown"], strict=True):
            assert part == expected, kind
    assert house.browser().come_back(codes["unknown"]).status == 422


def test_valid_and_unusable_codes_cause_the_same_work_before_the_lookup(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = house.browser().tell(TEXT).code
    work = Work(house, monkeypatch)
    house.browser().come_back(" ".join(generate("nl")))
    unknown = work.before_the_answer_differs()
    assert house.browser().come_back(code).status == 200
    assert work.before_the_answer_differs() == unknown


# over the wire


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(tmp_path_factory.mktemp("sameness"))
    yield made
    made.stop()
    made.house.close()


def ask(serving: Serving, method: str, path: str, body: bytes = b"", *more: str) -> bytes:
    """Return the whole response as received."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{serving.port}", "Connection: close"]
    if body:
        lines += ["Content-Type: application/x-www-form-urlencoded"]
    if method in ("POST", "PUT"):
        lines += [f"Content-Length: {len(body)}"]
    return serving.raw("\r\n".join([*lines, *more, "", ""]).encode() + body)


def head(answer: bytes) -> list[tuple[str, str]]:
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines[1:])]


@pytest.mark.parametrize("takes", [(), ("Accept-Encoding: gzip, deflate, br",)])
def test_every_page_before_a_session_has_equal_length_on_the_wire(
    serving: Serving, takes: tuple[str, ...]
) -> None:
    """Complete responses of both workers have one length, and are always identical."""
    other = "Accept-Language: en", "User-Agent: x", "Cookie: s=x"
    seen = {
        a: {ask(serving, "GET", a, b"", *takes, *other[:n]) for n in range(4)} for a in ADDRESSES
    }
    assert {len(answers) for answers in seen.values()} == {1}
    assert len({len(answer) for answers in seen.values() for answer in answers}) == 1
    assert {head(answer)[1][0] for answers in seen.values() for answer in answers} == {
        "Content-Length"
    }


def test_head_request_has_the_headers_of_get(serving: Serving) -> None:
    for address in (*ADDRESSES, "/nowhere", "/nl/leave", "/nl"):
        whole = ask(serving, "GET", address)
        assert ask(serving, "HEAD", address) == whole[: whole.index(b"\r\n\r\n") + 4]


def test_redirect_length_does_not_depend_on_the_request(serving: Serving) -> None:
    """A redirect has no body, and its cookie has a fixed length."""
    seen = set()
    for text in ("Kort.", "Een lang verhaal. " * 900):
        told = ask(serving, "POST", "/nl/report", urllib.parse.urlencode({"text": text}).encode())
        code = Page(200, "", [], told.partition(b"\r\n\r\n")[2]).code
        entered = ask(
            serving, "POST", "/nl/return", urllib.parse.urlencode({"code": code}).encode()
        )
        assert entered.startswith(b"HTTP/1.1 303 ")
        assert entered.endswith(b"\r\n\r\n")
        fields = {"code": code, "text": text + "Nog iets."}
        sent = ask(serving, "POST", "/nl/conversation", urllib.parse.urlencode(fields).encode())
        assert sent.startswith(b"HTTP/1.1 303 ")
        seen.add((len(entered), len(sent)))
    assert len(seen) == 1


# The headers of every response, in order, and those that only some have, with the reason.
ALWAYS = ("Content-Type", "Content-Length", "Connection", *HEADERS)
SOMETIMES = {
    "Content-Encoding": "what is the same for everybody, to who takes gzip",
    "Set-Cookie": "a session begins, goes on or ends",
    "Location": "a redirect",
    "Allow": "what an address takes: 405, and OPTIONS",
    "Onion-Location": "what the app answers at a domain",
}
# Headers whose value varies; the others have the value in security_headers.HEADERS.
OWN_VALUE = {"Content-Length", "Content-Type"}
TYPES = {
    "text/html; charset=utf-8": "pages, and what has no body",
    "text/css; charset=utf-8": "the style sheet",
    "application/json": "the desk API",
}


def all_kinds(serving: Serving) -> Iterator[tuple[str, bytes]]:
    """Yield a response of each kind, by request, as received."""
    style = read_style().name
    told = ask(serving, "POST", "/nl/report", b"text=Iets.")
    cookie = "Cookie: " + dict(head(told))["Set-Cookie"].partition(";")[0]
    yield "report", told
    for address in (*ADDRESSES, f"/static/{style}", "/nowhere", "/nl", "/nl/%00", "//nl/"):
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "NONSENSE"):
            yield f"{method} {address}", ask(serving, method, address)
            gzip = "Accept-Encoding: gzip"
            yield f"{method} {address} {gzip}", ask(serving, method, address, b"", gzip)
    for path in ("conversation", "counsellor", "withdraw", "leave", "stop", "consent"):
        for more in ((cookie,), ("Cookie: s=foreign",), ()):
            yield f"GET {path} {more}", ask(serving, "GET", f"/nl/{path}", b"", *more)
        yield f"POST {path}", ask(serving, "POST", f"/en/{path}", b"text=x", cookie)
        yield f"POST {path}", ask(serving, "POST", f"/en/{path}", b"text=x&code=x")
    yield "too much", ask(serving, "POST", "/nl/report", b"x" * 600_000)
    typed = "Host: 127.0.0.1", "Connection: close", "Content-Type: text/plain", "Content-Length: 1"
    yield "type", serving.raw("\r\n".join(["POST /nl/report HTTP/1.1", *typed, "", "x"]).encode())
    yield "origin", ask(serving, "POST", "/nl/report", b"text=x", "Origin: null")
    yield "host", serving.raw(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    for path in ("site", "nothing", "desk/challenge", "desk/inbox?after=0", "desk/a//b"):
        for method in ("GET", "PUT", "OPTIONS"):
            yield f"{method} api/{path}", ask(serving, method, f"/api/{path}")
    for garbage in (
        b"x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
    ):
        yield f"{garbage[:20]!r}", serving.raw(garbage)
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield "chunked", serving.raw(chunked)


def test_every_response_has_the_same_headers_in_the_same_order(serving: Serving) -> None:
    """Headers are compared as bytes, even in gunicorn's own refusals; tables list exceptions."""
    statuses, extra, types = set(), set(), set()
    for kind, answer in all_kinds(serving):
        fields = head(answer)
        names = [name for name, _ in fields]
        assert tuple(names[: len(ALWAYS)]) == ALWAYS, kind
        rest = names[len(ALWAYS) :]
        assert rest == [name for name in SOMETIMES if name in rest], kind
        for name, value in fields[: len(ALWAYS)]:
            wanted = ("close", "keep-alive") if name == "Connection" else (HEADERS.get(name),)
            assert name in OWN_VALUE or value in wanted, (kind, name)
        statuses.add(int(answer.split()[1]))
        extra |= set(rest)
        types.add(dict(fields)["Content-Type"])
    assert {200, 303, 400, 401, 403, 404, 405, 413, 415, 421, 422} <= statuses
    assert 500 not in statuses
    assert extra == set(SOMETIMES)
    assert types == set(TYPES)


def test_https_adds_one_header_in_a_fixed_position(tmp_path: Path) -> None:
    """Every response to a name with https has it, except gunicorn's own refusals."""
    house = House(tmp_path / "site")
    for method in ("GET", "OPTIONS", "PUT"):
        for address in (*ADDRESSES, "/nowhere", "/nl/leave", "/api/site", "/api/desk/inbox"):
            page = house.browser(origin=SECURE).request(method, address, follow=0)
            names = [name for name, _ in page.headers if name not in SOMETIMES]
            own = [name for name in ALWAYS if name != "Connection"]
            assert names == [*own, "Strict-Transport-Security"], (method, address)
    house.close()


def test_style_sheet_does_not_reveal_which_page_uses_it(serving: Serving) -> None:
    """Every page requests it once, at one address, and it is the same for everybody."""
    addresses = set()
    for address in (*ADDRESSES, "/nowhere"):
        addresses.add(
            tuple(re.findall(r'"(/static/[^"]+)"', ask(serving, "GET", address).decode()))
        )
    ((style,),) = addresses
    sheets = {ask(serving, "GET", style, b"", f"Referer: {a}") for a in ADDRESSES}
    assert len(sheets) == 1
