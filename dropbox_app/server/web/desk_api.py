"""``/api/site`` and the desk API: the only ways in besides the pages (SPEC sections 6 and 7).

A request says who asks by a signature over where, what and which body. Identity, token and
signature are checked before the body is read, the body's hash before anything is kept. Answers
are JSON, or the sealed file; an error is ``{"error": sentence}``, a 409 ``{"n": newest}``.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from itsdangerous import BadSignature, TimestampSigner

from dropbox_app.protocol import card as cards
from dropbox_app.protocol import desk_request, withdrawal
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.desk_request import TOKEN_SECONDS, Claim
from dropbox_app.protocol.encoding import MAX_INTEGER, check_hex, new_digest, sha256_hex
from dropbox_app.protocol.errors import FormatError, KlankbordError, RequestError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import BadRequest, Gone, OutOfStep, TooLarge, Unauthorised
from dropbox_app.server.mailboxes.service import MAX_SEALED_MESSAGE, Mailboxes, OpenFile
from dropbox_app.server.mailboxes.validation import MAX_TO
from dropbox_app.server.web.error_pages import api_status
from dropbox_app.server.web.views.front import of_site

SALT = "klankbord/v1/desk-token"
CHUNK = 64 * 1024
LISTED = 1_000  # mailboxes in one answer

_PREFIX = "/api/desk/"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


class _Tokens(TimestampSigner):
    """Timed tokens over the site id; the clock is an argument."""

    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        super().__init__(key, salt=SALT, key_derivation="hmac", digest_method=new_digest)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now())


def blueprint(here: Callable[[], "DeskApi"]) -> Blueprint:
    """The routes; ``here`` gives the views of the site that is asked for."""
    api = Blueprint("desk_api", __name__)
    routes: tuple[tuple[str, str, Callable[..., Response]], ...] = (
        ("GET", "/api/site", DeskApi.about),
        ("GET", _PREFIX + "challenge", DeskApi.challenge),
        ("GET", _PREFIX + "mailboxes", DeskApi.mailboxes),
        ("GET", _PREFIX + "inbox", DeskApi.inbox),
        ("GET", _PREFIX + "items/<item>", DeskApi.item),
        ("POST", _PREFIX + "items/<item>/fetched", DeskApi.fetched),
        ("PUT", _PREFIX + "mailboxes/<mailbox>/files/<item>", DeskApi.put_file),
        ("POST", _PREFIX + "mailboxes/<mailbox>/messages", DeskApi.post_message),
        ("POST", _PREFIX + "mailboxes/<mailbox>/withdrawal", DeskApi.post_withdrawal),
        ("PUT", _PREFIX + "card", DeskApi.put_card),
    )
    for method, rule, view in routes:
        name, there = view.__name__, of_site(here, view)
        api.add_url_rule(rule, name, there, methods=[method], provide_automatic_options=False)
    # Whatever else lies under /api/ answers in JSON too.
    api.add_url_rule(
        "/api/<path:rest>", "nothing", _nothing, methods=_METHODS, provide_automatic_options=False
    )
    api.before_app_request(_check_target)
    api.register_error_handler(KlankbordError, _refusal)
    return api


class DeskApi:
    """The views of one site; each proves who asks before it looks at anything.

    ``token_key`` is made before the workers fork: each takes the others' tokens.
    """

    def __init__(
        self,
        site: Site,
        mailboxes: Mailboxes,
        token_key: bytes,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._site = site
        self._mailboxes = mailboxes
        self._tokens = _Tokens(token_key, now)

    def about(self) -> Response:
        """GET /api/site: the same bytes for everybody; the cards byte for byte."""
        limits = self._site.settings.limits
        return _json(
            {
                "site": self._site.settings.site,
                "day": self._mailboxes.today().isoformat(),
                "limits": {
                    "text": limits.text,
                    "file": limits.file,
                    "files_per_message": limits.files_per_message,
                },
                "cards": [named.card.raw.decode("utf-8") for named in self._site.cards()],
            }
        )

    def challenge(self) -> Response:
        """GET challenge: a token for TOKEN_SECONDS and any number of calls."""
        token = self._tokens.sign(self._site.settings.site).decode("ascii")
        return _json({"token": token, "day": self._mailboxes.today().isoformat()})

    def mailboxes(self) -> Response:
        """GET mailboxes?after=ID: those whose reporter's newest message is for who asks.

        A page of them, in the order of their ids; without ``after`` from the first.
        """
        identity = self._asked_by()
        after = _id(_arguments("after")["after"]) if request.args else ""
        listed = self._mailboxes.listed(identity, after, LISTED + 1)
        return _json(
            {
                "mailboxes": [
                    {"id": m.id, "newest": [{"by": by, "n": n} for by, n in m.newest]}
                    for m in listed[:LISTED]
                ],
                "more": len(listed) > LISTED,
            }
        )

    def inbox(self) -> Response:
        """GET inbox?after=N: one page of this identity's own numbers."""
        identity = self._asked_by()
        after = _number(_arguments("after")["after"])
        rows, more = self._mailboxes.inbox(identity, after)
        items = [
            {"number": row.number, "mailbox": row.mailbox}
            | asdict(row.item)
            | {"day": row.item.day.isoformat()}
            for row in rows
        ]
        day = self._mailboxes.today().isoformat()
        store = self._mailboxes.store_id()
        return _json({"store": store, "day": day, "items": items, "more": more})

    def item(self, item: str) -> Response:
        """GET items/ID: the sealed file; 404 alike if there is none or it is somebody else's."""
        identity = self._asked_by()
        opened = self._mailboxes.item_for(identity, _id(item))
        if opened is None:
            raise Gone("no such item")
        response = Response(_pieces(opened), mimetype="application/octet-stream")
        response.content_length = opened.size
        response.call_on_close(opened.file.close)  # also when it was not read to the end
        return response

    def fetched(self, item: str) -> Response:
        """POST items/ID/fetched."""
        identity = self._asked_by()
        if not self._mailboxes.fetched(identity, _id(item)):
            raise Gone("no such item")
        return _json({})

    def post_message(self, mailbox: str) -> Response:
        """POST mailboxes/ID/messages?n=N&to=HEX.HEX with the sealed message."""
        claim = self._claim()
        arguments = _arguments("n", "to")
        body = _body(claim, MAX_SEALED_MESSAGE)
        self._mailboxes.reply(
            identity=claim.identity,
            mailbox=_id(mailbox),
            n=_number(arguments["n"]),
            to=_identities(arguments["to"]),
            sealed=body,
        )
        return _json({})

    def put_file(self, mailbox: str, item: str) -> Response:
        """PUT mailboxes/ID/files/ID: straight to its place, hashed on the way."""
        claim = self._claim()
        mailbox, item = _id(mailbox), _id(item)
        self._mailboxes.file_allowed(claim.identity, mailbox, request.content_length or 0)
        limit = sealed_length(attachment_size(self._site.settings.limits.file), MAX_TO + 1)
        with self._mailboxes.stage() as staged:
            for piece in _read(limit):
                staged.write(piece)
            _check_hash(claim, staged.digest())
            self._mailboxes.put_file(
                identity=claim.identity, mailbox=mailbox, item=item, staged=staged
            )
        return _json({})

    def post_withdrawal(self, mailbox: str) -> Response:
        """POST mailboxes/ID/withdrawal: a reporter's, for a server that lost it by a restore."""
        claim = self._claim()
        given = _body(claim, withdrawal.MAX_BYTES)
        self._mailboxes.given_back(claim.identity, _id(mailbox), given)
        return _json({})

    def put_card(self) -> Response:
        """PUT card: a newer one of who asks."""
        claim = self._claim()
        self._mailboxes.take_card(claim.identity, _body(claim, cards.MAX_BYTES))
        return _json({})

    def _asked_by(self) -> VerifyKey:
        """Who asks, for a request without a body."""
        claim = self._claim()
        _body(claim, 0)
        return claim.identity

    def _claim(self) -> Claim:
        """Who asks, proved. Everything that is wrong with it answers alike."""
        settings = self._site.settings
        try:
            claim = desk_request.parse_header(request.headers.get("Authorization", ""))
            signed = self._tokens.unsign(claim.token, max_age=TOKEN_SECONDS)
            desk_request.check(
                claim,
                origins=settings.desk_origins or settings.origins,
                site=settings.site,
                method=request.method,
                target=_target(),
            )
        except (RequestError, BadSignature):
            raise Unauthorised("the request is not authorised") from None
        if signed != settings.site.encode("ascii") or self._site.card_of(claim.identity) is None:
            raise Unauthorised("the request is not authorised")
        return claim


