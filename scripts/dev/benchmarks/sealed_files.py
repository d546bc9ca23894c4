"""Measure real browsers that seal a report, and a file that they also send by the plain form.

A browser sends both files to the same server, alternately. Its memory is that of all its processes.
"""

from __future__ import annotations

import math
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dev.benchmarks.machine import say

if TYPE_CHECKING:
    from tests.support.lean_browser import LeanBrowser

# Seconds for a report, by browser and whether it compiles scripts.
QUICK = {("chromium", True): 0.6, ("chromium", False): 8.0, ("firefox", False): 8.0}
SLOWER = 1.5  # times the plain form's time
MEMORY = 150  # MB more than the idle page
MIB = 2**20
SIZE = 100  # MiB
PATIENCE = 40  # seconds until the browser knows whether it can seal
ROUNDS = 3  # of which the median counts
EVERY = 0.1  # seconds between two looks at the memory
STILL = 3.0  # seconds without a change of the memory: then the page is idle
CHANGE = 2_000_000  # bytes


class Watch:
    """The memory of a browser, looked at all the time."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.most = 0

    def look(self) -> int:
        from tests.support.lean_browser import used_memory

        return used_memory(self.process)

    def idle(self) -> int:
        """Return the lowest memory of the page, once it no longer changes."""
        deadline = time.monotonic() + 60
        seen = [self.look()]
        since = time.monotonic()
        while time.monotonic() < min(deadline, since + STILL):
            time.sleep(EVERY)
            now = self.look()
            if abs(now - seen[0]) > CHANGE:
                seen, since = [], time.monotonic()
            seen.append(now)
        return min(seen)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the most memory that is used until the end of the block."""
        ended = threading.Event()
        self.most = 0

        def look() -> None:
            while not ended.is_set():
                self.most = max(self.most, self.look())
                ended.wait(EVERY)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def write_report(browser: LeanBrowser, url: str) -> float | None:
    """Write a report that the browser seals, and go on to the conversation.

    Return the seconds from the press to the code; None if the browser found itself too slow.
    """
    from tests.support.lean_browser import wait

    browser.go(f"{url}/en/report")
    try:
        wait(browser, "html[data-sealed=on]", seconds=PATIENCE)
    except AssertionError:
        return None
    browser.write("[name=text]", f"It began in {secrets.token_hex(8)}.")
    begun = time.monotonic()
    browser.press("#main-form button.button")
    wait(browser, "ol.code li")
    took = time.monotonic() - begun
    # Until the words are kept, the browser asks before the page is left.
    browser.press("[data-seal=kept] [name=kept]")
    browser.press("[data-seal=kept] button")
    wait(browser, "[data-seal=message]")
    return took


def to_sealed_files(browser: LeanBrowser, url: str) -> None:
    """Write a report that the browser seals, and go to the page for files."""
    from tests.support.lean_browser import wait

    if write_report(browser, url) is None:
        raise RuntimeError("the browser found itself too slow to seal")
    browser.press("[data-seal=message] [data-seal=files]")
    wait(browser, "form[data-seal=files]")


def to_plain_files(browser: LeanBrowser, url: str) -> None:
    """Do the same without scripts."""
    from tests.support.lean_browser import wait

    browser.go(f"{url}/en/report")
    browser.write("[name=text]", f"It began in {secrets.token_hex(8)}.")
    browser.press("#main-form button.button")
    wait(browser, "#code")
    browser.press("[name=kept]")
    browser.press("button[name=go]")
    wait(browser, "[formaction='/en/files']")
    browser.press("[formaction='/en/files']")
    wait(browser, "#files")


def send(browser: LeanBrowser, file: Path) -> float:
    """Send the file; return the seconds until the page says that it was sent."""
    from tests.support.lean_browser import wait

    browser.choose("#files", file)
    begun = time.monotonic()
    browser.press("#main-form button[type=submit]")
    wait(browser, "article .files li", seconds=300)
    return time.monotonic() - begun


def measure_reports(url: str, folder: Path) -> bool:
    """Measure how long a person waits for the code, also in browsers that compile no scripts."""
    from tests.support.browsers import PROGRAMS
    from tests.support.lean_browser import lean_browser

    good = True
    for (name, jit), most in QUICK.items():
        if PROGRAMS[name] is None:
            continue
        with lean_browser(name, folder / f"report {name} {jit}", jit=jit) as browser:
            times = [write_report(browser, url) for _ in range(ROUNDS)]
        took = statistics.median(math.inf if one is None else one for one in times)
        # dropbox_app/DECISIONS.md explains why Chromium may use the plain form then.
        held = took <= most or (took == math.inf and (name, jit) == ("chromium", False))
        said = f"{took:.2f} s for a report" if took < math.inf else "the plain form, not sealed,"
        where = f"{name}{'' if jit else ' without JIT'}"
        say(f"{'held' if held else 'NOT HELD'}: {said} in {where}; at most {most} s")
        good = held and good
    return good


def measure(url: str, folder: Path) -> bool:
    """Measure each installed browser; return whether both limits hold in all of them."""
    from tests.support.browsers import PROGRAMS
    from tests.support.lean_browser import lean_browser

    file = folder / "recording.mp4"
    with file.open("wb") as out:
        for _ in range(SIZE):
            out.write(secrets.token_bytes(MIB))
    good = True
    for name, program in PROGRAMS.items():
        if program is not None:
            with lean_browser(name, folder / name) as browser:
                good = _measure(name, browser, url, file) and good
    return good


def _measure(name: str, browser: LeanBrowser, url: str, file: Path) -> bool:
    more: dict[str, float] = {}
    took: dict[str, list[float]] = {"sealed": [], "form": []}
    # Memory first, because a browser that sent a file before may have kept some. Looking at it
    # takes time, so the rounds that are timed come after it.
    for watched in (True, *[False] * ROUNDS):
        for way, times in took.items():
            browser.scripts(on=way == "sealed")
            (to_sealed_files if way == "sealed" else to_plain_files)(browser, url)
            if watched:
                more[way] = _memory_to_send(browser, file) / 1e6
            else:
                times.append(send(browser, file))
    form, sealed = (statistics.median(took[way]) for way in ("form", "sealed"))
    say(
        f"{name:<9}{SIZE} MiB: {sealed:.1f} s sealed, {form:.1f} s by the form; "
        f"{more['sealed']:.0f} and {more['form']:.0f} MB more than the idle page"
    )
    held = sealed <= SLOWER * form and more["sealed"] <= MEMORY
    say(
        f"{'held' if held else 'NOT HELD'}: at most {SLOWER} times the form's time, here "
        f"{sealed / form:.2f}, and {MEMORY} MB more"
    )
    return held


def _memory_to_send(browser: LeanBrowser, file: Path) -> int:
    """Send a file; return the most bytes that the browser used above those of the idle page."""
    watch = Watch(browser.process.pid)
    idle = watch.idle()
    with watch.watching():
        send(browser, file)
    return watch.most - idle
