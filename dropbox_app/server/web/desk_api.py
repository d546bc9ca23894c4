"""``/api/site`` and the desk API (SPEC sections 6 and 7), the only access besides the pages.

A desk signs the address, the target and the body hash of each request. Identity, token and
signature are checked before the body is read. The hash of the body is checked before anything is
stored. Responses are JSON or the sealed file. An error is ``{"error": sentence}``; a 409 is ``{"n":
newest}``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from dropbox_app.protocol import card as cards
from dropbox_app.protocol import desk_request, withdrawal
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.desk_request import Claim
from dropbox_app.protocol.encoding import MAX_INTEGER, check_hex, sha256_hex
from dropbox_app.protocol.errors import FormatError, KlankbordError, RequestError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.errors import BadRequest, Gone, OutOfStep, TooLarge, Unauthorised
from dropbox_app.server.mailboxes.service import MAX_SEALED_MESSAGE, OpenFile
from dropbox_app.server.mailboxes.validation import MAX_TO
from dropbox_app.server.web.error_pages import api_status
from dropbox_app.server.web.hosts import DESK_PATHS
from dropbox_app.server.web.sites import current_site

CHUNK = 64 * 1024
LISTED = 1_000  # mailboxes in one response

_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]

blueprint = Blueprint("desk_api", __name__)


@blueprint.get("/api/site", provide_automatic_options=False)
def about() -> Response:
    """GET /api/site: the site's public data and the exact bytes of its cards, for everybody."""
    site = current_site()
    limits = site.settings.limits
    return _json(
        {
            "site": site.settings.site,
            "day": site.mailboxes.today().isoformat(),
            "response_days": site.settings.response_days,
            "limits": {
                "text": limits.text,
                "file": limits.file,
                "files_per_message": limits.files_per_message,
            },
            "cards": [named.card.raw.decode("utf-8") for named in site.config.cards()],
        }
    )


@blueprint.get(DESK_PATHS + "challenge", provide_automatic_options=False)
def challenge() -> Response:
    """GET challenge: a token that is valid for TOKEN_SECONDS and any number of calls."""
    site = current_site()
    return _json({"token": site.desk_tokens.new(), "day": site.mailboxes.today().isoformat()})


@blueprint.get(DESK_PATHS + "mailboxes", provide_automatic_options=False)
def mailboxes() -> Response:
    """GET mailboxes?after=ID: mailboxes whose newest reporter message is for this counsellor.

    Returns one page of them, sorted by id; without ``after``, the first page.
    """
    identity = _asked_by()
    after = _id(_arguments("after")["after"]) if request.args else ""
    listed = current_site().mailboxes.listed(identity, after, LISTED + 1)
    return _json(
        {
            "mailboxes": [
                {"id": m.id, "newest": [{"by": by, "n": n} for by, n in m.newest]}
                for m in listed[:LISTED]
            ],
            "more": len(listed) > LISTED,
        }
    )


@blueprint.get(DESK_PATHS + "inbox", provide_automatic_options=False)
def inbox() -> Response:
    """GET inbox?after=N: one page of this identity's inbox, by its own numbers."""
    site = current_site()
    identity = _asked_by()
    after = _number(_arguments("after")["after"])
    rows, more = site.mailboxes.inbox(identity, after)
    items = [
        {"number": row.number, "mailbox": row.mailbox}
        | asdict(row.item)
        | {"day": row.item.day.isoformat()}
        for row in rows
    ]
    day = site.mailboxes.today().isoformat()
    store = site.mailboxes.store_id()
    return _json({"store": store, "day": day, "items": items, "more": more})


@blueprint.get(DESK_PATHS + "items/<item>", provide_automatic_options=False)
def item(item: str) -> Response:
    """GET items/ID: the sealed file. A missing file and another desk's file get the same 404."""
    identity = _asked_by()
    opened = current_site().mailboxes.item_for(identity, _id(item))
    if opened is None:
        raise Gone("no such item")
    response = Response(_pieces(opened), mimetype="application/octet-stream")
    response.content_length = opened.size
    response.call_on_close(opened.file.close)  # closes the file even if it was not read to the end
    return response


@blueprint.post(DESK_PATHS + "items/<item>/fetched", provide_automatic_options=False)
def fetched(item: str) -> Response:
    """POST items/ID/fetched: record that the desk has the item on its disk."""
    identity = _asked_by()
    if not current_site().mailboxes.fetched(identity, _id(item)):
        raise Gone("no such item")
    return _json({})


@blueprint.post(DESK_PATHS + "mailboxes/<mailbox>/messages", provide_automatic_options=False)
def post_message(mailbox: str) -> Response:
    """POST mailboxes/ID/messages?n=N&to=HEX.HEX with the sealed message."""
    claim = _claim()
    arguments = _arguments("n", "to")
    body = _body(claim, MAX_SEALED_MESSAGE)
    current_site().mailboxes.reply(
        identity=claim.identity,
        mailbox=_id(mailbox),
        n=_number(arguments["n"]),
        to=_identities(arguments["to"]),
        sealed=body,
    )
    return _json({})


