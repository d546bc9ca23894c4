"""What is said when something cannot be done: one table, calm pages, and the text kept.

No page echoes anything but what the person's own form held, and no log says more than the kind of
an exception and its line of code.
"""

from collections.abc import Sequence

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.errors import KlankbordError, NobodyToWriteTo, TooLong
from dropbox_app.server.errors import MailboxFull, SiteFull, StoreBusy, UnknownCounsellor
from dropbox_app.server.gate import Busy
from dropbox_app.server.web.forms import Problem, too_long
from dropbox_app.server.web.languages import LANGUAGES, words
from dropbox_app.server.web.rendering import Pages, language_of

# What stops a message, the sentence for it, and the status of the page that keeps the text.
_REFUSALS: tuple[tuple[type[KlankbordError], str, int], ...] = (
    (Busy, "errors.busy", 503),
    (StoreBusy, "errors.busy", 503),
    (SiteFull, "errors.full", 503),
    (MailboxFull, "errors.mailbox_full", 409),
    (NobodyToWriteTo, "errors.nobody", 503),
    (UnknownCounsellor, "errors.nobody", 503),
)
REFUSED: tuple[type[KlankbordError], ...] = (TooLong, *(refusal for refusal, _, _ in _REFUSALS))

_PAGES = (400, 403, 404, 405, 413, 415, 421, 500, 503)
_AREAS = (("text", "conversation.text"), ("remark", "consent.text"))
OWN_WORDS = tuple(name for name, _ in _AREAS)
# Never shown again: a token of a session that may be over; the language button.
_DROPPED = {"csrf_token", "switch", "code", *OWN_WORDS}


def explain(error: KlankbordError, field: str = "text") -> tuple[Problem, int]:
    """The sentence and the status for one of REFUSED."""
    if isinstance(error, TooLong):
        return too_long(error, field), 422
    for refusal, key, status in _REFUSALS:
        if isinstance(error, refusal):
            return Problem("", key), status
    raise error


class Refusals:
    """The pages that keep what was typed, and those for everything that went wrong."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def register(self, app: Flask) -> None:
        """Answer every error of the app outside the desk API."""
        app.register_error_handler(HTTPException, self._http)
        app.register_error_handler(500, self._http)

    def again(
        self,
        lang: str,
        *,
        action: str,
        lead: str,
        heading: str = "again.expired_title",
        problems: dict[str, str] | None = None,
        ask_code: bool = True,
        button: str = "again.send",
        only: Sequence[str] | None = None,
        status: int = 403,
    ) -> Response:
        """The form that was posted, once more, with a field for the code.

        ``lead`` is a sentence, not a key. ``only``: the names of the fields that are kept.
        """
        kept = [
            (name, clean_text(value))
            for name, value in request.form.items(multi=True)
            if only is None or name in only
        ]
        areas = [
            (name, label, value) for name, label in _AREAS for known, value in kept if known == name
        ]
        html = self._pages.make(
            "again.html",
            lang,
            title="title.message",
            here=action.split("/", 2)[2],
            switch_form="main-form",
            action=action,
            heading=heading,
            lead=lead,
            problems=problems or {},
            hidden=[(name, value) for name, value in kept if name not in _DROPPED],
            areas=areas[: len(_AREAS)],
            ask_code=ask_code,
            code=dict(kept).get("code", ""),
            button=button,
        )
        return self._pages.answer(html, status)

    def _http(self, error: HTTPException) -> Response:
        """The page of an HTTP error. Its own description is never shown."""
        if request.path.startswith("/api/"):
            return Response(status=error.code or 500)
        status = error.code if error.code in _PAGES else 400 if (error.code or 500) < 500 else 500
        lang = language_of(request.path) or LANGUAGES[0]
        typed = {403: OWN_WORDS, 500: (*OWN_WORDS, "code")}.get(status, ())
        if request.method == "POST" and _holds(typed):
            return self._kept(lang, status)
        html = self._pages.make("error.html", lang, title="title.info", code=status)
        answer = self._pages.answer(html, status)
        if status == 405 and error.get_response().headers.get("Allow"):
            answer.headers["Allow"] = error.get_response().headers["Allow"]
        return answer

    def _kept(self, lang: str, status: int) -> Response:
        """What was typed, after a refusal or a fault of ours, ready to be sent once more."""
        told = words(lang)
        first = request.path.endswith(("/report", "/return"))
        if status == 403:
            heading, lead = "error.403.title", told.say("errors.origin")
        elif first:
            heading, lead = "again.unsure_title", told.say("errors.unsent")
        else:
            heading, lead = "again.unsure_title", told.say("again.unsure")
        return self.again(
            lang,
            action=request.path,
            lead=lead,
            heading=heading,
            ask_code=not first or request.path.endswith("/return"),
            button="report.send" if first and "text" in request.form else "again.send",
            # Another page may have filled in its own code: one press would lead to its mailbox.
            only=OWN_WORDS if status == 403 else None,
            status=status,
        )


def _holds(names: Sequence[str]) -> bool:
    """Whether something was typed in one of these fields, in a form of this site."""
    if language_of(request.path) is None or request.mimetype not in (
        "application/x-www-form-urlencoded",
        "",
    ):
        return False
    return any(request.form.get(name) for name in names)
