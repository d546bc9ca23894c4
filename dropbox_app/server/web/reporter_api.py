"""The reporter API, for a browser that seals its messages itself (SPEC section 6).

The API exists only on a site whose settings allow sealing in the browser. Every call except the
first needs the access token. The token cannot open messages; the server looks up its hash. Unknown,
expired and withdrawn conversations get the same response.

An error has ``refused`` only if it is certain that nothing was stored: "gone" if there is no such
conversation or item, otherwise "other". A browser trusts no error without this field, because a
proxy may have sent the error after the message was stored.
"""

import re
from http import HTTPStatus

from flask import Blueprint, Response, request

from dropbox_app.protocol.encoding import Json, check_hex, from_line
from dropbox_app.protocol.errors import FormatError, KlankbordError
from dropbox_app.protocol.fields import text_of, texts_of
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import MAX_FILES
from dropbox_app.protocol.retrieval_code import access_id
from dropbox_app.server.errors import BadRequest, Gone, MailboxFull, StoreUnsure, Unauthorised
from dropbox_app.server.mailboxes.service import MAX_SEALED_MESSAGE, Conversation
from dropbox_app.server.mailboxes.validation import MAX_TO
from dropbox_app.server.store.interface import What
from dropbox_app.server.web.json_api import (
    answer,
    arguments,
    batch,
    body_pieces,
    identities,
    item_ids,
    nothing_here,
    number,
    refusal,
    sealed_file,
)
from dropbox_app.server.web.sites import current_site

OPENING = 1024  # maximum bytes of the request that opens a mailbox
BEARER = re.compile("Bearer ([0-9a-f]{64})")
JSON = "application/json"

blueprint = Blueprint("reporter_api", __name__)


@blueprint.errorhandler(KlankbordError)
def refuse(error: KlankbordError) -> Response:
    """Return an exception as JSON that says whether it is certain that nothing was stored."""
    if isinstance(error, StoreUnsure):
        return refusal(error)
    if isinstance(error, MailboxFull):
        return refusal(error, refused="other", full="mailbox")
    return refusal(error, refused="gone" if isinstance(error, Gone) else "other")


@blueprint.before_request
def check_site() -> Response | None:
    """Respond as if the API did not exist, unless the site lets browsers seal messages."""
    site = current_site()
    if not site.settings.reporter.seal_in_browser:
        return nothing_here()
    if not site.hosts.is_own_post(request):
        said = {"error": "this came from another site", "refused": "other"}
        return answer(said, HTTPStatus.FORBIDDEN)
    return None


@blueprint.post("/api/reports", provide_automatic_options=False)
def open_mailbox() -> Response:
    """POST reports: create a mailbox for files, which no desk sees until its report arrives."""
    try:
        given = json_body(OPENING)
        mailbox, access = (check_hex(text_of(given, key), 32) for key in ("mailbox", "access"))
        to = tuple(VerifyKey.from_hex(one) for one in texts_of(given, "to", MAX_TO, 1))
    except FormatError as error:
        raise BadRequest(str(error)) from None
    current_site().mailboxes.open_mailbox(mailbox=mailbox, access=access, to=to)
    return answer({})


@blueprint.post("/api/reports/<mailbox>", provide_automatic_options=False)
def post_report(mailbox: str) -> Response:
    """POST reports/MAILBOX?to=HEX.HEX: create the mailbox together with its sealed report."""
    access = given_access()
    to = identities(arguments("to")["to"])
    try:
        check_hex(mailbox, 32)
    except FormatError as error:
        raise BadRequest(str(error)) from None
    sealed = _body(MAX_SEALED_MESSAGE)
    current_site().mailboxes.submit(mailbox=mailbox, access=access, to=to, sealed=sealed)
    return answer({})


