"""Check every request to a site before its view runs: target, size, form and origin.

A request that fails a check is aborted, and ``error_pages`` responds to it.
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
UPLOAD = "files.send"  # the only endpoint that accepts files
FORM_FIELDS = 100  # the report has about 40; more would only cost time


def check_request() -> None:
    """Check the request, after ``g.site`` was set."""
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
    # An incomplete post is rejected. Otherwise half a report could be stored, under a code that
    # nobody saw.
    if len(body) != (request.content_length or 0) or body.count(b"&") >= FORM_FIELDS:
        abort(BadRequest.code)
    if not hosts.is_own_post(request):
        abort(Forbidden.code)
    # Without a session only a code takes long, and codes have their own limiter.
    if kdf_limiter.late() and request.cookies:
        raise kdf_limiter.Busy("the wait for a thread was too long")