def _target() -> str:
    """Path and query as sent, not as decoded."""
    environ = request.environ
    target: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if target is None:
        query = request.query_string.decode("latin-1")
        target = request.path + (f"?{query}" if query else "")
    return target


def _check_target() -> Response | None:
    """Before any routing: what two programs might read in two ways is 400, never a redirect."""
    if not request.path.startswith(_PREFIX):
        return None
    try:
        desk_request.check_target(_target())
    except RequestError as error:
        return _json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
    return None


def _nothing(rest: str) -> Response:
    return _json({"error": "there is nothing here"}, HTTPStatus.NOT_FOUND)


def _refusal(error: KlankbordError) -> Response:
    if isinstance(error, OutOfStep):
        return _json({"n": error.newest}, HTTPStatus.CONFLICT)
    status = api_status(error)
    if status is None:
        raise error  # a fault of ours: it is logged, and answered by refusals
    return _json({"error": str(error)}, HTTPStatus(status))


def _json(value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Response(text, status, mimetype="application/json")


def _read(limit: int) -> Iterator[bytes]:
    """The body in pieces; TooLarge as soon as it is known to be longer than ``limit``."""
    if (request.content_length or 0) > limit:
        raise TooLarge(f"the body may be {limit} bytes")
    request.max_content_length = limit + 1  # instead of the pages' own limit
    size = 0
    while piece := request.stream.read(CHUNK):
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the body may be {limit} bytes")
        yield piece


def _body(claim: Claim, limit: int) -> bytes:
    """The whole body, proved to be the one that was signed."""
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
    """The query's arguments: exactly these, each once."""
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
