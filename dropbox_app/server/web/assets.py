"""The assets of the pages: one style sheet, and one short script.

The script only improves "leave quickly", which still works as a link without the script. Every page
contains the script, so that no request is needed to load it. The content security policy allows
this script, by its hash, and no other script, whatever a page or an address of this site contains.

A site that lets browsers seal messages also serves the client and the word lists. Only the two
pages that load the client have a policy that allows it.
"""

import base64
import functools
import importlib.resources
from dataclasses import dataclass

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.web.padding import packed


@dataclass(frozen=True)
class Style:
    """The style sheet. The name of the file changes with its content."""

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


@dataclass(frozen=True)
class Asset:
    """A file of the client, with a name that changes with its content."""

    name: str
    content: bytes
    packed: bytes
    kind: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "Asset":
        """Return a file named by its content; ``name`` is its name in the package."""
        stem, _, ending = name.replace("_", "-").rpartition(".")
        kind = {"js": "text/javascript; charset=utf-8", "txt": "text/plain; charset=utf-8"}[ending]
        named = f"{stem}-{sha256_hex(content)[:16]}.{ending}"
        return cls(named, content, packed(content, step=1), kind)


@dataclass(frozen=True)
class SealingAssets:
    """The files for a browser that seals messages itself."""

    client: Asset
    worker: Asset
    licences: Asset
    words_nl: Asset
    words_en: Asset
    not_dealt_nl: Asset
    not_dealt_en: Asset

    @property
    def by_name(self) -> dict[str, Asset]:
        """Return all files by their names on the site."""
        return {asset.name: asset for asset in vars(self).values()}


@functools.cache
def sealing_assets() -> SealingAssets:
    """Return the client and the unchanged word lists, whose hashes the client checks."""
    lists = importlib.resources.files("dropbox_app.protocol") / "words"
    return SealingAssets(
        client=Asset.of("client.js", _static("client.js")),
        worker=Asset.of("worker.js", _static("worker.js")),
        licences=Asset.of("client-licences.txt", _static("client-licences.txt")),
        words_nl=Asset.of("words_nl.txt", (lists / "nl.txt").read_bytes()),
        words_en=Asset.of("words_en.txt", (lists / "en.txt").read_bytes()),
        not_dealt_nl=Asset.of("not_dealt_nl.txt", (lists / "not_dealt_nl.txt").read_bytes()),
        not_dealt_en=Asset.of("not_dealt_en.txt", (lists / "not_dealt_en.txt").read_bytes()),
    )


@functools.cache
def release_manifest() -> bytes:
    """Return the release manifest: the list of files that every site of this release sends."""
    return (importlib.resources.files("dropbox_app") / "release-manifest.json").read_bytes()


LEAVE_SCRIPT = _static("leave.js").decode("utf-8")
# A hash source, as a content security policy expects it.
LEAVE_SCRIPT_HASH = "'sha256-{}'".format(
    base64.b64encode(bytes.fromhex(sha256_hex(LEAVE_SCRIPT.encode()))).decode("ascii")
)
