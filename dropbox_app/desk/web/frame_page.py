"""The page of the hidden frame in which the browser renders a reporter's file."""

import functools
from dataclasses import dataclass
from importlib import resources

from flask import Response

# The frame has no origin, no network, and one script, which is allowed by its hash. pdf.js needs
# 'wasm' to read fax and scanner pictures. Only the desk's own pages may contain the frame.
_POLICY = (
    "default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; img-src blob:; "
    "worker-src blob:; connect-src 'none'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-scripts"
)


@dataclass(frozen=True)
class FramePage:
    """A page with one script, and the Content-Security-Policy with which it is sent."""

    html: bytes
    policy: str

    def response(self) -> Response:
        """Return the page as an HTTP response."""
        made = Response(self.html, mimetype="text/html")
        made.headers["Content-Security-Policy"] = self.policy
        return made


def page(script: str, digest: str) -> FramePage:
    """Return the page for a script. ``digest`` is the base64 of the script's SHA-256.

    The script must not contain ``<``, because the element would end there.
    """
    html = f'<!doctype html><meta charset="utf-8"><title>-</title><script>{script}</script>'
    return FramePage(html.encode("ascii"), _POLICY.format(digest=digest))


@functools.cache
def built() -> FramePage:
    """Return the page with the script that scripts/dev/build_viewer made."""
    folder = resources.files("dropbox_app.desk.web") / "viewer" / "built"
    script = (folder / "frame.js").read_text("ascii")
    return page(script, (folder / "script.sha256").read_text("ascii").strip())
