"""Send the bytes of a reporter's file to the page that displays it."""

from collections.abc import Iterator

from flask import Response, request, stream_with_context
from werkzeug.exceptions import Forbidden

_HEADERS = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def response(pieces: Iterator[bytes], size: int) -> Response:
    """Return the file's bytes, but only if a script fetches them. Raises Forbidden.

    As a page, picture, script or style, a reporter's file would run or be decoded at the desk's own
    address. The request occupies the desk until the last byte is sent.
    """
    if request.headers.get("Sec-Fetch-Dest") != "empty":
        raise Forbidden
    made = Response(
        stream_with_context(pieces), mimetype="application/octet-stream", headers=_HEADERS
    )
    made.content_length = size
    return made
