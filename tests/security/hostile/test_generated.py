"""A hundred thousand nonsensical requests: no fault, no trace, and no text lost.

``KLANKBORD_LONG=1`` makes a hundred thousand. Every failure shows the seed, and ``KLANKBORD_SEED``
repeats its requests. Some requests go through the app itself, some as bytes through gunicorn's
sockets.
"""

import collections
import email
import json
import logging
import random
import re
from collections.abc import Iterator
from pathlib import Path

import markupsafe
import pytest

from dropbox_app.protocol import desk_request
from dropbox_app.protocol import thread as threads
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.errors import RequestError
from dropbox_app.protocol.thread import Thread
from dropbox_app.server.config.settings import Limits
from tests.server.web.conftest import ORIGIN, SITE, Browser, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_hardening import UNWANTED, WANTED
from tests.support.chance import seed
from tests.support.plain_browser import Page, PlainBrowser
from tests.support.requests import Answer, Call, Maker, Visitor, in_process
from tests.support.values import FILE, SENT, TYPED, found

SEED = seed()
STATUSES = {200, 203, 204, 303, 400, 401, 403, 404, 405, 409, 410, 413, 415, 421, 422, 503, 507}
ASKED: dict[str, Json] = {"step": "Ik bel", "with": "De arts", "scope": "Dat je belde"}
_TOKEN = re.compile(rb'name="csrf_token" value="([^"]+)"')


class Plain(PlainBrowser):
    """The equivalent of ``Browser``, over a socket."""

    def come_back(self, code: str) -> None:
        page = self.get("/nl/return")
        self.submit(page, page.form_with("code"), code=code)


class World:
    """A site in use: people with conversations, some closed, one elsewhere, and a signing desk."""

    def __init__(self, folder: Path, house: House, rng: random.Random, origin: str) -> None:
        self.rng = rng
        self.house = house
        self.origin = origin
        self.elsewhere = House(folder / "elsewhere")
        self.signing = house.counsellors[0].signing
        self.maker = Maker(rng, house.app, origin, self.sign)
        self.maker.identities = [c.identity.hex for c in house.counsellors]
        self.maker.cards = [c.card() for c in house.counsellors]
        stranger = self.elsewhere.browser()
        stranger.tell("Elders.")
        self.maker.dead.append(stranger.cookies["s"])
        self.codes: set[str] = set()
        self.token = ""
        self.read = 0

    def renew(self, browser: Browser | Plain | None = None) -> None:
        """Replace one person: a newcomer writes and gets a question, and another leaves."""
        browser = browser or self.house.browser(origin=self.origin)
        noor = self.house.counsellors[0]
        page = browser.get("/nl/report")
        form = page.form_with("text")
        code = browser.submit(page, form, text="Begin.", counsellor=noor.identity.hex).code
        visitor = Visitor(code=code)
        self.codes.add(code)
        mailbox, thread = self._newest()
        self.maker.ids[:] = [*self.maker.ids[-30:], mailbox, *(e.item for e in thread.entries)]
        if self.rng.random() < 0.7:
            noor.write("consent-request", ASKED, thread)
            asked = list(self._newest(mailbox)[1].genuine())[-1]
            visitor.requests.append(asked.digest)
        browser.come_back(code)
        page = browser.get("/nl/conversation")
        visitor.cookie = browser.cookies["s"]
        visitor.token = dict(page.form_with("csrf_token").fields)["csrf_token"]
        if self.rng.random() < 0.5:
            page = browser.get("/nl/files")
            browser.upload(page, page.form_with("files"), [("a.jpg", b"x")])
            items = self.house.store.items(mailbox)
            self.maker.ids += [item.id for item in items if item.what == "attachment"]
        self.maker.visitors = [*self.maker.visitors[-3:], visitor, Visitor()]
        self.token = json.loads(browser.get("/api/desk/challenge").text)["token"]

    def _newest(self, mailbox: str = "") -> tuple[str, Thread]:
        """Return the newest or the given conversation, as the desk reads it."""
        noor, boxes, rows = self.house.counsellors[0], self.house.mailboxes, []
        more = True
        while more:  # from the desk's last number on, because the inbox keeps growing
            page, more = boxes.inbox(noor.identity, self.read)
            rows += page
            self.read = page[-1].number if more else self.read
        mailbox = mailbox or next(r.mailbox for r in reversed(rows) if r.item.n == 1)
        arrived = []
        for row in rows:
            opened = boxes.item_for(noor.identity, row.item.id) if row.mailbox == mailbox else None
            if opened is not None:
                with opened.file as file:
                    arrived.append(threads.open_item(row.item.id, file.read(), noor.seeds))
        read = threads.read(arrived, site=SITE, mailbox=mailbox, viewer=noor.identity)
        return mailbox, read

    def restart(self) -> None:
        self.maker.dead[1:] = [v.cookie for v in self.maker.visitors if v.cookie]
        self.house.restart()

    def sign(self, method: str, target: str, body: bytes) -> str:
        given = {"origin": self.origin, "site": SITE, "token": self.token, "method": method}
        given["body_hash"] = sha256_hex(body)
        try:
            return desk_request.header(self.signing, target=target, **given)
        except RequestError:  # a target that a desk would not sign
            return desk_request.header(self.signing, target="/api/desk/mailboxes", **given)

    def check_nothing_stayed(self, logged: bytes) -> None:
        """Check that neither log nor files contain sent data, in any encoding, or a code."""
        places = {
            path: path.read_bytes() for path in self.house.folder.rglob("*") if path.is_file()
        }
        assert len(places) > 3
        for place, data in {**places, Path("log"): logged}.items():
            for marker in (SENT, TYPED):
                assert found(data, marker) == [], place
            assert [code for code in self.codes if code.encode() in data] == [], place
        assert b"Traceback" not in logged

    def close(self) -> None:
        self.house.close()
        self.elsewhere.close()


