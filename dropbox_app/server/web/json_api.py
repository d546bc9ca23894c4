"""Code shared by the two APIs: JSON responses, query arguments, and bodies that are read in pieces.

A response is JSON or a sealed file. An error is ``{"error": sentence}``, a 409 is ``{"n":
newest}``.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Response, request

from dropbox_app.protocol.batch import pack
from dropbox_app.protocol.encoding import MAX_INTEGER, check_hex
from dropbox_app.protocol.errors import FormatError, KlankbordError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.errors import BadRequest, Gone, OutOfStep, TooLarge
from dropbox_app.server.mailboxes.service import OpenFile
from dropbox_app.server.web.error_pages import api_status

CHUNK = 64 * 1024
MOST_IDS = 50  # an address with more could be too long for nginx
MOST_AT_ONCE = 1024 * 1024  # bytes of the messages in one response

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")


def answer(value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a response in JSON."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Response(text, status, mimetype="application/json")


def nothing_here() -> Response:
    """Return the response for an address that does not exist."""
    return answer({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)


def refusal(error: KlankbordError, **more: str) -> Response:
    """Return an exception raised by a view as JSON with its status and these fields."""
    if isinstance(error, OutOfStep):
        return answer({"n": error.newest}, HTTPStatus.CONFLICT)
    status = api_status(error)
    if status is None:
        raise error  # a fault of the server, which error_pages logs and answers
    return answer({"error": str(error), **more}, HTTPStatus(status))


def sealed_file(opened: OpenFile, start: int = 0) -> Response:
    """Return a sealed file, which is read in pieces, and closed even if reading stops early.

    ``start``: the number of bytes to skip. Raises BadRequest if the file is shorter.
    """
    if start > opened.item.size:
        opened.file.close()
        raise BadRequest("the file is shorter")
    if start == opened.item.size:
        opened.file.close()
        return Response(b"", mimetype="application/octet-stream")
    response = Response(_pieces(opened, start), mimetype="application/octet-stream")
    response.content_length = opened.item.size - start
    response.call_on_close(opened.file.close)
    return response


def _pieces(opened: OpenFile, start: int) -> Iterator[bytes]:
    with opened.file:
        try:
            opened.file.seek(start)
        except io.UnsupportedOperation:
            # The pieces of this store are opened from the first one on.
            while start and (dropped := opened.file.read(min(start, CHUNK))):
                start -= len(dropped)
        while piece := opened.file.read(CHUNK):
            yield piece


def batch(found: Iterable[bytes | None]) -> Response:
    """Return sealed messages in this order, as many as fit, and at least one. None is a gap."""
    sent: list[bytes] = []
    room = MOST_AT_ONCE
    for sealed in found:
        room -= len(sealed or b"")
        if sent and room < 0:
            break
        sent.append(sealed or b"")
    return Response(pack(sent), mimetype="application/octet-stream")


def body_pieces(limit: int) -> Iterator[bytes]:
    """Yield the body in pieces. Raises TooLarge if the body exceeds ``limit`` bytes."""
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the body may be {limit} bytes")
    request.max_content_length = limit + 1  # replaces the limit for the pages
    size = 0
    while piece := request.stream.read(CHUNK):
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the body may be {limit} bytes")
        yield piece


def arguments(*names: str) -> dict[str, str]:
    """Return the query's arguments. Raises BadRequest unless each name occurs exactly once."""
    if sorted(key for key, _ in request.args.items(multi=True)) != sorted(names):
        raise BadRequest(f"the query wants {' and '.join(names)}, each once")
    return {name: request.args[name] for name in names}


def number(text: str) -> int:
    """Return a whole number of 0 or more from a query. Raises BadRequest."""
    if not _NUMBER.fullmatch(text) or int(text) > MAX_INTEGER:
        raise BadRequest("not a number")
    return int(text)


def item_id(text: str) -> str:
    """Return an id. Raises Gone for any other text, as for an item that does not exist."""
    try:
        return check_hex(text, 32)
    except FormatError:
        raise Gone("no such item") from None


def item_ids(text: str, most: int = MOST_IDS) -> list[str]:
    """Return the 1 to ``most`` different ids in ``ID.ID``. Raises BadRequest."""
    ids = text.split(".")
    try:
        good = len({check_hex(one, 32) for one in ids}) == len(ids) <= most
    except FormatError:
        good = False
    if not good:
        raise BadRequest(f"ids is no list of 1 to {most} different ids")
    return ids


def identities(text: str) -> tuple[VerifyKey, ...]:
    """Return the identities in ``HEX.HEX``. Raises BadRequest."""
    try:
        return tuple(VerifyKey.from_hex(part) for part in text.split("."))
    except FormatError:
        raise BadRequest("to is no list of identities in hex") from None
