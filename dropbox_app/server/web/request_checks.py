"""Checks every request to a site before its view is called: target, size, form and origin.

A request that fails a check is aborted here, and answered by ``error_pages``.
"""

from flask import abort, g, request
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from dropbox_app.server.reporter import kdf_limiter
from dropbox_app.server.web.hosts import Hosts
from dropbox_app.server.web.uploads import FORM_BYTES, MULTIPART

FORM = "application/x-www-form-urlencoded"
UPLOAD = "files.send"  # the one endpoint that takes files
FORM_FIELDS = 100  # the report has about 40; more would only cost work


def check_request() -> None:
    """Check the request, once ``g.site`` is set."""
    if g.site is None:
        return
    if not request.environ.get("PATH_INFO", "").startswith("/"):
        abort(BadRequest.code)  # werkzeug would redirect, and repeat the host and query
    if request.method in ("GET", "HEAD") and kdf_limiter.late():
        raise kdf_limiter.Busy("the wait for a thread was too long")
    if request.method == "POST" and not request.path.startswith("/api/"):
        _check_post(g.site.hosts)


def _check_post(hosts: Hosts) -> None:
    if request.endpoint == UPLOAD and request.mimetype == MULTIPART:
        if not hosts.is_own_post(request):
            abort(Forbidden.code)
        # The view checks the size before it reads.
        request.max_content_length = (request.content_length or 0) + 1
        return
    if request.content_length is not None and request.content_length > FORM_BYTES:
        abort(RequestEntityTooLarge.code)
    if request.mimetype not in (FORM, ""):
        abort(UnsupportedMediaType.code)
    body = request.get_data()
    # An incomplete post is refused: otherwise half a report could be kept, under a code that nobody
    # saw.
    if len(body) != (request.content_length or 0) or body.count(b"&") >= FORM_FIELDS:
        abort(BadRequest.code)
    if not hosts.is_own_post(request):
        abort(Forbidden.code)
    # Without a session only a code takes long, and it has a limiter of its own.
    if kdf_limiter.late() and request.cookies:
        raise kdf_limiter.Busy("the wait for a thread was too long")