def check(call: Call, answer: Answer) -> None:
    """Check the rules for every response."""
    assert answer.status in STATUSES, answer.status
    names = {name.lower(): value for name, value in answer.headers}
    for name, value in WANTED.items():
        assert names.get(name.lower()) == value, name
    assert not {name.lower() for name in UNWANTED} & names.keys()
    for name, value in answer.headers:
        assert not {SENT, TYPED} & {m for m in (SENT, TYPED) if m in name + value}, name
    if SENT.encode() in answer.body:
        assert SENT.encode() in _text_of(call), "an answer repeats what was in no form"
    if TYPED.encode() in answer.body:
        assert call.form or any(name == "Cookie" for name, _ in call.headers)
    kind = names.get("content-type", "")
    if call.target.startswith("/api/") and call.method != "HEAD" and answer.status != 200:
        assert list(json.loads(answer.body)) in (["error"], ["n"])
    sampled = (
        answer.body and len(answer.body) < 20_000 and len(call.target + str(call.body)) % 7 == 0
    )
    if kind.startswith("text/html") and sampled:
        check_shape(Page(answer.status, call.target, answer.headers, answer.body))
    if call.kept is not None:
        check_kept(call, answer)


def _text_of(call: Call) -> bytes:
    """Return a form's text as another parser reads the bytes, even at damaged boundaries."""
    kind = next((value for name, value in call.headers if name == "Content-Type"), "")
    form = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + call.body)
    texts = [
        part.get_payload(decode=True)
        for part in form.walk()
        if part.get_param("name", header="Content-Disposition") == "text"
    ]
    return b"".join(text for text in texts if isinstance(text, bytes))


def check_kept(call: Call, answer: Answer) -> None:
    """Check that a refused form of the site returns with its text."""
    known = {200, 203, 303, 403, 409, 410, 422, 503}
    # A file can be too large, and a name that is not UTF-8, which no browser sends, is not a form.
    known |= {400, 413} if call.form == "files" else set()
    assert answer.status in known, answer.status
    if answer.status == 303 or b'<ol class="code"' in answer.body:
        return
    if str(markupsafe.escape(call.kept)) in answer.body.decode():
        return
    page = Page(answer.status, call.target, answer.headers, answer.body)
    held = [v for form in page.forms for n, v in form.fields if n in ("text", "remark")]
    assert not call.kept or call.kept in held, f"lost at {answer.status}"


def note(visitor: Visitor, answer: Answer) -> None:
    """Update the data that a browser keeps from a response."""
    for name, value in answer.headers:
        if name == "Set-Cookie":
            visitor.cookie = value.partition(";")[0].partition("=")[2]
    if token := _TOKEN.search(answer.body):
        visitor.token = token[1].decode()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    people = ("Noor Visser", "Sam Jansen")
    house = House(tmp_path / "site", people, limits=Limits(messages=10, free_bytes=1, file=FILE))
    made = World(tmp_path, house, random.Random(SEED), ORIGIN)  # noqa: S311 - must be repeatable
    yield made
    made.close()


def test_no_request_causes_a_fault_or_leaves_a_trace(
    world: World,
    long_run: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The app runs in this process, and hashing a code costs almost nothing."""
    monkeypatch.setattr(logging.getLogger("klankbord"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    seen: collections.Counter[int] = collections.Counter()
    uploads: collections.Counter[int] = collections.Counter()
    for number in range(100_000 if long_run else 1_500):
        if number % 5_000 == 1_000:
            world.restart()
        if number % 100 == 0:
            world.renew()
        if number % 37 == 0:
            world.house.clock.pass_minutes(world.rng.choice((1, 1, 1, 21)))
        call, visitor = world.maker.call()
        try:
            answer = in_process(world.house.app, call)
            check(call, answer)
        except Exception as error:
            error.add_note(f"seed {SEED}, request {number}: {call!r:.3000}")
            raise
        note(visitor, answer)
        seen[answer.status] += 1
        uploads[answer.status] += call.form == "files"
    said = capfd.readouterr()
    world.check_nothing_stayed((caplog.text + said.out + said.err).encode())
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert said.out + said.err == ""
    # The generator reaches the app: refusing everything at once would prove nothing.
    assert {200, 303, 400, 401, 403, 404, 405, 413, 415, 421, 422} <= set(seen), seen
    assert {303, 403, 413} <= {status for status, many in uploads.items() if many}, uploads
    assert world.house.stored() > 15
