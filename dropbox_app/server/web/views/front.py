"""The pages before a session: what everybody gets alike, the report, and the way back in.

A page without a posted form is the same bytes for every visitor, see ``stills``.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Flask, Response, request

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.messages import ANSWERS
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import Busy
from dropbox_app.server.web.error_pages import REFUSED, explain
from dropbox_app.server.web.forms import (
    CodeCheckForm,
    CodeForm,
    Problem,
    ReportForm,
    read_code,
    shown,
)
from dropbox_app.server.web.i18n import LANGUAGES, words
from dropbox_app.server.web.page_cache import Still
from dropbox_app.server.web.rendering import TYPING, Pages
from dropbox_app.server.web.session import OneCookie, current
from dropbox_app.server.web.view_models.counsellors import People
from dropbox_app.server.web.views.code import CodePage
from dropbox_app.server.web.views.info import INFO, info_stills

_Views = TypeVar("_Views")

LANG = f"/<any({', '.join(LANGUAGES)}):lang>"


def of_site(here: Callable[[], _Views], view: Callable[..., Response]) -> Callable[..., Response]:
    """A view for whichever site is asked for: ``here`` gives its views, ``view`` is a method."""

    def answer(**given: str) -> Response:
        return view(here(), **given)

    return answer


@dataclass(frozen=True)
class Posted:
    """What a report form held, to be shown again."""

    text: str = ""
    counsellor: str = ""
    answers: Mapping[str, Any] = field(default_factory=lambda: dict.fromkeys(ANSWERS, ()))

    @property
    def answered(self) -> bool:
        """Whether any optional question was answered."""
        return any(self.answers.values())

    def __bool__(self) -> bool:
        return bool(self.text or self.counsellor or self.answered)


@dataclass(frozen=True)
class Question:
    """An optional question, with its answers in words."""

    name: str
    many: bool
    options: tuple[tuple[str, str], ...]


class FrontPages:
    """The views before a session."""

    def __init__(self, pages: Pages, agent: ReporterAgent, cookie: OneCookie) -> None:
        self._pages = pages
        self._agent = agent
        self._cookie = cookie
        self._code = CodePage(pages, agent)
        onions = tuple(o for o in pages.settings.origins if o.endswith(".onion"))
        pages.keep(
            (
                Still("choose.html", None),
                Still("landing.html", ""),
                Still("safety.html", "safety", context=lambda *_: {"onions": onions}),
                Still("report.html", "report", "title.message", _empty_report, typing=True),
                Still("return.html", "return", "title.read", _empty_return, typing=True),
                Still("done.html", "withdrawn"),
                *info_stills(),
            )
        )

    @classmethod
    def register(cls, app: Flask, here: Callable[[], "FrontPages"]) -> None:
        """Put the views at their addresses; ``here`` gives those of the site that is asked for."""
        for rule, view, methods in (
            ("/", cls.choose, ["GET"]),
            (LANG, cls.bare, ["GET"]),
            (f"{LANG}/", cls.landing, ["GET"]),
            (f"{LANG}/safety", cls.safety, ["GET"]),
            (f"{LANG}/code", cls.code, ["GET"]),
            (f"{LANG}/code", cls.check_code, ["POST"]),
            (f"{LANG}/report", cls.report, ["GET"]),
            (f"{LANG}/report", cls.tell, ["POST"]),
            (f"{LANG}/return", cls.come_back, ["GET"]),
            (f"{LANG}/return", cls.enter, ["POST"]),
            (f"{LANG}/withdrawn", cls.withdrawn, ["GET"]),
            (f"{LANG}/leave", cls.leave, ["GET"]),
            (f"{LANG}/stop", cls.stop, ["GET"]),
        ):
            app.add_url_rule(rule, view.__name__, of_site(here, view), methods=methods)
        for page in INFO:
            view = functools.partial(cls.info, page=page)
            app.add_url_rule(f"{LANG}/{page}", f"info-{page}", of_site(here, view), methods=["GET"])

    def choose(self) -> Response:
        return self._pages.still(None, LANGUAGES[0])

    def bare(self, lang: str) -> Response:
        """An address without its last slash: werkzeug's own answer would repeat the query."""
        return see_other(f"/{lang}/")

    def landing(self, lang: str) -> Response:
        return self._pages.still("", lang)

    def safety(self, lang: str) -> Response:
        return self._pages.still("safety", lang)

    def withdrawn(self, lang: str) -> Response:
        return self._pages.still("withdrawn", lang)

    def info(self, lang: str, page: str) -> Response:
        """One of the pages to read."""
        return self._pages.still(page, lang)

    def leave(self, lang: str) -> Response:
        """End the session first, then go to a harmless site."""
        current().end()
        return see_other(self._pages.settings.leave_to)

    def stop(self, lang: str) -> Response:
        """End the session and go back to the beginning."""
        current().end()
        return see_other(f"/{lang}/")

    def report(self, lang: str) -> Response:
        return self._pages.still("report", lang)

    def tell(self, lang: str) -> Response:
        """A report: stored fully and its code shown, or not stored and the text kept."""
        form = ReportForm()
        people = self._pages.people().to_report
        if "switch" in request.form:
            return self._form(lang, form, people, {}, TYPING)
        session = current()
        mark = self._cookie.mark_of(
            (clean_text(form.text.data or ""), form.counsellor.data or "", str(form.answers()))
        )
        if session.code and session.mark == mark:
            # By the form, which is the same: who can be written to may have changed since.
            same = people.chosen(form.counsellor.data or "")
            return self._code.show(lang, people, session.code, same, again=True)
        root = session.root
        if root is not None and session.mark == mark and self._agent.view(root) is not None:
            return see_other(f"/{lang}/conversation?again=1")
        if not people.open:
            said = "errors.nobody"
            if people.ended:
                said = "closed.ended" if people.reads else "closed.ended_read"
            return self._refused(lang, form, people, Problem("", said), 503)
        problems = form.problems(people, self._pages.settings.limits.text)
        if problems:
            return self._form(lang, form, people, shown(problems, words(lang)), 422)
        chosen = people.chosen(form.counsellor.data or "") or people.open[0]
        try:
            report = self._agent.prepare(
                lang=lang,
                text=form.text.data,
                answers=form.answers(),
                wanted=(chosen.identity,),
            )
            # Everything that could go wrong goes first: page and cookie are made, then it is
            # stored, and after that only bytes that are ready are sent.
            begun = self._cookie.fresh(report.root, report.words, mark)
            page = self._code.show(lang, people, begun.code, chosen)
            self._agent.send(report)
        except REFUSED as error:
            return self._refused(lang, form, people, *explain(error))
        session.become(begun)
        return page

    def code(self, lang: str) -> Response:
        """The code once more, while its page is open; after that the conversation."""
        session = current()
        if session.root is None:
            return self.ask_code(lang, {}, reason="again", cookie_came=session.arrived)
        if not session.code:
            return see_other(f"/{lang}/conversation")
        return self._code.of_session(lang, session)

    def check_code(self, lang: str) -> Response:
        """ "Try it now", the one box, and the language of the page that has both.

        Without a token: what it changes is what a look at the conversation changes too, and the
        cookie goes with no post of another site.
        """
        form = CodeCheckForm()
        session = current()
        if session.root is None:
            typed = form.typed.data or ""
            came = session.arrived
            return self.ask_code(lang, {}, code=typed, reason="again", cookie_came=came)
        if not session.code:
            return see_other(f"/{lang}/conversation")
        if "switch" in request.form:
            return self._code.of_session(lang, session, typed=form.typed.data or "")
        if "go" in request.form:
            if form.kept.data:
                session.move_on()
                return see_other(f"/{lang}/conversation")
            unticked = {"kept": words(lang).say("errors.confirm_code")}
            return self._code.of_session(lang, session, problems=unticked, status=422)
        return self._code.tried(lang, session, form)

    def come_back(self, lang: str) -> Response:
        return self._pages.still("return", lang)

    def enter(self, lang: str) -> Response:
        """A code: to its conversation, or the same answer for every code that has none."""
        form = CodeForm()
        if "switch" in request.form:
            return self.ask_code(lang, {}, code=form.code.data or "")
        told = words(lang)
        typed, problems = read_code(form.code.data, told)
        if problems:
            return self.ask_code(lang, shown(problems, told), 422, code=form.code.data or "")
        try:
            root = self._agent.enter(typed)
        except Busy:
            busy = {"": told.say("errors.busy_read")}
            return self.ask_code(lang, busy, 503, code=form.code.data)
        if root is None:
            return self.ask_code(lang, {}, 422, code=form.code.data, reason="wrong")
        current().become(self._cookie.fresh(root))
        return see_other(f"/{lang}/conversation")

    def ask_code(
        self,
        lang: str,
        problems: Mapping[str, str],
        status: int | str = TYPING,
        *,
        code: str = "",
        reason: str = "",
        cookie_came: bool = True,
    ) -> Response:
        """The page that asks for the code. ``reason``: why again, "wrong" or "again"."""
        html = self._pages.make(
            "return.html",
            lang,
            title="title.read",
            here="return",
            switch_form="main-form",
            problems=problems,
            code=clean_text(code),
            reason=reason,
            cookie_came=cookie_came,
        )
        return self._pages.answer(html, status)

    def _refused(
        self, lang: str, form: ReportForm, people: People, problem: Problem, status: int
    ) -> Response:
        return self._form(lang, form, people, shown([problem], words(lang)), status)

    def _form(
        self,
        lang: str,
        form: ReportForm,
        people: People,
        problems: Mapping[str, str],
        status: int | str,
    ) -> Response:
        """The report form with what was typed and ticked, and what has to be mended."""
        answers = {
            name: tuple(form[name].data or ()) if several else (form[name].data or "",)
            for name, (several, _) in ANSWERS.items()
        }
        answers = {name: tuple(v for v in values if v) for name, values in answers.items()}
        posted = Posted(clean_text(form.text.data or ""), form.counsellor.data or "", answers)
        html = self._pages.make(
            "report.html",
            lang,
            title="title.message",
            here="report",
            people=people,
            switch_form="main-form" if people.open or posted else None,
            plain_enter=False,
            problems=problems,
            posted=posted,
            choosing=_choosing(form, people) or "counsellor" in problems,
            questions=_questions(lang),
        )
        return self._pages.answer(html, status)


