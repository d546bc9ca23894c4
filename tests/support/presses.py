"""A person at a page in a browser: clicks and keys are counted, and a model gives the time.

The keystroke-level model of Card, Moran and Newell (Communications of the ACM 23, 1980) gives the
time of somebody who knows the page and makes no mistake. It is a model, not a person: it does not
read, talk or hesitate.
"""

import time
from collections import Counter

from playwright.sync_api import Page

SECONDS = {
    "M": 1.35,  # thinking about the next step
    "P": 1.1,  # pointing at something
    "B": 0.1,  # pressing or releasing the mouse button
    "K": 0.28,  # a key, for an average typist who is not a professional
    "H": 0.4,  # moving the hand from mouse to keyboard, or back
}
CLICK = "MPBB"
DRAG = "MPBPB"  # a drag of the scroll bar
LINES = 20  # visible lines of an open list in Chromium

IN_VIEW = """one => {
    const box = one.getBoundingClientRect();
    return box.top >= 0 && box.bottom <= innerHeight;
}"""
MARK = "document.documentElement.dataset.left = ''"  # distinguishes the next page from this one


class Presses:
    """Operates the page like a person, and counts.

    Thinking is counted before each click and before each run of keys, more often than the model's
    rules require. Elements out of view are reached with the scroll bar.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = self.keys = self.pages = 0
        self.waited = 0.0  # seconds from a click or key to the next page, as measured
        self._acts: Counter[str] = Counter()
        self._at_keys = False
        self._began = 0.0

    def click(self, selector: str) -> None:
        """Click on something, after scrolling to it if necessary."""
        target = self.page.locator(selector)
        self._hand(at_keys=False)
        if not target.evaluate(IN_VIEW):
            self._acts.update(DRAG)
        self._acts.update(CLICK)
        self.clicks += 1
        self._leave()
        target.click()

    def choose(self, selector: str, line: str) -> None:
        """Choose an item of a list, which is the browser's own and counts as clicked."""
        self.click(selector)
        options = self.page.locator(f"{selector} option")
        at = options.all_text_contents().index(line)
        if at >= LINES:
            self._acts.update(DRAG)
        self._acts.update(CLICK)
        self.clicks += 1
        self.page.select_option(selector, label=line)

    def press(self, *keys: str) -> None:
        """Press these keys, one after another."""
        self._hand(at_keys=True)
        self._acts.update("M")
        self._run(*keys)

    def tab_to(self, selector: str) -> None:
        """Press Tab until this has the focus."""
        self._hand(at_keys=True)
        self._acts.update("M")
        for _ in range(60):
            self._run("Tab")
            if self.page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    def until(self, selector: str) -> None:
        """Wait for the next page, and for this element on it."""
        self.page.wait_for_selector(f"html:not([data-left]) {selector}")
        self.page.wait_for_load_state("load")
        self.waited += time.perf_counter() - self._began
        self.pages += 1

    @property
    def by_hand(self) -> float:
        """Return the model's seconds for the counted actions, without the machine's time."""
        return sum(SECONDS[act] * count for act, count in self._acts.items())

    @property
    def seconds(self) -> float:
        """Return the seconds of the model plus those of the machine."""
        return self.by_hand + self.waited

    def table(self, name: str, bound: float) -> str:
        """Return the counts and seconds of each kind, in lines to print."""
        lines = [f"{name}: {self.clicks} clicks, {self.keys} keys (a model, and no person)"]
        for act, each in SECONDS.items():
            count = self._acts[act]
            lines.append(f"  {act} {count:>6} x {each:<4} {count * each:>8.1f} s")
        lines.append(f"  {self.pages:>8} pages   {self.waited:>8.1f} s, as measured")
        lines.append(f"  together          {self.seconds:>8.1f} s  <= {bound:.0f}")
        return "\n".join(lines)

    def _hand(self, *, at_keys: bool) -> None:
        if self._at_keys != at_keys:
            self._acts.update("H")
        self._at_keys = at_keys

    def _run(self, *keys: str) -> None:
        for key in keys:
            self._acts.update("K")
            self.keys += 1
            self._leave()
            self.page.keyboard.press(key)

    def _leave(self) -> None:
        self.page.evaluate(MARK)
        self._began = time.perf_counter()
