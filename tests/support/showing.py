"""Show the pages of tests/support/gallery.py in a real browser, from a loopback server."""

import http.server
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from playwright.sync_api import BrowserContext
from playwright.sync_api import Page as Shown

from dropbox_app.server.web.assets import read_style
from tests.support.plain_browser import Page


class Showing:
    """Serves pages by name to one browser context, each with its original headers."""

    def __init__(self, context: BrowserContext, pages: Mapping[str, Page], port: int) -> None:
        self.pages = pages
        self.asked: set[str] = set()
        self._home = f"http://127.0.0.1:{port}"
        context.set_default_timeout(60_000)
        self.page: Shown = context.new_page()

    def show(self, name: str) -> Shown:
        """Open the page of this name; return it."""
        self.page.goto(f"{self._home}/{urllib.parse.quote(name)}")
        return self.page


@contextmanager
def showing(context: BrowserContext, pages: Mapping[str, Page]) -> Iterator[Showing]:
    """Serve these pages until the block ends."""
    style = read_style()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urllib.parse.unquote(self.path.removeprefix("/"))
            made.asked.add(path)
            if path == f"static/{style.name}":
                headers = [("Content-Type", "text/css; charset=utf-8")]
                self._answer(200, headers, style.content)
            elif path in pages:
                page = pages[path]
                headers = [(name, value) for name, value in page.headers if name != "Set-Cookie"]
                self._answer(page.status, headers, page.body)
            else:
                self._answer(404, [], b"")

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name != "Content-Length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made = Showing(context, pages, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