def _choosing(form: ReportForm, people: People) -> bool:
    """Whether a report form asks for whom it is: also if the one it was for cannot be written to
    any more, so that it goes to nobody who was not named."""
    if len(people.open) != 1:
        return bool(people.open)
    return bool(form.counsellor.raw_data) and form.counsellor.data != people.open[0].value


def _empty_report(lang: str, people: People) -> dict[str, Any]:
    """What the report form needs when nothing was typed."""
    return {
        "switch_form": "main-form" if people.open else None,
        "plain_enter": False,
        "problems": {},
        "posted": Posted(),
        "choosing": len(people.open) > 1,
        "questions": _questions(lang),
    }


def _empty_return(_lang: str, _people: People) -> dict[str, Any]:
    """What the return form needs when nothing was typed."""
    return {
        "switch_form": "main-form",
        "problems": {},
        "code": "",
        "reason": "",
        "cookie_came": True,
    }


def _questions(lang: str) -> tuple[Question, ...]:
    """The optional questions of the form, in its order."""
    told = words(lang)
    return tuple(
        Question(name, several, tuple((value, told.say(f"{name}.{value}")) for value in known))
        for name, (several, known) in ANSWERS.items()
    )


def see_other(address: str) -> Response:
    """A 303, without werkzeug's page that repeats the address."""
    return Response(status=303, headers={"Location": address})
