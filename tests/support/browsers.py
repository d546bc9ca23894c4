"""Debian's Chromium and Firefox, and a person who uses one, with or without scripts.

One library drives both. They can reach loopback, and everything else only through a ``Net``.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from unittest.mock import patch

import pytest
from playwright.sync_api import Browser, Locator, Playwright, sync_playwright

from tests.support.net import Net

PROGRAMS = {"chromium": which("chromium"), "firefox": which("firefox-esr")}
# The headless shell of the same Chromium takes a third of the time. How pages look is tested in it.
# With --long, all else is tested in the full browser, and what a browser stores and starts always.
SHELL = which("chromium-headless-shell") or PROGRAMS["chromium"]
LONG = os.environ.get("KLANKBORD_LONG") == "1"
ENGINES = PROGRAMS | {"chromium": PROGRAMS["chromium"] if LONG else SHELL}
WIDTHS = (1280, 320)  # a desktop and a small phone; the last width stays after both were checked
CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Anything outside the test's network is unreachable.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
FIREFOX: dict[str, str | float | bool] = {
    # The test's network resolves names, as Tor does.
    "network.dns.blockDotOnion": False,
    "network.proxy.socks_remote_dns": True,
    "network.proxy.socks5_remote_dns": True,
    # As in Tor Browser: an onion address counts as secure, and no other site learns it.
    "dom.securecontext.allowlist_onions": True,
    "network.http.referer.hideOnionSource": True,
}


def here(name: str) -> pytest.MarkDecorator:
    """Return a mark that skips the test if a browser is not installed."""
    package = "firefox-esr" if name == "firefox" else name
    return pytest.mark.skipif(PROGRAMS[name] is None, reason=f"Debian's {package} is not installed")


# Browsers that people use for the desk's page; Firefox only with --long, as in CI.
BOTH = [
    pytest.param("chromium", marks=here("chromium")),
    pytest.param("firefox", marks=[here("firefox"), pytest.mark.long]),
]


def launch(playwright: Playwright, name: str, net: Net, *, scripts: bool = True) -> Browser:
    """Start a browser. Chromium sets scripts per person, Firefox for the whole browser."""
    way_out = f"socks5://127.0.0.1:{net.port}"
    if name == "chromium":
        return playwright.chromium.launch(
            executable_path=ENGINES[name],
            args=CHROMIUM,
            # The driver disables a feature of ordinary browsers: pages kept alive for "Back".
            ignore_default_args=["--disable-back-forward-cache"],
            proxy={"server": way_out, "bypass": "127.0.0.1"},
        )
    # WebDriver BiDi works with every Firefox, not only with one that was built for tests.
    return playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=PROGRAMS[name],
        proxy={"server": way_out},
        firefox_user_prefs={**FIREFOX, "javascript.enabled": scripts},
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Yield Chromium, for tests of how pages look."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=SHELL, args=CHROMIUM)
        yield browser
        browser.close()


@contextlib.contextmanager
def driver() -> Iterator[Playwright]:
    """Start the browser driver, and tolerate its known fault with Firefox."""
    careful = f"--require={Path(__file__).with_name('driver.cjs')}"
    with contextlib.ExitStack() as running:
        with patch.dict(os.environ, NODE_OPTIONS=careful):
            playwright = running.enter_context(sync_playwright())
        yield playwright


Start = Callable[[str, bool], Browser]


@contextlib.contextmanager
def browsers(net: Net) -> Iterator[Start]:
    """Start each browser on first use; close all at the end of the block."""
    with driver() as playwright, contextlib.ExitStack() as started:
        running: dict[tuple[str, bool], Browser] = {}

        def start(name: str, scripts: bool) -> Browser:
            key = (name, scripts or name == "chromium")
            if key not in running:
                running[key] = launch(playwright, name, net, scripts=scripts)
                started.callback(running[key].close)
            return running[key]

        yield start


class Person:
    """Somebody with a new browser, who reads, types, ticks and presses."""

    def __init__(self, start: Start, name: str, home: str, *, scripts: bool = True) -> None:
        self.home = home
        self.scripts = scripts
        self.context = start(name, scripts).new_context(
            java_script_enabled=scripts,
            viewport={"width": WIDTHS[-1], "height": 700},
            base_url=home,
            ignore_https_errors=True,  # the certificates are made for the test
        )
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.asked_of_others: list[str] = []
        self.context.on("request", lambda request: self._note(request.url))
        # The driver uses the page's own clock to find out whether an element can be clicked.
        # Without scripts Firefox has none, so it clicks at the element's position even if something
        # covers it.
        self._force = name == "firefox" and not scripts

    def _note(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "about:", "chrome")):
            self.asked_of_others.append(url)

    def close(self) -> None:
        self.context.close()

    def go(self, path: str) -> None:
        self.page.goto(path)

    def follow(self, link: Locator) -> None:
        with self.page.expect_navigation():
            link.click(force=self._force)

    def write(self, field: str, text: str) -> None:
        """Replace the contents of the named field."""
        place = self.page.locator(f"[name={field}]:not([type=hidden])").first
        if self._force:
            place.focus()
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)
        else:
            place.fill(text)
        assert place.input_value() == text

    def choose(self, field: str, files: list[Path]) -> None:
        """Choose these files, as in the browser's file dialog."""
        self.page.locator(f"[name={field}]").set_input_files(files)

    def download(self, link: Locator) -> tuple[str, bytes]:
        """Follow a download link; return the saved name and the bytes."""
        with self.page.expect_download() as begun:
            link.click(force=self._force)
        return begun.value.suggested_filename, Path(begun.value.path()).read_bytes()

    def tick(self, choice: Locator) -> None:
        choice.check(force=self._force)

    def send(self, field: str) -> None:
        """Press the first button of the form with this field, like the Enter key.

        Prefers a form where the field is visible: another form may only pass it on as a hidden
        field.
        """
        seen = f"[name={field}]:not([type=hidden])"
        form = f"form:has({seen if self.page.locator(seen).count() else f'[name={field}]'})"
        button = f"{form} button[type=submit], {form} button:not([type])"
        self.follow(self.page.locator(button).first)

    def enter(self, lang: str, code: str) -> None:
        self.go(f"/{lang}/return")
        self.write("code", code)
        self.send("code")

    def report(self, lang: str, text: str) -> str:
        """Write a report; return the displayed code."""
        self.go(f"/{lang}/report")
        self.write("text", text)
        self.send("text")
        return self.code()

    def code(self) -> str:
        shown = self.page.locator("#code").inner_text()
        assert len(shown.split()) == 7, shown
        return shown

    @property
    def heading(self) -> str:
        return self.page.locator("h1").inner_text()

    @property
    def text(self) -> str:
        return self.page.locator("body").inner_text()

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookies of this site's address: names and values."""
        kept = self.context.cookies(self.home)
        return {cookie.get("name", ""): cookie.get("value", "") for cookie in kept}

    def page_fits(self) -> None:
        """Check that nothing is wider than the window, on desktop and phone."""
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 700})
            assert self.page.evaluate("window.innerWidth") == width
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{self.page.url} is {wide} px wide in a window of {width}"
