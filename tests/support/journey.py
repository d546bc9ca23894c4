"""Two reporters and a real desk with separate addresses, at a server under strace."""

import contextlib
import fcntl
import http.client
import os
import random
import string
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from dropbox_app.protocol.retrieval_code import generate
from tests.support.drop_box import Counsellor, DropBox
from tests.support.plain_browser import Page, PlainBrowser
from tests.support.processes import until
from tests.support.steps import come_back, tell, write_on
from tests.support.syscalls import ANY_SOCKET, Secrets, Watch, forms, held_by

ANSWERS: dict[str, str | list[str]] = {  # the seven optional questions, all of them answered
    "needs": ["be_heard"],
    "topics": ["bullying", "dont_know"],
    "ongoing": "dont_know",
    "about": ["board_owner"],
    "relation": "works_here",
    "talked": "rather_not",
    "safe": "dont_know",
}
NOBODY = "127.66.9.9"  # the address of requests without a session or a form


class AddressedBrowser(PlainBrowser):
    """A browser with its person's address and many identifying headers.

    A request with neither a cookie nor a form comes from NOBODY: it cannot be for a personal page.
    """

    def __init__(self, url: str, address: str, mark: str) -> None:
        super().__init__(url)
        self.address = address
        self.said = {
            "User-Agent": f"Mozilla/5.0 (X11; {mark})",
            "Accept-Language": f"nl;q=0.7, x-{mark};q=0.1",
            "Referer": f"{url}/nl/?{mark}",
            "X-Forwarded-For": f"198.51.100.7, {mark}",
        }
        self._from = NOBODY

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        follow: int = 5,
    ) -> Page:
        self._from = self.address if body or self.cookies else NOBODY
        return super().request(method, path, body, {**self.said, **(headers or {})}, follow)

    def connection(self, host: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(host, timeout=60, source_address=(self._from, 0))


class Person:
    """A reporter, whose typed and read texts are secrets that only this person may get."""

    def __init__(self, box: DropBox, secrets: Secrets, chance: random.Random, last: int) -> None:
        self.box = box
        self.secrets = secrets
        self.name = f"reporter {last}"
        self.address = f"127.66.1.{last}"
        self._chance = chance
        self._marks: dict[str, str] = {}
        self.browsers: list[AddressedBrowser] = []
        self.code = ""
        secrets.add(f"address of {self.name}", self.address)
        secrets.add(f"browser of {self.name}", self.mark("browser", None))

    def mark(self, of: str, owner: str | None) -> str:
        """Return a unique word."""
        if of not in self._marks:
            word = "".join(self._chance.choices(string.ascii_lowercase, k=14))
            self._marks[of] = word
            self.secrets.add(f"{of} of {self.name}", word, owner)
        return self._marks[of]

    def marks(self) -> set[bytes]:
        """Return every such word, in every form."""
        return set().union(*(forms(word.encode()) for word in self._marks.values()))

    def text(self, of: str, words: int = 6) -> str:
        """Return a text of unique words, including characters that need escaping."""
        mark = self.mark(of, self.address)
        return "\n".join(f"“{mark}” & {mark.title()} <{mark}> é{i}" for i in range(words))

    def browser(self) -> AddressedBrowser:
        made = AddressedBrowser(self.box.url, self.address, self.mark("browser", None))
        self.browsers.append(made)
        return made

    def learn(self, code: str, site: str, what: str = "code") -> None:
        """Search for this code and everything derived from it from now on."""
        name = f"{what} of {self.name}"
        self.secrets.add_code(name, code.split(), self.address)
        self.secrets.add_keys(name, code.split(), site)


class Journey:
    """Everything that can happen to a report, once. ``found``: leaks seen meanwhile."""

    def __init__(self, box: DropBox, els: Counsellor, watch: Watch, site: str, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - repeatable from its seed
        self.box, self.els, self.watch, self.site = box, els, watch, site
        self.purging = Watch(watch.record.with_name("strace-purge"))
        self.secrets = Secrets()
        self.found: list[tuple[str, bytes]] = []
        self.began = time.time()
        self.ann = Person(box, self.secrets, chance, 1)
        self.bob = Person(box, self.secrets, chance, 2)
        for name, value in ANSWERS.items():
            for one in [value] if isinstance(value, str) else value:
                written = {f'"{name}":"{one}"', f'"{name}":["{one}"', f'"{name}": "{one}"'}
                written |= {f"{name}={one}", f"'{name}': '{one}'", f"'{name}': ['{one}'"}
                self.secrets.add_exactly("answers", {text.encode() for text in written})
                # Every visitor's form contains these words.
                self.secrets.add_exactly("answers", {one.encode()}, ANY_SOCKET)

    def look(self) -> None:
        """Inspect all open files and readable state of the server's processes."""
        for pid in self.box.processes():
            self.found += held_by(pid, self.box.folder)
        self.found += ((str(p), p.read_bytes()) for p in self.box.folder.rglob("*") if p.is_file())

    # the parts of the journey

    def report(self) -> None:
        """Send a report after three refusals and a language change, and send it again."""
        ann, browser = self.ann, self.ann.browser()
        text = ann.text("report")
        assert tell(browser, "nl", text * 400, **ANSWERS).status == 422
        fields = {"text": text, **ANSWERS}
        assert post(browser, "/nl/report", {**fields, "switch": "1"}).status == 203
        assert post(browser, "/nl/report", {**fields, "ongoing": "perhaps"}).status == 422
        away = {"Origin": "https://evil.example"}
        assert text.splitlines()[0] in post(browser, "/nl/report", fields, away).html.replace(
            "&lt;", "<"
        ).replace("&gt;", ">").replace("&amp;", "&")
        assert post(browser, "/nl/report", fields, {"Host": "evil.example"}).status == 421
        form = {"Content-Type": "multipart/form-data; boundary=a"}
        assert post(browser, "/nl/report", fields, form).status == 415
        assert post(browser, "/nl/report", {"text": text * 4000}).status == 413
        assert browser.get(f"/nl/bestaat-niet?{ann.mark('report', ann.address)}").status == 404
        page = tell(browser, "nl", text, **ANSWERS)
        ann.code = page.code
        ann.learn(page.code, self.site)
        assert tell(browser, "nl", text, **ANSWERS).code == page.code
        assert post(browser, "/nl/code", {"typed": page.code}).code == page.code
        assert post(browser, "/nl/code", {"typed": ann.text("typed", 1)}).status == 422
        self.bob.code = tell(self.bob.browser(), "en", self.bob.text("report")).code
        self.bob.learn(self.bob.code, self.site)
        self.look()
        assert browser.get("/nl/conversation").status == 200
        browser.get("/nl/leave")

    def answer(self) -> None:
        """Let the real desk fetch, answer and ask for consent."""
        ann, els = self.ann, self.els
        els.desk("fetch")
        ids = [t["id"] for t in els.threads()]
        (thread,) = (
            i for i in ids if ann.mark("report", None) in els.read(i)["messages"][0]["text"]
        )
        els.reply(thread, ann.text("reply"))
        scope = ann.text("scope", 1)
        els.desk("ask", thread, "--step", "Gesprek", "--with", "de directie", "--scope", scope)
        els.desk("notice", thread, "read")

    def return_and_write(self) -> None:
        """Enter wrong codes and the right one, write, change language, answer the question."""
        ann, browser = self.ann, self.ann.browser()
        wrong = " ".join(generate("nl"))
        ann.learn(wrong, self.site, "wrong code")
        assert come_back(browser, "nl", wrong).status == 422
        assert (
            come_back(browser, "nl", f"{ann.code} {ann.mark('typed', ann.address)}").status == 422
        )
        typed = {"code": ann.code.upper().replace(" ", ",  "), "switch": "1"}
        assert post(browser, "/en/return", typed).status == 203
        page = come_back(browser, "nl", ann.code)
        assert ann.mark("reply", None) in page.html
        text = ann.text("message")
        switched = post(browser, "/en/conversation", {"text": text, "switch": "1"})
        assert ann.mark("message", None) in switched.html
        assert ann.mark("message", None) in write_on(browser, page, text).html
        refused = write_on(browser, page, ann.text("long") * 400)
        assert refused.status == 422, (refused.status, refused.text[:200])
        page = browser.get("/nl/conversation")
        asked = page.form_with("answer", "remark")
        remark = ann.text("remark")
        assert (
            ann.mark("remark", None)
            in browser.submit(page, asked, answer="yes", remark=remark).html
        )
        self.look()

    def turn(self) -> None:
        """Change to a counsellor who joined later."""
        browser = self.ann.browser()
        come_back(browser, "nl", self.ann.code)
        page = browser.get("/nl/counsellor")
        form = page.form_with("text", "counsellor")
        sent = browser.submit(
            page, form, text=self.ann.text("other"), counsellor=form.choices["counsellor"][0]
        )
        assert self.ann.mark("other", None) in sent.html

    def expired(self, end: Callable[[], None]) -> None:
        """Restart the server while somebody writes."""
        ann, browser = self.ann, self.ann.browser()
        page = come_back(browser, "nl", ann.code)
        of = f"typed before {end.__name__}"
        end()
        self.box.serve()
        asked = write_on(browser, page, ann.text(of))
        form = asked.form_with("text", "code")
        assert browser.submit(asked, form, code=ann.code[:-3]).status == 422
        assert ann.mark(of, None) in browser.submit(asked, form, code=ann.code).html

    def killed_within(self, end: Callable[[], None]) -> None:
        """Kill the server in the middle of a request, while the text is in its memory."""
        ann = self.ann
        browser = ann.browser()
        page = come_back(browser, "nl", ann.code)
        of = f"cut off by {end.__name__}"
        with stuck(self.box, lambda: write_on(browser, page, ann.text(of))):
            self.look()
            end()

    def withdraw(self) -> None:
        """Let Ann withdraw everything."""
        ann, browser = self.ann, self.ann.browser()
        come_back(browser, "nl", ann.code)
        page = browser.get("/nl/withdraw")
        assert browser.submit(page, page.form_with("sure")).status == 422
        done = browser.submit(page, page.form_with("sure"), sure="y")
        assert done.path == "/nl/withdrawn"
        assert come_back(ann.browser(), "nl", ann.code).status == 422
        self.look()


def post(
    browser: PlainBrowser,
    path: str,
    fields: dict[str, str | list[str]] | dict[str, str],
    headers: dict[str, str] | None = None,
) -> Page:
    body = urllib.parse.urlencode(fields, doseq=True).encode("ascii")
    return browser.request("POST", path, body, headers)


@contextlib.contextmanager
def stuck(box: DropBox, act: Callable[[], object]) -> Iterator[None]:
    """Run ``act`` until it waits to store, and keep it waiting inside the block."""
    folder = box.folder / "files"
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def attempt() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            act()

    acting = threading.Thread(target=attempt)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # the store's write lock
        acting.start()
        number = str(folder.stat().st_ino)
        until(lambda: _waits(number), "no request waits for its turn")
        yield
    finally:
        os.close(handle)
        acting.join(60)


def _waits(inode: str) -> bool:
    locks = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f":{inode} " in line for line in locks)
