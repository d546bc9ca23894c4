"""A small site with the desk's viewer, and listeners for anything that escapes."""

import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from importlib import resources
from typing import Any

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from playwright.sync_api import Page
from werkzeug.serving import WSGIRequestHandler, make_server

from dropbox_app.desk.web import frame_page, stranger_bytes
from dropbox_app.desk.web.frame_page import FramePage
from tests.support.ports import free_port

OUTER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
OUTER = '<!doctype html><title>-</title><script type="module" src="/static/test.js"></script>'
# The script that tests run in the page; it uses only the viewer's own functions.
SCRIPT = """
import * as viewer from "./viewer.js";
const hex = async (data) => [...new Uint8Array(await crypto.subtle.digest("SHA-256", data))]
  .map((byte) => byte.toString(16).padStart(2, "0")).join("");
globalThis.look = async (kind, content, options = {}) => {
  const seen = [];
  const begun = performance.now();
  try {
    const file = { kind, content, frame: "/frame" };
    const pages = await viewer.draw(file, async (number, image, reduced) => {
      const page = { number, width: image.width, height: image.height, reduced };
      page.seconds = (performance.now() - begun) / 1000;
      page.digest = await hex(image.data);
      if (options.text) page.text = new TextDecoder().decode(image.data).replaceAll("\\0", "");
      if (options.type) {
        const blob = await viewer.encoded(viewer.canvasOf(image), options.type);
        page.encoded = (performance.now() - begun) / 1000;
        await fetch(`/kept/${number}`, { method: "POST", body: blob });
      }
      seen.push(page);
    }, options);
    return { pages, seen };
  } catch (error) {
    const { name, width, height } = error;
    return { fault: name, said: String(error), width, height, seen };
  }
};
await viewer.selfTest("/frame").catch((error) => { document.body.dataset.failed = String(error); });
document.body.dataset.ready = "yes";
"""


class _Quiet(WSGIRequestHandler):
    """Logs nothing for requests."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - as it is called
        pass


class ViewerSite:
    """Serves the viewer on loopback; a test can change ``frame`` and ``files``."""

    def __init__(self) -> None:
        self.frame: FramePage = frame_page.built()
        self.files: dict[str, bytes] = {}
        self.kept: dict[int, bytes] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator["ViewerSite"]:
        server = make_server(
            "127.0.0.1", self.port, self._app(), threaded=True, request_handler=_Quiet
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def open(self, page: Page) -> None:
        """Open the outer page, and wait until its script has run."""
        page.goto(self.url)
        page.wait_for_selector("[data-ready]", state="attached", timeout=120_000)

    def look(self, page: Page, kind: str, content: bytes, **options: object) -> Any:  # noqa: ANN401 - the page's result
        """Draw a file; return the result of the script above."""
        self.files["one"] = content
        return page.evaluate("([k, c, o]) => look(k, c, o)", [kind, "/files/one", options])

    def _app(self) -> Flask:
        app = Flask("viewer site", static_folder=None)

        @app.get("/")
        def outer() -> ResponseReturnValue:
            made = Response(OUTER, mimetype="text/html")
            made.headers["Content-Security-Policy"] = OUTER_POLICY
            made.set_cookie("secret", "of-the-desk")
            return made

        @app.get("/static/<name>")
        def static(name: str) -> ResponseReturnValue:
            if name == "test.js":
                return Response(SCRIPT, mimetype="text/javascript")
            folder = resources.files("dropbox_app.desk.web") / "static"
            return Response((folder / name).read_text("utf-8"), mimetype="text/javascript")

        @app.get("/loose")
        def loose() -> ResponseReturnValue:
            return Response(self.files["loose.html"], mimetype="text/html")

        @app.get("/favicon.ico")
        def icon() -> ResponseReturnValue:
            return "", 204

        @app.get("/frame")
        def frame() -> ResponseReturnValue:
            return self.frame.response()

        @app.get("/files/<name>")
        def file(name: str) -> ResponseReturnValue:
            return stranger_bytes.response(self._pieces(name), len(self.files[name]))

        @app.post("/kept/<int:number>")
        def keep(number: int) -> ResponseReturnValue:
            self.kept[number] = request.get_data()
            return "", 204

        @app.before_request
        def note() -> None:
            self.asked.append(request.path)

        return app

    def _pieces(self, name: str) -> Iterator[bytes]:
        content = self.files[name]
        yield content[: len(content) // 2]
        if name in self.broken:
            raise OSError("the file on this disk is not the one that was received")
        yield content[len(content) // 2 :]


def frame_of(script: str) -> FramePage:
    """Return the frame's page with another script, allowed by its own hash."""
    assert "<" not in script
    digest = base64.b64encode(hashlib.sha256(script.encode("ascii")).digest()).decode()
    return frame_page.page(script, digest)


def worker_of(script: str) -> FramePage:
    """Return the frame's page as built, but with another worker script."""
    built = frame_page.built().html.decode("ascii").partition("<script>")[2]
    built = built.removesuffix("</script>")
    before, mark, rest = built.partition('new Blob(["')
    _, end, after = rest.rpartition('"]))')
    assert mark
    assert end
    quoted = script.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return frame_of(before + mark + quoted.replace("<", "\\x3c") + end + after)


class Ears:
    """One loopback port, TCP and UDP, that receives anything that escapes."""

    def __init__(self) -> None:
        self.port = free_port()
        self.heard: list[str] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator["Ears"]:
        with (
            socket.create_server(("127.0.0.1", self.port)) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            udp.bind(("127.0.0.1", self.port))
            threads = [threading.Thread(target=self._hear, args=pair)
                       for pair in ((tcp, "tcp"), (udp, "udp"))]  # fmt: skip
            for one in (tcp, udp):
                one.settimeout(0.1)
            self._open = True
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                self._open = False
                for thread in threads:
                    thread.join()

    def _hear(self, one: socket.socket, kind: str) -> None:
        while self._open:
            with contextlib.suppress(TimeoutError):
                if kind == "udp":
                    one.recvfrom(2_048)
                else:
                    one.accept()[0].close()
                self.heard.append(kind)
