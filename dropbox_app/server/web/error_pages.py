"""Error responses: a table of all refusals, and calm pages that keep the typed text.

A page repeats only the contents of the person's own form. The log contains the type of an exception
and its line of code, and nothing else.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from flask import Flask, Response, g, request
from flask_wtf.csrf import validate_csrf  # type: ignore[import-untyped]  # ships no types
from werkzeug.exceptions import HTTPException, MisdirectedRequest
from wtforms import ValidationError  # type: ignore[import-untyped]  # ships no types

from dropbox_app.protocol.errors import (
    CardError,
    KlankbordError,
    NobodyToWriteTo,
    RequestError,
    TooLong,
)
from dropbox_app.server.config.languages import ALWAYS
from dropbox_app.server.errors import (
    BadRequest,
    BadShape,
    Gone,
    MailboxFull,
    Moved,
    NobodyToTell,
    NotYours,
    OutOfStep,
    SiteFull,
    StoreBusy,
    StoreError,
    StoreUnsure,
    TooLarge,
    Unauthorised,
    UnknownCounsellor,
)
from dropbox_app.server.reporter.kdf_limiter import Busy
from dropbox_app.server.web.forms import Problem, too_long, typed
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.rendering import PageRenderer
from dropbox_app.server.web.routing import language_of
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.uploads import (
    MULTIPART,
    FilesBroken,
    FileTooLarge,
    NotInSession,
    TooManyFiles,
)


@dataclass(frozen=True)
class Refusal:
    """How the pages and the APIs respond to one kind of exception.

    ``key`` is the key of the sentence on a page; ``files`` is a different key for the files page,
    if needed. ``page`` and ``api`` are the statuses, or None where the exception cannot occur. An
    API sends the exception's own message.
    """

    kind: type[KlankbordError]
    key: str = ""
    page: int | None = None
    api: int | None = None
    files: str = ""


# All exceptions that refuse a request. Any other exception is a fault of the server: status 500.
REFUSALS = (
    Refusal(TooLong, "errors.text_long", 422),
    Refusal(Busy, "errors.busy", 503, 503),
    Refusal(StoreUnsure, "errors.busy_read", 503, 503),  # it does not say that nothing was sent
    Refusal(StoreBusy, "errors.busy", 503, 503),
    Refusal(SiteFull, "errors.full", 503, 507, "files.full"),
    Refusal(MailboxFull, "errors.mailbox_full", 409, 507, "files.mailbox_full"),
    Refusal(NobodyToWriteTo, "errors.nobody", 503),
    Refusal(NobodyToTell, "withdraw.nobody_told", 409),
    Refusal(UnknownCounsellor, "errors.nobody", 503, 403),
    Refusal(Gone, "again.gone", 410, 404),
    Refusal(FileTooLarge, page=413, files="files.large"),
    Refusal(TooManyFiles, page=413, files="files.many"),
    Refusal(FilesBroken, page=400, files="files.broken"),
    Refusal(Moved, page=409, files="files.moved"),
    Refusal(NotInSession, page=403, files="files.code_first"),
    Refusal(OutOfStep, api=409),
    Refusal(NotYours, api=403),
    Refusal(BadShape, api=422),
    Refusal(CardError, api=422),
    Refusal(Unauthorised, api=401),
    Refusal(BadRequest, api=400),
    Refusal(RequestError, api=400),
    Refusal(TooLarge, api=413),
)
# After these exceptions, the posted form is shown again with the sentence.
REFUSED = tuple(row.kind for row in REFUSALS if row.page and row.key and row.kind is not Gone)
PAGES = (400, 403, 404, 405, 413, 415, 421, 500, 503)  # statuses with texts of their own

_AREAS = (("text", "conversation.text"), ("remark", "consent.text"))
OWN_WORDS = tuple(name for name, _ in _AREAS)
_FORMS = ("report", "return", "conversation", "consent", "counsellor", "withdraw", "files")
# The fields to keep if the server could not handle the post.
_WORTH = (*OWN_WORDS, "code", "answer", "sure")


def problem_of(error: KlankbordError, field: str = "text") -> tuple[Problem, int]:
    """Return the problem to show and the status for an error in REFUSED; raise any other error."""
    if isinstance(error, TooLong):
        return too_long(error, field), 422
    for row in REFUSALS:
        if row.page and row.key and isinstance(error, row.kind):
            return Problem("", row.key), row.page
    raise error


def file_problem_of(error: KlankbordError, most: int, largest: str) -> tuple[Problem, int]:
    """Return the problem and the status for the files page.

    ``most`` is the number of files that a message may have. ``largest`` is the limit of one file,
    as text.
    """
    for row in REFUSALS:
        if row.page and row.files and isinstance(error, row.kind):
            problem = Problem("files", row.files)
            if isinstance(error, FileTooLarge):
                problem = replace(problem, values={"name": error.name, "size": largest})
            elif isinstance(error, TooManyFiles):
                problem = replace(problem, values={"count": most}, number=most)
            return problem, row.page
    return problem_of(error)


def api_status(error: KlankbordError) -> int | None:
    """Return the status in the APIs; None if the exception is a fault of the server."""
    return next((row.api for row in REFUSALS if row.api and isinstance(error, row.kind)), None)


def handle_errors(app: Flask, neutral: PageRenderer) -> None:
    """Respond to every error outside the APIs with a page of the requested site.

    ``neutral`` renders the page if no site has this address, or if the site is closed. ``neutral``
    also renders the page if the site's own page fails, for example because of the same fault.
    """

    def with_pages(make: Callable[[PageRenderer], Response]) -> Response:
        site = g.get("site")
        if site is not None:
            try:
                return make(site.pages)
            except (OSError, StoreError):
                pass
        return make(neutral)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        return with_pages(lambda pages: _http_error_page(pages, error))

    @app.errorhandler(Busy)
    @app.errorhandler(StoreBusy)
    def busy(error: KlankbordError) -> Response:
        key = problem_of(error)[0].key
        return with_pages(lambda pages: _busy_page(pages, key))


def form_again(
    pages: PageRenderer,
    lang: str,
    *,
    action: str,
    lead: str,
    heading: str = "again.expired_title",
    problems: dict[str, str] | None = None,
    ask_code: bool = True,
    token: str = "",
    button: str = "again.send",
    only: Sequence[str] | None = None,
    status: int = 403,
) -> Response:
    """Return the posted form again, with a field for the code.

    ``lead`` is a sentence, not a key. ``only`` lists the names of the fields to keep. ``token`` is
    the token of a session that continues; in that case the code is not needed.
    """
    kept = [pair for pair in typed(request.form) if only is None or pair[0] in only]
    areas = [
        (name, label, value) for name, label in _AREAS for known, value in kept if known == name
    ]
    html = pages.render(
        "again.html",
        lang,
        title="title.message",
        here=action.split("/", 2)[2],
        switch_form="main-form",
        action=action,
        heading=heading,
        lead=lead,
        problems=problems or {},
        hidden=[(name, value) for name, value in kept if name not in ("code", *OWN_WORDS)],
        areas=areas,
        ask_code=ask_code and not token,
        token=token,
        code=dict(kept).get("code", ""),
        button=button,
    )
    return pages.respond(html, status)


def _http_error_page(pages: PageRenderer, error: HTTPException) -> Response:
    """Return the page for an HTTP error. The error's own description is never shown."""
    if request.path.startswith("/api/"):
        return _json_error(error.code or 500)
    status = error.code if error.code in PAGES else 400 if (error.code or 500) < 500 else 500
    lang = _language(pages)
    worth = {403: OWN_WORDS, 500: (*OWN_WORDS, "code"), 503: _WORTH}.get(status, ())
    if _was_posted(worth):
        return _posted_form_again(pages, lang, status)
    lost = status == MisdirectedRequest.code
    html = pages.render("error.html", lang, title="title.info", code=status, lost=lost)
    answer = pages.respond(html, status)
    if status == 405 and error.get_response().headers.get("Allow"):
        answer.headers["Allow"] = error.get_response().headers["Allow"]
    return answer


