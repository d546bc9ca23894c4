"""Shows the pages of tests/support/gallery.py in a real browser, without a server."""

import urllib.parse
from collections.abc import Mapping

from playwright.sync_api import BrowserContext, Route
from playwright.sync_api import Page as Shown

from dropbox_app.server.web.assets import read_style
from tests.support.plain_browser import Page

HOME = "http://gallery.test"


class Showing:
    """Serves pages by name to one browser context, each under the headers that it came with."""

    def __init__(self, context: BrowserContext, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._style = read_style()
        self.asked: set[str] = set()
        context.route("**/*", self._answer)
        context.set_default_timeout(20_000)
        self.page: Shown = context.new_page()

    def show(self, name: str) -> Shown:
        """Open the page of this name."""
        self.page.goto(f"{HOME}/{urllib.parse.quote(name)}")
        return self.page

    def _answer(self, route: Route) -> None:
        path = urllib.parse.unquote(route.request.url.removeprefix(HOME + "/"))
        self.asked.add(path)
        if path == f"static/{self._style.name}":
            route.fulfill(body=self._style.content, content_type="text/css; charset=utf-8")
            return
        page = self._pages[path]
        headers = {name: value for name, value in page.headers if name != "Set-Cookie"}
        route.fulfill(status=page.status, headers=headers, body=page.body)