@blueprint.put(DESK_PATHS + "mailboxes/<mailbox>/files/<item>", provide_automatic_options=False)
def put_file(mailbox: str, item: str) -> Response:
    """PUT mailboxes/ID/files/ID: a sealed file, written to disk and hashed as it arrives."""
    site = current_site()
    claim = _claim()
    mailbox, item = _id(mailbox), _id(item)
    site.mailboxes.file_allowed(claim.identity, mailbox, request.content_length or 0)
    limit = sealed_length(attachment_size(site.settings.limits.file), MAX_TO + 1)
    with site.mailboxes.stage() as staged:
        for piece in _read(limit):
            staged.write(piece)
        _check_hash(claim, staged.digest())
        site.mailboxes.put_file(identity=claim.identity, mailbox=mailbox, item=item, staged=staged)
    return _json({})


@blueprint.post(DESK_PATHS + "mailboxes/<mailbox>/withdrawal", provide_automatic_options=False)
def post_withdrawal(mailbox: str) -> Response:
    """POST mailboxes/ID/withdrawal: a reporter's withdrawal that a restored server lost."""
    claim = _claim()
    given = _body(claim, withdrawal.MAX_BYTES)
    current_site().mailboxes.given_back(claim.identity, _id(mailbox), given)
    return _json({})


@blueprint.put(DESK_PATHS + "card", provide_automatic_options=False)
def put_card() -> Response:
    """PUT card: a newer card of this counsellor."""
    claim = _claim()
    current_site().mailboxes.take_card(claim.identity, _body(claim, cards.MAX_BYTES))
    return _json({})


def _asked_by() -> VerifyKey:
    """Return the counsellor who signed a request that has no body."""
    claim = _claim()
    _body(claim, 0)
    return claim.identity


def _claim() -> Claim:
    """Return the verified claim from the header. All faults in it get the same response."""
    site = current_site()
    settings = site.settings
    try:
        claim = desk_request.parse_header(request.headers.get("Authorization", ""))
        desk_request.check(
            claim,
            origins=settings.desk_origins or settings.origins,
            site=settings.site,
            method=request.method,
            target=_target(),
        )
    except RequestError:
        raise Unauthorised("the request is not authorised") from None
    if not site.desk_tokens.is_valid(claim.token) or site.config.card_of(claim.identity) is None:
        raise Unauthorised("the request is not authorised")
    return claim


def _target() -> str:
    """Return the path and query as they were sent, without decoding."""
    environ = request.environ
    target: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if target is None:
        query = request.query_string.decode("latin-1")
        target = request.path + (f"?{query}" if query else "")
    return target


@blueprint.before_app_request
def check_target() -> Response | None:
    """Return a 400 response for a target that two programs could read differently."""
    if not request.path.startswith(DESK_PATHS):
        return None
    try:
        desk_request.check_target(_target())
    except RequestError as error:
        return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
    return None


@blueprint.route("/api/<path:rest>", methods=_METHODS, provide_automatic_options=False)
def nothing(rest: str) -> Response:
    """Return a JSON response for any other request under /api/."""
    return _json({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)


@blueprint.errorhandler(KlankbordError)
def refusal(error: KlankbordError) -> Response:
    """Return an error of a view as JSON with its status."""
    if isinstance(error, OutOfStep):
        return _json({"n": error.newest}, HTTPStatus.CONFLICT)
    status = api_status(error)
    if status is None:
        raise error  # a fault of the server: ``error_pages`` logs it and responds
    return _json({"error": str(error)}, HTTPStatus(status))


def _json(value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Response(text, status, mimetype="application/json")


def _read(limit: int) -> Iterator[bytes]:
    """Yield the body in pieces. Raises TooLarge if it is longer than ``limit`` bytes."""
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the body may be {limit} bytes")
    request.max_content_length = limit + 1  # replaces the limit for the pages
    size = 0
    while piece := request.stream.read(CHUNK):
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the body may be {limit} bytes")
        yield piece


def _body(claim: Claim, limit: int) -> bytes:
    """Return the whole body. Raises Unauthorised if its hash is not the signed one."""
    body = b"".join(_read(limit))
    _check_hash(claim, sha256_hex(body))
    return body


def _check_hash(claim: Claim, digest: str) -> None:
    if claim.body_hash != digest:
        raise Unauthorised("the body is not the one that was signed")


def _pieces(opened: OpenFile) -> Iterator[bytes]:
    with opened.file:
        while piece := opened.file.read(CHUNK):
            yield piece


def _arguments(*names: str) -> dict[str, str]:
    """Return the query's arguments.

    Raises BadRequest unless each of ``names`` occurs exactly once.
    """
    if sorted(key for key, _ in request.args.items(multi=True)) != sorted(names):
        raise BadRequest(f"the query wants {' and '.join(names)}, each once")
    return {name: request.args[name] for name in names}


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_INTEGER:
        raise BadRequest("not a number")
    return int(text)


def _id(text: str) -> str:
    try:
        return check_hex(text, 32)
    except FormatError:
        raise Gone("no such item") from None


def _identities(text: str) -> tuple[VerifyKey, ...]:
    try:
        return tuple(VerifyKey.from_hex(part) for part in text.split("."))
    except FormatError:
        raise BadRequest("to is no list of identities in hex") from None
