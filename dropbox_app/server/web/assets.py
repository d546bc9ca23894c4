"""The assets of the pages: one style sheet, and one short script.

The script only improves "leave quickly", which also works without it as a link. Every page contains
the script, so that it costs no request. The content security policy allows this script alone, by
its hash. No other script runs, whatever a page or an address of this site may come to contain.
"""

import base64
import functools
import importlib.resources
from dataclasses import dataclass

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.web.padding import packed


@dataclass(frozen=True)
class Style:
    """The style sheet. Its name changes with its content."""

    name: str
    content: bytes
    packed: bytes


def _static(name: str) -> bytes:
    return (importlib.resources.files("dropbox_app.server.web") / "static" / name).read_bytes()


@functools.cache
def read_style() -> Style:
    """Read the style sheet from the package."""
    content = _static("style.css")
    return Style(f"style-{sha256_hex(content)[:16]}.css", content, packed(content, step=1))


LEAVE_SCRIPT = _static("leave.js").decode("utf-8")
# A hash source, as a content security policy expects it.
LEAVE_SCRIPT_HASH = "'sha256-{}'".format(
    base64.b64encode(bytes.fromhex(sha256_hex(LEAVE_SCRIPT.encode()))).decode("ascii")
)
