"""Files in the conversation: a page to send them, and downloads of received ones.

Files have their own page, so that sending a text never has to wait for a file. The page explains
what a file can reveal before the reporter chooses one. A file is accepted or rejected before any
byte of it is kept (see ``uploads``).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, request
from flask.globals import request_ctx
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]  # ships no types
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import abort

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.errors import AgeError, FormatError, KlankbordError
from dropbox_app.protocol.messages import MAX_FILES, REPORTER, Attachment
from dropbox_app.server.errors import Gone, Moved
from dropbox_app.server.reporter.agent import Addressing, Enclosed, ReporterView
from dropbox_app.server.web.error_pages import REFUSED, file_problem_of, is_own_token
from dropbox_app.server.web.filenames import disposition
from dropbox_app.server.web.forms import Problem, WriteForm, missing_text, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.request_class import PlainRequest
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site
from dropbox_app.server.web.uploads import (
    DROPPED,
    FORM_BYTES,
    MULTIPART,
    FilesBroken,
    NotInSession,
    Taking,
    TooManyFiles,
    read_form,
)
from dropbox_app.server.web.view_models.thread import Teller
from dropbox_app.server.web.views.entering import (
    ask_code_again,
    conversation_gone,
    enter_session,
    session_ended,
)

_NOT_SENT: tuple[type[KlankbordError], ...] = (Gone, Moved, *REFUSED)

blueprint = Blueprint("files", __name__)


@blueprint.get(f"{LANG}/files")
def show(lang: str) -> Response:
    """Show the page on which files are chosen."""
    root = current_session().root
    return ask_code_again(lang) if root is None else _page(lang, root)


@blueprint.post(f"{LANG}/files")
def send(lang: str) -> Response:
    """Send a message with files; if the form contains only text, show the page with that text."""
    site = current_site()
    if request.mimetype != MULTIPART:
        return _open_page(lang)
    given = _plain_request()
    root = current_session().root
    length = request.content_length or 0

    def admit(fields: Mapping[str, str]) -> Addressing:
        text = clean_text(fields.get("text", ""))
        if root is None or not is_own_token(fields.get("csrf_token", "")):
            raise NotInSession
        if length > _longest_form():
            raise TooManyFiles
        addressing = site.agent.addressing(root, lang, text)
        site.mailboxes.room_for_files(addressing.access, length, whole=True)
        return addressing

    def room(addressing: Addressing) -> None:
        site.mailboxes.room_for_files(addressing.access, 0, whole=True)

    unnamed = words(lang).say("files.unnamed")
    with Taking(admit, room, site.mailboxes.stage, site.settings.limits, unnamed) as taking:
        taking.reading = length <= DROPPED * _longest_form()
        boundary = given.mimetype_params.get("boundary", "")
        fields, complete = read_form(given.stream, boundary, taking)
        given.fields_with_files = ImmutableMultiDict(fields)
        if not complete:
            taking.refuse(FilesBroken())
        if (
            root is None
            or isinstance(taking.error, NotInSession)
            or not is_own_token(fields.get("csrf_token", ""))
        ):
            return _ask_code(lang)
        text = clean_text(fields.get("text", ""))
        if taking.error is not None:
            return _not_taken(lang, root, text, taking.error)
        return _write(lang, root, text, taking.enclosed(_number(fields.get("after", ""))))


def _write(lang: str, root: bytes, text: str, files: Enclosed | None) -> Response:
    if files is None and missing_text(text):
        problem = Problem("files", "files.none")
        return _page(lang, root, text, [problem], 422)
    try:
        current_site().agent.write(
            root, lang=lang, kind="message", body={"text": text}, files=files
        )
    except _NOT_SENT as error:
        return _not_taken(lang, root, text, error)
    return see_other(f"/{lang}/conversation?sent=1#last")


def _open_page(lang: str) -> Response:
    """Return the page for a form that contains only text."""
    form = WriteForm()
    text = clean_text(form.text.data or "")
    if "switch" in request.form:
        root = current_session().root
        return _ask_code(lang) if root is None else _page(lang, root, text)
    lead = words(lang).say("files.code_first")
    entered = enter_session(lang, form, lead, "return.open")
    return entered if isinstance(entered, Response) else _page(lang, entered, text)


def _ask_code(lang: str) -> Response:
    """Return the form for the code with the text kept. The form leads to the files page."""
    lead = words(lang).say("files.code_first")
    return session_ended(lang, lead, button="return.open")


def _not_taken(lang: str, root: bytes, text: str, error: KlankbordError) -> Response:
    """Return the page again with the text, and the reason why the files were rejected."""
    if isinstance(error, Gone):
        return conversation_gone(lang)
    problem, status = _problem_of(error, lang)
    return _page(lang, root, text, [problem], status)


def _problem_of(error: KlankbordError, lang: str) -> tuple[Problem, int]:
    return file_problem_of(
        error, _most_files(), words(lang).size(current_site().settings.limits.file)
    )


def _longest_form() -> int:
    """Return the length of the longest valid form, in bytes."""
    return _most_files() * current_site().settings.limits.file + FORM_BYTES


def _page(
    lang: str,
    root: bytes,
    text: str = "",
    problems: list[Problem] | None = None,
    status: int = 200,
) -> Response:
    site = current_site()
    view = site.agent.view(root)
    if view is None:
        return conversation_gone(lang)
    told = words(lang)
    people = site.pages.people()
    open_now = {person.identity for person in people.open}
    receivers = [i for i in view.next_wanted if i in open_now]
    problems = list(problems or [])
    can = _why_not_now(root, lang) if receivers else Problem("", "files.nobody")
    if can is not None:  # no file field is shown, so the problem cannot refer to it
        problems = [replace(p, field="" if p.field == "files" else p.field) for p in problems]
        problems = problems or [can]
    newest = view.thread.newest.get(REPORTER)
    html = site.pages.render(
        "files.html",
        lang,
        title="title.message",
        here="files",
        people=people,
        whom=view.next_wanted,
        switch_form="main-form",
        csrf_token=generate_csrf(),
        can=can is None,
        receivers=Teller(view.thread, people, told).names(receivers),
        after=newest.n if newest else 0,
        most=_most_files(),
        largest=told.size(site.settings.limits.file),
        text=text,
        chosen=request.method == "POST" and request.mimetype == MULTIPART,
        problems=shown(problems, told),
    )
    return site.pages.respond(html, status)


def _why_not_now(root: bytes, lang: str) -> Problem | None:
    """Return the reason why no file can be accepted now, however small, or None."""
    site = current_site()
    try:
        access = site.agent.addressing(root, lang, "").access
        site.mailboxes.room_for_files(access, 0, whole=True)
    except Gone:
        return None
    except REFUSED as error:
        return replace(_problem_of(error, lang)[0], field="")
    return None


@blueprint.get(f"{LANG}/files/<item>")
def download(lang: str, item: str) -> Response:
    """Send a counsellor's file; for the reporter's own file, show whether it is still intact."""
    site = current_site()
    root = current_session().root
    if root is None:
        return ask_code_again(lang)
    view = site.agent.view(root)
    if view is None:
        return conversation_gone(lang)
    found = view.file(item)
    if found is None:
        abort(404)
    message, attachment = found
    if message.by == REPORTER:
        return _own(lang, root, view, attachment)
    try:
        pieces = site.agent.open_file(root, attachment)
    except Gone:
        return _about(lang, attachment, "files.lost", 410)
    except (AgeError, FormatError):
        return _about(lang, attachment, "files.altered_theirs", 409)
    answer = Response(pieces, content_type="application/octet-stream")
    answer.content_length = attachment.size
    fallback = words(lang).say("files.unnamed")
    answer.headers["Content-Disposition"] = disposition(attachment.name, fallback)
    return answer


def _own(lang: str, root: bytes, view: ReporterView, attachment: Attachment) -> Response:
    whole = current_site().agent.check_file(root, attachment)
    if whole is None:
        return _about(lang, attachment, "files.lost", 410)
    return _about(lang, attachment, "files.whole" if whole else "files.altered")


def _about(lang: str, attachment: Attachment, key: str, status: int = 200) -> Response:
    site = current_site()
    values: dict[str, Any] = {"name": attachment.name, "said": words(lang).say(key)}
    html = site.pages.render("file.html", lang, title="title.read", **values)
    return site.pages.respond(html, status)


def _most_files() -> int:
    """Return how many files one message may have."""
    return min(current_site().settings.limits.files_per_message, MAX_FILES)


def _plain_request() -> PlainRequest:
    given = request_ctx.request
    if not isinstance(given, PlainRequest):
        raise TypeError("the app has another request class")
    return given


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
