"""A reporter whose browser seals, and faults between the browser and the server."""

import json
import re
from collections.abc import Callable, Sequence

from playwright.sync_api import ConsoleMessage, Page

from dropbox_app.protocol.retrieval_code import derive_root, read_typed, reporter_keys
from dropbox_app.server.config import settings
from tests.support.browsers import Start
from tests.support.drop_box import DropBox
from tests.support.recorder import Passed
from tests.support.relay import Fault, Relay

LANG = "nl"
SEALING = "html[data-sealed=on]"
PLAIN = "Je browser doet je bericht nu niet zelf op slot"
SITE = re.compile('^site = "([0-9a-f]{32})"', re.MULTILINE)


def open_sealing(page: Page, address: str) -> None:
    """Open a Dutch page that seals. On a busy machine the browser may at first seem too slow."""
    sealing, plain = page.locator(SEALING), page.locator("#sealed-status", has_text=PLAIN)
    for _ in range(8):
        page.goto(address)
        sealing.or_(plain).first.wait_for()
        if sealing.count():
            return
    raise AssertionError("the self-test never found this browser fast enough")


class Reporter:
    """A reporter whose browser seals messages and has not visited the site before."""

    def __init__(self, start: Start, name: str, relay: Relay) -> None:
        self.relay = relay
        self.context = start(name, True).new_context(base_url=relay.url)
        self.context.set_default_timeout(30_000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hears)

    def _hears(self, message: ConsoleMessage) -> None:
        """Record violations of the page's policy, which the browser reports on its console."""
        if re.search("Content.Security.Policy|Trusted", message.text):
            self.complaints.append(message.text)

    def begins(self, path: str) -> None:
        open_sealing(self.page, f"/{LANG}/{path}")

    def writes(self, text: str) -> None:
        self.page.fill("[name=text]", text)
        self.page.click("#main-form button.button")

    def tells(self, text: str) -> str:
        """Write a report; return the code that the page shows."""
        self.begins("report")
        self.writes(text)
        return self.code()

    def code(self) -> str:
        self.page.wait_for_selector("ol.code li")
        words = self.page.locator("ol.code li").all_inner_texts()
        assert len(words) == 7
        return " ".join(words)

    def goes_on(self) -> None:
        self.page.check("[data-seal=kept] [name=kept]")
        self.page.click("[data-seal=kept] button")
        self.page.wait_for_selector("[data-seal=message]")

    def enters(self, code: str) -> None:
        self.page.fill("[name=code]", code)
        self.page.click("[data-seal=return] button.button")

    def finds_nothing_with(self, code: str) -> None:
        self.begins("return")
        self.enters(code)
        self.reads("Bij deze code hoort geen gesprek")

    def returns(self, code: str) -> None:
        self.begins("return")
        self.enters(code)
        self.page.wait_for_selector("[data-seal=message]")

    def says(self, text: str, then: str) -> None:
        """Write a message, and wait until the page shows ``then``."""
        self.page.fill("[data-seal=message] [name=text]", text)
        self.page.click("[data-seal=message] button[type=submit]")
        self.reads(then)

    def withdraws(self) -> None:
        self.page.click("[data-seal=withdraw]")
        self.page.check("[name=sure]")
        self.page.click("[data-seal=withdraw-sure] button[type=submit]")
        self.reads("Je gesprek is gewist")

    def reads(self, sentence: str) -> None:
        """Wait until the page itself shows the sentence, outside any message."""
        self.page.locator(f"main :text({json.dumps(sentence)}):not(article *)").first.wait_for()

    @property
    def goes_to(self) -> str:
        """Return the recipient that the page names next to the field for the next message."""
        return self.page.locator("[data-seal=message] [data-slot=to]").inner_text()

    @property
    def shown(self) -> str:
        return self.page.locator("main").inner_text()

    @property
    def messages(self) -> list[str]:
        """Return the texts of all messages, also of those that are folded."""
        return self.page.locator("article [data-slot=text]").all_text_contents()


def site_of(box: DropBox) -> str:
    found = SITE.search((box.folder / settings.FILE_NAME).read_text())
    assert found is not None
    return found[1]


def secrets_of(code: str, site: str) -> dict[str, bytes]:
    """Return the secrets of a code that no request may contain."""
    root = derive_root(read_typed(code), site)
    keys = reporter_keys(root)
    return {"root": root, "reply": keys.reply.raw, "signing": keys.signing.seed}


def leaked(seen: list[Passed], code: str, site: str, texts: list[str]) -> list[str]:
    """Return the requests that contain a word of the code, a key or a line of a text."""
    found = []
    patterns = [rb"(?<![a-zA-Z])" + word.encode() + rb"(?![a-zA-Z])" for word in code.split()]
    patterns += [re.escape(line.encode()) for text in texts for line in text.splitlines()]
    for raw in secrets_of(code, site).values():
        patterns += [re.escape(raw), raw.hex().encode()]
    for one in seen:
        head = "\n".join((one.target, *(f"{name}: {value}" for name, value in one.headers)))
        for part in (head.encode(), one.body):
            found += [f"{one.method} {one.target}" for p in patterns if re.search(p, part)]
    return found


def once(fault: Fault, method: str, part: str) -> Callable[[Passed], Fault]:
    """Return a rule with this fault for the first such request; all others pass."""
    left = [fault]

    def of(passed: Passed) -> Fault:
        if left and passed.method == method and part in passed.target:
            return left.pop()
        return ""

    return of


Step = tuple[Fault, str, str]  # a fault, and the method and a part of the target it strikes


def each_once(*steps: Step) -> Callable[[Passed], Fault]:
    """Return a rule with each of these faults for the first such request; all others pass."""
    rules = [once(*step) for step in steps]

    def of(passed: Passed) -> Fault:
        for rule in rules:
            if fault := rule(passed):
                return fault
        return ""

    return of


def refused_or_lost(kinds: Sequence[tuple[str, str]]) -> list[list[Step]]:
    """Return two sequences of faults for these requests, which are refused and lost alternately.

    What is refused in one is lost in the other.
    """
    faults: tuple[Fault, Fault] = ("refuse", "lose")
    return [
        [(faults[(at + first) % 2], method, part) for at, (method, part) in enumerate(kinds)]
        for first in (0, 1)
    ]


def always(fault: Fault, method: str, part: str) -> Callable[[Passed], Fault]:
    """Return a rule with this fault for every such request."""
    return lambda passed: fault if passed.method == method and part in passed.target else ""
