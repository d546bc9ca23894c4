"""Hostile web pages in real browsers that also have the desk's page open: none gets through.

They know the port and the run's secret path, unlike a real attacker.
"""

import http.server
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright

from dropbox_app.desk.web.link import PATH, SECONDS, Link, handed_over
from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running
from tests.support.browsers import BOTH, CHROMIUM, ENGINES, driver, here
from tests.support.processes import until

REBOUND = "rebound.example"
SPARE = pytest.mark.spare

ATTACK = """<!doctype html><meta charset="utf-8"><title>Leuke foto's</title><body><script>
(async () => {
  const base = BASE, tried = [];
  const paths = ["", "static/page.js", "fetch", "lock"];
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const settled = (element, attribute, value) => new Promise((done) => {
    element.onload = () => done("loaded"); element.onerror = () => done("error");
    element[attribute] = value; document.body.append(element); setTimeout(() => done("late"), 500);
  });
  for (const path of paths) {
    const url = base + path;
    const made = (name) => document.createElement(name);
    const sheet = made("link"); sheet.rel = "stylesheet";
    tried.push(["img", path, await settled(made("img"), "src", url)]);
    tried.push(["script", path, await settled(made("script"), "src", url)]);
    tried.push(["css", path, await settled(sheet, "href", url)]);
    const frame = made("iframe"); frame.src = url; document.body.append(frame);
    const object = made("object"); object.data = url; document.body.append(object);
    const video = made("video"); video.src = url; document.body.append(video);
    const hint = made("link"); hint.rel = "prefetch"; hint.href = url; document.head.append(hint);
    for (const options of [
      { mode: "no-cors", credentials: "include" },
      { mode: "cors", credentials: "include" },
      { mode: "no-cors", credentials: "include", method: "POST", body: "active=1" },
      { mode: "cors", credentials: "include", method: "POST", headers: { "X-A": "1" }, body: "a" },
      { mode: "cors", credentials: "include", method: "DELETE" },
    ]) {
      try { const answer = await fetch(url, options); tried.push(["fetch", path, answer.type]); }
      catch { tried.push(["fetch", path, "refused"]); }
    }
    navigator.sendBeacon(url, "active=1");
    try { new EventSource(url, { withCredentials: true }); } catch {}
    try { new WebSocket(url.replace("http", "ws")); } catch {}
    for (const method of ["get", "post"]) {
      const target = made("iframe"); target.name = method + path; document.body.append(target);
      const form = made("form"); form.method = method; form.action = url;
      form.target = target.name; document.body.append(form); form.submit();
    }
  }
  await wait(500);
  await fetch("/done", { method: "POST", body: JSON.stringify(tried) });
  const form = document.createElement("form");
  form.method = "post"; form.action = base + "lock?last"; document.body.append(form); form.submit();
})();
</script>"""


