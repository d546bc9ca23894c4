"""Sealed files of the reporter API: uploads, whole or in parts, and downloads (SPEC section 6).

Files have their own path, because a transfer can take a long time.
"""

from flask import Blueprint, Response, request

from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.protocol.encoding import check_hex
from dropbox_app.protocol.errors import FormatError, KlankbordError
from dropbox_app.protocol.fields import texts_of
from dropbox_app.server.errors import BadRequest
from dropbox_app.server.mailboxes.file_parts import LOOK
from dropbox_app.server.mailboxes.validation import longest
from dropbox_app.server.store.interface import Staged
from dropbox_app.server.web.json_api import answer, arguments, body_pieces, item_id, number
from dropbox_app.server.web.reporter_api import (
    check_length,
    check_site,
    given_access,
    json_body,
    refuse,
    sealed_item,
)
from dropbox_app.server.web.sites import current_site

_NAMED = 128  # bytes that name one part in the list of them, at most
_HEX = 64  # letters of a part's id

blueprint = Blueprint("reporter_files", __name__)
blueprint.register_error_handler(KlankbordError, refuse)
blueprint.before_request(check_site)


@blueprint.put("/api/files/<item>", provide_automatic_options=False)
def put_file(item: str) -> Response:
    """PUT files/ID: store a sealed file, which no desk sees before the message that names it."""
    access, item = given_access(), item_id(item)
    mailboxes = current_site().mailboxes
    with mailboxes.stage() as staged:
        _receive(access, staged, _longest())
        mailboxes.attach(access=access, item=item, staged=staged)
    return answer({})


@blueprint.put("/api/files/parts/<part>", provide_automatic_options=False)
def put_part(part: str) -> Response:
    """PUT files/parts/ID: store a part of a sealed file, until the file is joined."""
    access, part = given_access(), item_id(part)
    mailboxes = current_site().mailboxes
    with mailboxes.stage() as staged:
        _receive(access, staged, min(FILE_PART, _longest()))
        mailboxes.attach_part(access=access, part=part, staged=staged)
    return answer({})


@blueprint.post("/api/files/<item>", provide_automatic_options=False)
def join_file(item: str) -> Response:
    """POST files/ID: join a sealed file from parts, or list the missing parts."""
    access, item = given_access(), item_id(item)
    check_length()
    mailboxes = current_site().mailboxes
    mailboxes.room_for_files(access, 0)
    most = -(-_longest() // FILE_PART)
    try:
        parts = texts_of(json_body(_NAMED * (most + 1)), "parts", most, 1)
        for part in parts:
            check_hex(part, _HEX // 2)
    except FormatError as error:
        raise BadRequest(str(error)) from None
    return answer({"missing": mailboxes.join(access=access, item=item, parts=parts)})


@blueprint.get("/api/files/<item>", provide_automatic_options=False)
def get_file(item: str) -> Response:
    """GET files/ID?from=N: return a sealed attachment without its first N bytes."""
    start = number(arguments("from")["from"]) if request.args else 0
    return sealed_item(item, "attachment", start)


def _longest() -> int:
    """Return the length of the longest sealed file that is accepted."""
    return longest(current_site().settings.limits.file)


def _receive(access: str, staged: Staged, limit: int) -> None:
    """Read a body of at most ``limit`` bytes; check the free space before and during the read."""
    check_length()
    mailboxes = current_site().mailboxes
    mailboxes.room_for_files(access, request.content_length or 0)
    looked = 0
    for piece in body_pieces(limit):
        staged.write(piece)
        if staged.size - looked >= LOOK:
            looked = staged.size
            mailboxes.room_for_files(access, 0)