@blueprint.post("/api/conversation/messages", provide_automatic_options=False)
def post_message() -> Response:
    """POST conversation/messages?n=N&to=HEX.HEX&files=ID.ID: store a message with its files."""
    access = given_access()
    given = arguments("n", "to", *(["files"] if "files" in request.args else []))
    most = min(current_site().settings.limits.files_per_message, MAX_FILES)
    current_site().mailboxes.add(
        access=access,
        named=item_ids(given["files"], most) if "files" in given else (),
        n=number(given["n"]),
        to=identities(given["to"]),
        sealed=_body(MAX_SEALED_MESSAGE),
    )
    return answer({})


@blueprint.get("/api/conversation", provide_automatic_options=False)
def conversation() -> Response:
    """GET conversation: list the items on the server, and when they expire."""
    site = current_site()
    found = _conversation(given_access())
    return answer(
        {
            "mailbox": found.mailbox,
            "day": site.mailboxes.today().isoformat(),
            "last_added": found.last_added.isoformat(),
            "expires": found.expires.isoformat(),
            "items": [
                {
                    "id": item.id,
                    "what": item.what,
                    "author": item.author,
                    "n": item.n,
                    "day": item.day.isoformat(),
                    "size": item.size,
                }
                for item in found.items
            ],
        }
    )


@blueprint.get("/api/items", provide_automatic_options=False)
def items() -> Response:
    """GET items?ids=ID.ID: return sealed messages in this order, as many as fit; at least one."""
    access, wanted = given_access(), item_ids(arguments("ids")["ids"])
    found = _conversation(access)
    messages = {known.id for known in found.items if known.what == "message"}
    mailboxes = current_site().mailboxes
    return batch(mailboxes.item(found.mailbox, one) if one in messages else None for one in wanted)


@blueprint.get("/api/items/<item>", provide_automatic_options=False)
def item(item: str) -> Response:
    """GET items/ID: return a sealed message of this conversation."""
    return sealed_item(item, "message")


@blueprint.post("/api/conversation/withdrawal", provide_automatic_options=False)
def post_withdrawal() -> Response:
    """POST conversation/withdrawal?n=N&to=HEX.HEX: store the withdrawal, remove everything else."""
    access = given_access()
    given = arguments("n", "to")
    current_site().mailboxes.withdraw(
        access=access,
        n=number(given["n"]),
        to=identities(given["to"]),
        sealed=_body(MAX_SEALED_MESSAGE),
    )
    return answer({})


@blueprint.delete("/api/conversation", provide_automatic_options=False)
def withdraw_unseen() -> Response:
    """DELETE conversation: remove everything, if no counsellor can be notified."""
    current_site().mailboxes.withdraw(access=given_access(), n=0, to=(), sealed=None)
    return answer({})


def given_access() -> str:
    """Return the access id of the token. Raises Unauthorised if there is no token."""
    found = BEARER.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise Unauthorised("the access token is missing")
    return access_id(bytes.fromhex(found[1]))


def _conversation(access: str) -> Conversation:
    found = current_site().mailboxes.conversation(access)
    if found is None:
        raise Gone("no such conversation")
    return found


def json_body(limit: int) -> dict[str, Json]:
    """Return the body, a JSON line of at most ``limit`` bytes. Raises BadRequest, FormatError."""
    if request.mimetype != JSON:
        raise BadRequest(f"the body must be {JSON}")
    return from_line(_body(limit))


def sealed_item(item: str, what: What, start: int = 0) -> Response:
    """Return a sealed file of this conversation. Raises Gone if the file does not exist."""
    found = _conversation(given_access())
    if (item, what) not in {(known.id, known.what) for known in found.items}:
        raise Gone("no such item")
    opened = current_site().mailboxes.opened(found.mailbox, item)
    if opened is None:
        raise Gone("no such item")
    return sealed_file(opened, start)


def check_length() -> None:
    """Raise BadRequest unless the request gives the length of its body."""
    if request.content_length is None:
        raise BadRequest("a request must give the length of its body")


def _body(limit: int) -> bytes:
    """Return the complete body of at most ``limit`` bytes. Raises BadRequest, TooLarge."""
    check_length()
    return b"".join(body_pieces(limit))
