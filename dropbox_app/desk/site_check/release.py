"""The files of this release that the desk has: manifest, templates, catalogues and script.

All these files belong to the same package as the desk. The manifest states the digest of the other
files.
"""

import functools
import importlib.resources
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any

from dropbox_app.desk.errors import Damaged, Unfit
from dropbox_app.protocol.encoding import new_digest, sha256_hex

FILE = "release-manifest.json"
ADDRESS = f"/{FILE}"  # where a site serves it
MAX_BYTES = 256 * 1024
MOST_FILES = 100  # of a manifest; a release has about ten
# What malformed JSON can raise; OverflowError comes from an infinite number.
_MALFORMED = ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError
# The only addresses and versions that the desk accepts from a site: it requests and shows them.
_PLAIN = re.compile("/[A-Za-z0-9._/-]{1,200}")
_VERSION = re.compile("[0-9A-Za-z.+-]{1,40}")
_WEB = "server/web"  # the folder of the site's files in the package


@dataclass(frozen=True)
class Manifest:
    """A release manifest.

    ``files``: the SHA-256 of each file by its address. ``headers``: the headers of every response,
    in order. ``policies``: the content security policies that differ from the one in ``headers``,
    by page. ``always``: the files that every site serves; the other files are served only if
    browsers may seal.
    """

    raw: bytes
    version: str
    policy: str
    policies: Mapping[str, str]
    files: Mapping[str, str]
    always: tuple[str, ...]
    kinds: Mapping[str, str]
    headers: tuple[tuple[str, str], ...]
    over_https: tuple[tuple[str, str], ...]
    statuses: Mapping[str, int]
    templates: str

    @classmethod
    def read(cls, raw: bytes) -> "Manifest":
        """Parse a manifest. Raises Unfit."""
        try:
            if len(raw) > MAX_BYTES:
                raise ValueError("too long")
            whole = json.loads(raw)
            webcat, own = whole["manifest"], whole["klankbord"]
            files, always = _texts(webcat["files"]), tuple(map(_text, own["always"]))
            version = _text(webcat["version"])
            if len(files) > MOST_FILES or not all(map(_PLAIN.fullmatch, files)):
                raise ValueError("files that no release has")
            if not set(always) <= set(files) or not _VERSION.fullmatch(version):
                raise ValueError("no list or version of a release")
            return cls(
                raw=raw,
                version=version,
                policy=_text(webcat["default_csp"]),
                policies=_texts(webcat["extra_csp"]),
                files=files,
                always=always,
                kinds=_texts(own["content_types"]),
                headers=_pairs(own["headers"]),
                over_https=_pairs(own["headers_over_https"]),
                statuses={_text(key): int(value) for key, value in own["statuses"].items()},
                templates=_text(own["templates"]),
            )
        except _MALFORMED:
            raise Unfit("This is no release manifest.") from None


@dataclass(frozen=True)
class Release:
    """A release with everything from which its pages are made."""

    manifest: Manifest
    templates: Mapping[str, str]
    texts: Mapping[str, Mapping[str, tuple[str, ...]]]  # language -> key -> plural forms
    script: str

    def file_name(self, stem: str) -> str:
        """Return the full name of a file, given its beginning, such as ``style``."""
        return next(
            address.rpartition("/")[2]
            for address in self.manifest.files
            if address.startswith(f"/static/{stem}-") and len(address) == _length(address, stem)
        )


def _length(address: str, stem: str) -> int:
    """Return the length of an address that consists of stem, 16 hex digits and file extension."""
    return len(f"/static/{stem}-") + 16 + len(address) - address.rindex(".")


def digest(sources: Mapping[str, bytes]) -> str:
    """Return the digest over the templates, the catalogues and the script, by their names."""
    hashed = new_digest()
    for name in sorted(sources):
        hashed.update(f"{sha256_hex(sources[name])}  {name}\n".encode())
    return hashed.hexdigest()


def sources() -> dict[str, bytes]:
    """Return the files from which the pages are made, by their names in the package."""
    found = {}
    for part in ("templates", "translations", "static/leave.js"):
        for name, file in _under(_web().joinpath(part), part):
            found[name] = file.read_bytes()
    return found


def _web() -> Traversable:
    return importlib.resources.files("dropbox_app").joinpath(_WEB)


def _under(at: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    if at.is_file():
        if name.endswith((".html", ".po", ".js")):
            yield name, at
        return
    for one in at.iterdir():
        yield from _under(one, f"{name}/{one.name}")


@functools.cache
def own_manifest() -> Manifest:
    """Return the manifest of this release. Raises Damaged."""
    try:
        raw = importlib.resources.files("dropbox_app").joinpath(FILE).read_bytes()
        return Manifest.read(raw)
    except (OSError, Unfit):
        raise Damaged(
            "This installation has no list of the files of its release. Install it again."
        ) from None


@functools.cache
def own() -> Release:
    """Return this release. Raises Damaged if its files do not match its manifest."""
    manifest, found = own_manifest(), sources()
    if digest(found) != manifest.templates:
        raise Damaged(
            "The pages in this installation are not those of its release, so no site can be "
            "compared with them. Install it again."
        )
    start, end = "translations/", "/LC_MESSAGES/messages.po"
    return Release(
        manifest,
        {
            name.removeprefix("templates/"): raw.decode("utf-8")
            for name, raw in found.items()
            if name.startswith("templates/")
        },
        {
            name.removeprefix(start).removesuffix(end): _texts_of(raw)
            for name, raw in found.items()
            if name.startswith(start)
        },
        found["static/leave.js"].decode("utf-8"),
    )


def _texts_of(raw: bytes) -> dict[str, tuple[str, ...]]:
    from babel.messages.pofile import read_po  # the desk's other commands start without it

    texts = {}
    for message in read_po(io.BytesIO(raw), abort_invalid=True):
        key, said = message.id, message.string
        if key:
            name = key if isinstance(key, str) else key[0]
            texts[name] = (said,) if isinstance(said, str) else tuple(said or ())
    return texts


def _text(value: Any) -> str:  # noqa: ANN401 - a value that somebody else wrote as JSON
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> dict[str, str]:  # noqa: ANN401 - a value that somebody else wrote as JSON
    return {_text(key): _text(one) for key, one in value.items()}


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - a value that somebody else wrote as JSON
    return tuple((_text(name), _text(one)) for name, one in value)