@dataclass
class Attacker:
    """A web server on another port of this computer, and the requests it received."""

    base: str = ""
    cookies: list[str] = field(default_factory=list)
    tried: list[list[str]] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def start(self) -> None:
        attacker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                attacker.cookies += self.headers.get_all("Cookie") or []
                page = ATTACK.replace("BASE", json.dumps(attacker.base))
                self._answer(page.encode() if self.path == "/attack" else b"")

            def do_POST(self) -> None:
                attacker.cookies += self.headers.get_all("Cookie") or []
                body = self.rfile.read(int(self.headers["Content-Length"]))
                attacker.tried = json.loads(body)
                self._answer(b"")
                attacker.done.set()

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library gives it
                """Log nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Recorder:
    """Middleware in front of the gate that records every request and its response."""

    def __init__(self, gate: Callable[..., Iterable[bytes]]) -> None:
        self.gate = gate
        self.answers: list[tuple[str, str, int, bool]] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            target = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
            asked = f"{environ.get('HTTP_HOST')} {target}"
            kept = "HTTP_COOKIE" in environ
            self.answers.append((environ["REQUEST_METHOD"], asked, int(status[:3]), kept))
            return start_response(status, headers, *rest)  # type: ignore[arg-type] # passed on

        return self.gate(environ, start)


def launch(playwright: Playwright, name: str) -> Browser:
    if name == "chromium":
        rules = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        return playwright.chromium.launch(
            executable_path=ENGINES[name], args=[*CHROMIUM[:-1], rules]
        )
    return playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=ENGINES[name],
        firefox_user_prefs={"network.dns.localDomains": REBOUND},
    )


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with driver() as started:
        yield started


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, playwright: Playwright) -> Iterator[Browser]:
    """Yield the browser of that name, started once for this module; each test has a context."""
    opened = launch(playwright, request.param)
    yield opened
    opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    made = Attacker()
    made.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


# The origin of the hostile page, and the name by which it tries to reach the desk's page: another
# port of this computer, and a name rebound to this computer.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("browser", "home"),
    [
        pytest.param("chromium", "127.0.0.1", marks=here("chromium")),
        pytest.param("chromium", REBOUND, marks=here("chromium")),
        pytest.param("firefox", "127.0.0.1", marks=[here("firefox"), pytest.mark.long]),
        pytest.param("firefox", REBOUND, marks=[here("firefox"), pytest.mark.long, SPARE]),
    ],
    indirect=["browser"],
)
def test_no_request_from_a_hostile_page_is_accepted(
    running: Running, attacker: Attacker, context: BrowserContext, home: str
) -> None:
    recorder = Recorder(running.gate)
    running.server.application = recorder
    own = context.new_page()
    own.goto(running.gate.link.address(running.url))
    own.fill("[name=passphrase]", PASSPHRASE)
    own.press("[name=passphrase]", "Enter")
    own.wait_for_selector("body[data-page=today]")
    assert any(kept for *_, kept in recorder.answers), "the browser never sent its cookie"
    own.wait_for_load_state("networkidle")  # wait for the page's own style and pictures
    own.goto("about:blank")  # so that all further requests come from the attacker
    recorder.answers.clear()
    attacker.base = f"http://{home}:{running.gate.port}{running.home}"
    bad = context.new_page()
    bad.goto(f"http://{home}:{attacker.port}/attack", wait_until="commit")
    assert attacker.done.wait(60), "the attack did not end"
    until(lambda: any(a[1].endswith("/lock?last") for a in recorder.answers), "no last form")
    context.close()
    assert [answer for answer in recorder.answers if answer[2] < 400] == []
    assert len(recorder.answers) > 20, "the attack hardly reached the server"
    if home == "127.0.0.1":
        assert any(kept for *_, kept in recorder.answers), "no attack carried the cookie"
    assert not [one for one in attacker.tried if one[2] in ("loaded", "basic", "cors")]
    assert attacker.cookies == []
    assert running.lock.is_open
    assert not running.fetching.under_way


@pytest.mark.slow
@pytest.mark.parametrize("browser", BOTH, indirect=True)
def test_link_opened_from_a_file_works_once(
    running: Running, browser: Browser, context: BrowserContext
) -> None:
    address = running.gate.link.address(running.url)
    with handed_over(address) as file:
        page = context.new_page()
        page.goto(file.as_uri(), wait_until="commit")
        page.wait_for_selector("body[data-page=unlock]")
        elsewhere = browser.new_context()
        other = elsewhere.new_page()
        other.goto(address)
        assert "Deze pagina is gesloten" in other.inner_text("body")
        other.goto(running.url + running.home)
        assert "Deze pagina is gesloten" in other.inner_text("body")
        elsewhere.close()


@pytest.mark.long
@pytest.mark.parametrize("browser", BOTH, indirect=True)
def test_guessed_addresses_and_expired_links_open_nothing(
    running: Running, context: BrowserContext
) -> None:
    """The browser belongs to another user of the computer, who can see the open port."""
    running.gate.link = Link(running.clock)
    page = context.new_page()
    guess = "0" * 64
    running.clock.now += SECONDS + 1
    for address in (
        running.gate.link.address(running.url),
        *(f"{running.url}{path}" for path in ("/", PATH + guess, f"/{guess[:32]}/")),
        running.url + running.home,
    ):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status >= 400, address
        assert "Deze pagina is gesloten" in page.inner_text("body"), address
    assert context.cookies() == []
