"""``/api/site`` and the desk API (SPEC sections 6 and 7).

A desk signs the address, the target and the body hash of each request. Identity, token and
signature are checked before the body is read. The hash of the body is checked before anything is
stored. Responses are JSON or the sealed file. An error is ``{"error": sentence}``; a 409 is ``{"n":
newest}``.
"""

from dataclasses import asdict
from http import HTTPStatus

from flask import Blueprint, Response, request

from dropbox_app.protocol import card as cards
from dropbox_app.protocol import desk_request, withdrawal
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.desk_request import Claim
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import KlankbordError, RequestError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.errors import Gone, Unauthorised
from dropbox_app.server.mailboxes.service import MAX_SEALED_MESSAGE
from dropbox_app.server.mailboxes.validation import MAX_TO
from dropbox_app.server.web.hosts import DESK_PATHS
from dropbox_app.server.web.json_api import (
    MOST_AT_ONCE,
    answer,
    arguments,
    batch,
    body_pieces,
    identities,
    item_id,
    item_ids,
    nothing_here,
    number,
    refusal,
    sealed_file,
)
from dropbox_app.server.web.sites import current_site

LISTED = 1_000  # mailboxes in one response

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]

blueprint = Blueprint("desk_api", __name__)
blueprint.register_error_handler(KlankbordError, refusal)


@blueprint.get("/api/site", provide_automatic_options=False)
def about() -> Response:
    """GET /api/site: the site's public data and the exact bytes of its cards, for everybody."""
    site = current_site()
    limits = site.settings.limits
    return answer(
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
    return answer({"token": site.desk_tokens.new(), "day": site.mailboxes.today().isoformat()})


@blueprint.get(DESK_PATHS + "mailboxes", provide_automatic_options=False)
def mailboxes() -> Response:
    """GET mailboxes?after=ID: mailboxes whose newest reporter message is for this counsellor.

    Returns one page of the list, sorted by id; without ``after``, the first page.
    """
    identity = _asked_by()
    after = item_id(arguments("after")["after"]) if request.args else ""
    listed = current_site().mailboxes.listed(identity, after, LISTED + 1)
    return answer(
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
    after = number(arguments("after")["after"])
    rows, more = site.mailboxes.inbox(identity, after)
    items = [
        {"number": row.number, "mailbox": row.mailbox}
        | asdict(row.item)
        | {"day": row.item.day.isoformat()}
        for row in rows
    ]
    day = site.mailboxes.today().isoformat()
    store = site.mailboxes.store_id()
    return answer({"store": store, "day": day, "items": items, "more": more})


@blueprint.get(DESK_PATHS + "items", provide_automatic_options=False)
def items() -> Response:
    """GET items?ids=ID.ID: return sealed messages in this order, as many as fit; at least one.

    A missing message, a file, and an item of another desk all give an empty item.
    """
    identity = _asked_by()
    wanted = item_ids(arguments("ids")["ids"])
    return batch(current_site().mailboxes.messages_for(identity, wanted, MOST_AT_ONCE))


@blueprint.get(DESK_PATHS + "items/<item>", provide_automatic_options=False)
def item(item: str) -> Response:
    """GET items/ID: the sealed file. A missing file and another desk's file get the same 404."""
    identity = _asked_by()
    opened = current_site().mailboxes.item_for(identity, item_id(item))
    if opened is None:
        raise Gone("no such item")
    return sealed_file(opened)


@blueprint.post(DESK_PATHS + "items/fetched", provide_automatic_options=False)
def fetched() -> Response:
    """POST items/fetched?ids=ID.ID: record that the desk has these items on its disk.

    Ids of other desks' items, and of items that do not exist, are ignored.
    """
    identity = _asked_by()
    current_site().mailboxes.fetched(identity, item_ids(arguments("ids")["ids"]))
    return answer({})


@blueprint.post(DESK_PATHS + "mailboxes/<mailbox>/messages", provide_automatic_options=False)
def post_message(mailbox: str) -> Response:
    """POST mailboxes/ID/messages?n=N&to=HEX.HEX with the sealed message."""
    claim = _claim()
    given = arguments("n", "to")
    body = _body(claim, MAX_SEALED_MESSAGE)
    current_site().mailboxes.reply(
        identity=claim.identity,
        mailbox=item_id(mailbox),
        n=number(given["n"]),
        to=identities(given["to"]),
        sealed=body,
    )
    return answer({})


@blueprint.put(DESK_PATHS + "mailboxes/<mailbox>/files/<item>", provide_automatic_options=False)
def put_file(mailbox: str, item: str) -> Response:
    """PUT mailboxes/ID/files/ID: a sealed file, written to disk and hashed as it arrives."""
    site = current_site()
    claim = _claim()
    mailbox, item = item_id(mailbox), item_id(item)
    site.mailboxes.file_allowed(claim.identity, mailbox, request.content_length or 0)
    limit = sealed_length(attachment_size(site.settings.limits.file), MAX_TO + 1)
    with site.mailboxes.stage() as staged:
        for piece in body_pieces(limit):
            staged.write(piece)
        _check_hash(claim, staged.digest())
        site.mailboxes.put_file(identity=claim.identity, mailbox=mailbox, item=item, staged=staged)
    return answer({})


@blueprint.post(DESK_PATHS + "mailboxes/<mailbox>/withdrawal", provide_automatic_options=False)
def post_withdrawal(mailbox: str) -> Response:
    """POST mailboxes/ID/withdrawal: a reporter's withdrawal that a restored server lacks."""
    claim = _claim()
    given = _body(claim, withdrawal.MAX_BYTES)
    current_site().mailboxes.given_back(claim.identity, item_id(mailbox), given)
    return answer({})


@blueprint.put(DESK_PATHS + "card", provide_automatic_options=False)
def put_card() -> Response:
    """PUT card: a newer card of this counsellor."""
    claim = _claim()
    current_site().mailboxes.take_card(claim.identity, _body(claim, cards.MAX_BYTES))
    return answer({})


def _asked_by() -> VerifyKey:
    """Return the counsellor who signed a request that has no body."""
    claim = _claim()
    _body(claim, 0)
    return claim.identity


def _claim() -> Claim:
    """Return the verified claim from the header. All faults in the claim get the same response."""
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
        return answer({"error": str(error)}, HTTPStatus.BAD_REQUEST)
    return None


@blueprint.route("/api/<path:rest>", methods=_METHODS, provide_automatic_options=False)
def nothing(rest: str) -> Response:
    """Respond in JSON to any other request under /api/."""
    return nothing_here()


def _body(claim: Claim, limit: int) -> bytes:
    """Return the complete body. Raises Unauthorised if it differs from the signed body."""
    body = b"".join(body_pieces(limit))
    _check_hash(claim, sha256_hex(body))
    return body


def _check_hash(claim: Claim, digest: str) -> None:
    if claim.body_hash != digest:
        raise Unauthorised("the body is not the one that was signed")
