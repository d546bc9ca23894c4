"""Files in the conversation: a page that sends them, and downloads of those that came.

A page of its own: words never wait for a file, and what files can betray is read before one is
chosen. A file is decided upon before a byte of it is kept, see ``uploads``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flask import Flask, Response, request
from flask.globals import request_ctx
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import abort

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.errors import AgeError, FormatError, KlankbordError
from dropbox_app.protocol.messages import MAX_FILES, REPORTER, Attachment
from dropbox_app.server.errors import Gone, Moved
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.reporter.agent import Addressing, Enclosed, ReporterAgent, ReporterView
from dropbox_app.server.web.error_pages import REFUSED, explain_files, right_token
from dropbox_app.server.web.filenames import disposition
from dropbox_app.server.web.forms import Problem, WriteForm, missing_text, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.rendering import Pages
from dropbox_app.server.web.security_headers import UPLOAD, PlainRequest
from dropbox_app.server.web.session import current
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
from dropbox_app.server.web.views.conversation import ConversationPages
from dropbox_app.server.web.views.front import LANG, of_site, see_other

_NOT_SENT: tuple[type[KlankbordError], ...] = (Gone, Moved, *REFUSED)


class FilePages:
    """The views."""

    def __init__(
        self,
        pages: Pages,
        agent: ReporterAgent,
        mailboxes: Mailboxes,
        conversation: ConversationPages,
    ) -> None:
        self._pages = pages
        self._agent = agent
        self._mailboxes = mailboxes
        self._conversation = conversation
        self._limits = pages.settings.limits
        self._most = min(self._limits.files_per_message, MAX_FILES)

    @classmethod
    def register(cls, app: Flask, here: Callable[[], "FilePages"]) -> None:
        """Put the views at their addresses, as ``FrontPages`` does."""
        for rule, name, view, method in (
            (f"{LANG}/files", "files-get", cls.look, "GET"),
            (f"{LANG}/files", UPLOAD, cls.send, "POST"),
            (f"{LANG}/files/<item>", "file", cls.give, "GET"),
        ):
            app.add_url_rule(rule, name, of_site(here, view), methods=[method])

    # sending

    def look(self, lang: str) -> Response:
        """The page on which files are chosen."""
        root = current().root
        return self._conversation.ask(lang) if root is None else self._page(lang, root)

    def send(self, lang: str) -> Response:
        """A message with files; or, where the form holds only words, the page with these."""
        if request.mimetype != MULTIPART:
            return self._come(lang)
        given = _given()
        root = current().root
        length = request.content_length or 0

        def admit(fields: Mapping[str, str]) -> Addressing:
            text = clean_text(fields.get("text", ""))
            if root is None or not right_token(fields.get("csrf_token", "")):
                raise NotInSession
            if length > self._whole():
                raise TooManyFiles
            addressing = self._agent.addressing(root, lang, text)
            self._mailboxes.room_for_files(addressing.access, length)
            return addressing

        def room(addressing: Addressing) -> None:
            self._mailboxes.room_for_files(addressing.access, 0)

        unnamed = words(lang).say("files.unnamed")
        with Taking(admit, room, self._mailboxes.stage, self._limits, unnamed) as taking:
            taking.reading = length <= DROPPED * self._whole()
            boundary = given.mimetype_params.get("boundary", "")
            fields, complete = read_form(given.stream, boundary, taking)
            given.fields_with_files = ImmutableMultiDict(fields)
            if not complete:
                taking.refuse(FilesBroken())
            if (
                root is None
                or isinstance(taking.error, NotInSession)
                or not right_token(fields.get("csrf_token", ""))
            ):
                return self._over(lang)
            text = clean_text(fields.get("text", ""))
            if taking.error is not None:
                return self._stopped(lang, root, text, taking.error)
            return self._write(lang, root, text, taking.enclosed(_number(fields.get("after", ""))))

    def _write(self, lang: str, root: bytes, text: str, files: Enclosed | None) -> Response:
        if files is None and missing_text(text):
            problem = Problem("files", "files.none")
            return self._page(lang, root, text, [problem], 422)
        try:
            self._agent.write(root, lang=lang, kind="message", body={"text": text}, files=files)
        except _NOT_SENT as error:
            return self._stopped(lang, root, text, error)
        return see_other(f"/{lang}/conversation?sent=1")

    def _come(self, lang: str) -> Response:
        """From the conversation with words under way, from the other language, or with a code."""
        form = WriteForm()
        text = clean_text(form.text.data or "")
        if "switch" in request.form:
            root = current().root
            return self._over(lang) if root is None else self._page(lang, root, text)
        lead = words(lang).say("files.code_first")
        entered = self._conversation.entered(lang, form, lead, "return.open")
        return entered if isinstance(entered, Response) else self._page(lang, entered, text)

    def _over(self, lang: str) -> Response:
        """The text, and the code asked for: that leads to the page where files are chosen."""
        lead = words(lang).say("files.code_first")
        return self._conversation.over(lang, lead, button="return.open")

    def _stopped(self, lang: str, root: bytes, text: str, error: KlankbordError) -> Response:
        """The page again with the text, and why the files were not taken."""
        if isinstance(error, Gone):
            return self._conversation.gone(lang)
        problem, status = self._explain(error, lang)
        return self._page(lang, root, text, [problem], status)

    def _explain(self, error: KlankbordError, lang: str) -> tuple[Problem, int]:
        return explain_files(error, self._most, words(lang).size(self._limits.file))

    def _whole(self) -> int:
        """The longest form that can be right."""
        return self._most * self._limits.file + FORM_BYTES

    def _page(
        self,
        lang: str,
        root: bytes,
        text: str = "",
        problems: list[Problem] | None = None,
        status: int = 200,
    ) -> Response:
        view = self._agent.view(root)
        if view is None:
            return self._conversation.gone(lang)
        told = words(lang)
        people = self._pages.people()
        open_now = {person.identity for person in people.open}
        receivers = [i for i in view.next_wanted if i in open_now]
        problems = list(problems or [])
        can = self._can(root, lang) if receivers else Problem("", "files.nobody")
        if can is not None:  # then there is no field for files that a problem could lead to
            problems = [replace(p, field="" if p.field == "files" else p.field) for p in problems]
            problems = problems or [can]
        newest = view.thread.newest.get(REPORTER)
        html = self._pages.make(
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
            most=self._most,
            largest=told.size(self._limits.file),
            text=text,
            chosen=request.method == "POST" and request.mimetype == MULTIPART,
            problems=shown(problems, told),
        )
        return self._pages.answer(html, status)

    def _can(self, root: bytes, lang: str) -> Problem | None:
        """Why no file can be taken now, however small; None if one can."""
        try:
            self._mailboxes.room_for_files(self._agent.addressing(root, lang, "").access, 0)
        except Gone:
            return None
        except REFUSED as error:
            return replace(self._explain(error, lang)[0], field="")
        return None

    # giving out

    def give(self, lang: str, item: str) -> Response:
        """A counsellor's file, as a download; of an own one, whether it is still what was sent."""
        root = current().root
        if root is None:
            return self._conversation.ask(lang)
        view = self._agent.view(root)
        if view is None:
            return self._conversation.gone(lang)
        found = view.file(item)
        if found is None:
            abort(404)
        message, attachment = found
        if message.by == REPORTER:
            return self._own(lang, root, view, attachment)
        try:
            pieces = self._agent.open_file(root, attachment)
        except Gone:
            return self._about(lang, attachment, "files.lost", 410)
        except (AgeError, FormatError):
            return self._about(lang, attachment, "files.altered_theirs", 409)
        answer = Response(pieces, content_type="application/octet-stream")
        answer.content_length = attachment.size
        fallback = words(lang).say("files.unnamed")
        answer.headers["Content-Disposition"] = disposition(attachment.name, fallback)
        return answer

    def _own(self, lang: str, root: bytes, view: ReporterView, attachment: Attachment) -> Response:
        whole = self._agent.check_file(root, attachment)
        if whole is None:
            return self._about(lang, attachment, "files.lost", 410)
        return self._about(lang, attachment, "files.whole" if whole else "files.altered")

    def _about(self, lang: str, attachment: Attachment, key: str, status: int = 200) -> Response:
        values: dict[str, Any] = {"name": attachment.name, "said": words(lang).say(key)}
        html = self._pages.make("file.html", lang, title="title.read", **values)
        return self._pages.answer(html, status)


def _given() -> PlainRequest:
    given = request_ctx.request
    if not isinstance(given, PlainRequest):
        raise TypeError("the app has another request class")
    return given


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