def _language(pages: PageRenderer) -> str:
    """Return the language of the requested page if the site has it, otherwise Dutch."""
    found = language_of(request.path)
    return found if found in pages.settings.languages else ALWAYS[0]


def _busy_page(pages: PageRenderer, key: str) -> Response:
    """Return the "busy" response: JSON, the posted form again with this sentence, or the page."""
    if request.path.startswith("/api/"):
        return _json_error(503)
    lang = _language(pages)
    if _was_posted(_WORTH):
        return _posted_form_again(pages, lang, 503, key)
    html = pages.render("error.html", lang, title="title.info", code=503)
    return pages.respond(html, 503)


def _posted_form_again(
    pages: PageRenderer, lang: str, status: int, busy: str = "errors.busy"
) -> Response:
    """Show the typed text after an error, ready to be sent again.

    ``busy`` is the key of the sentence for status 503.
    """
    told = words(lang)
    first = request.path.endswith(("/report", "/return"))
    if status == 403:
        heading, lead = "error.403.title", told.say("errors.origin")
    elif status == 503:
        reading = request.path.endswith("/return")
        heading = "error.503.title"
        lead = told.say("errors.busy_read" if reading else busy)
    elif first:
        heading, lead = "again.unsure_title", told.say("errors.unsent")
    else:
        heading, lead = "again.unsure_title", told.say("again.unsure")
    return form_again(
        pages,
        lang,
        action=request.path,
        lead=lead,
        heading=heading,
        ask_code=not first or request.path.endswith("/return"),
        token="" if first or status == 403 else own_token(),
        button="report.send" if first and "text" in request.form else "again.send",
        # Another site's page may have filled in its own code. One click would then lead the
        # reporter to that mailbox.
        only=OWN_WORDS if status == 403 else None,
        status=status,
    )


def own_token() -> str:
    """Return the posted token if it belongs to the current session, otherwise ""."""
    token = request.form.get("csrf_token", "")
    return token if current_session().root is not None and is_own_token(token) else ""


def is_own_token(token: str) -> bool:
    """Return whether a token belongs to the current session."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True


def _json_error(status: int) -> Response:
    code = HTTPStatus(status)
    said = json.dumps({"error": code.phrase.lower()})
    return Response(said, code, mimetype="application/json")


def _was_posted(names: Sequence[str]) -> bool:
    """Return whether one of these fields was filled in, in a form posted from this site."""
    path = request.path.split("/")
    if request.method != "POST" or len(path) != 3 or path[2] not in _FORMS:
        return False
    if request.mimetype == MULTIPART and getattr(request, "fields_with_files", None) is None:
        return False  # the form was not read, and is not read now, because it may contain files
    return language_of(request.path) is not None and any(request.form.get(name) for name in names)
