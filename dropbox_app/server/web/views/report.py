"""The report form and the form for a code.

Before a form is posted, each page has the same bytes for every visitor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, request

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.messages import ANSWERS
from dropbox_app.server.reporter.kdf_limiter import Busy
from dropbox_app.server.web.error_pages import REFUSED, problem_of
from dropbox_app.server.web.forms import CodeForm, Problem, ReportForm, read_code, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.rendering import TYPING
from dropbox_app.server.web.repeated_posts import VISITOR, Turn
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import Post, current_session
from dropbox_app.server.web.sites import current_site
from dropbox_app.server.web.view_models.counsellors import People
from dropbox_app.server.web.views.code import code_page
from dropbox_app.server.web.views.entering import ask_code

blueprint = Blueprint("report", __name__)


@dataclass(frozen=True)
class Posted:
    """The contents of a report form, kept to show them again."""

    text: str = ""
    counsellor: str = ""
    answers: Mapping[str, Any] = field(default_factory=lambda: dict.fromkeys(ANSWERS, ()))

    @property
    def answered(self) -> bool:
        """Return whether any optional question was answered."""
        return any(self.answers.values())

    def __bool__(self) -> bool:
        return bool(self.text or self.counsellor or self.answered)


@dataclass(frozen=True)
class Question:
    """An optional question, with its answers as text."""

    name: str
    many: bool
    options: tuple[tuple[str, str], ...]


@blueprint.get(f"{LANG}/report")
def empty_form(lang: str) -> Response:
    """Show the empty report form."""
    site = current_site()

    def context(people: People) -> dict[str, Any]:
        return {
            "switch_form": "main-form" if people.open else None,
            "plain_enter": False,
            "problems": {},
            "posted": Posted(),
            "choosing": len(people.open) > 1,
            "questions": _questions(lang),
        }

    return site.pages.shared_page(
        "report.html", lang, path="report", title="title.message", context=context,
        has_text_field=True, seals=bool(site.pages.people().to_report.open),
    )  # fmt: skip


@blueprint.post(f"{LANG}/report")
def send(lang: str) -> Response:
    """Store a report and show its code, or show the form again with the text kept."""
    site, session = current_site(), current_session()
    form = ReportForm()
    people = site.pages.people().to_report
    if "switch" in request.form:
        return _form(lang, form, people, {}, TYPING)
    mark = site.cookie.mark_of(
        (clean_text(form.text.data or ""), form.counsellor.data or "", str(form.answers()))
    )
    if session.code and session.mark == mark:
        # Use the counsellor whom the form names, because availability may have changed since.
        same = people.chosen(form.counsellor.data or "")
        return code_page(lang, people, session.code, same, again=True)
    root = session.root
    if root is not None and session.mark == mark and site.agent.view(root) is not None:
        return see_other(f"/{lang}/conversation?again=1")
    post = site.cookie.post_of(
        VISITOR.get(), request.path, request.headers.items(), request.get_data()
    )
    try:
        with site.posts.turn(post.name) as turn:
            before = site.cookie.open_answer(post, turn.answer)
            view = site.agent.view(before["root"]) if before is not None else None
            if before is not None and view is not None:
                # A second click: nobody saw the response to the first.
                session.become(before)
                whom = view.next_wanted
                same = next((one for one in people.everybody if one.identity in whom), None)
                return code_page(lang, people, session.code, same, unsafe=form.safe.data == "no")
            return _first(lang, form, people, mark, post, turn)
    except REFUSED as error:
        return _refused(lang, form, people, *problem_of(error))


def _first(
    lang: str, form: ReportForm, people: People, mark: bytes, post: Post, turn: Turn
) -> Response:
    """Handle a report that was not sent before. Raises one of REFUSED."""
    site, session = current_site(), current_session()
    if not people.open:
        said = "errors.nobody"
        if people.ended:
            said = "closed.ended" if people.reads else "closed.ended_read"
        return _refused(lang, form, people, Problem("", said), 503)
    problems = form.problems(people, site.settings.limits.text)
    if problems:
        return _form(lang, form, people, shown(problems, words(lang)), 422)
    chosen = people.chosen(form.counsellor.data or "") or people.open[0]
    prepared = site.agent.prepare(
        lang=lang,
        text=form.text.data,
        answers=form.answers(),
        wanted=(chosen.identity,),
    )
    # Everything that could fail comes first: the page and the cookie are made, then the report is
    # stored, and after that only finished bytes are sent.
    begun = site.cookie.fresh(prepared.root, prepared.words, mark, post)
    page = code_page(lang, people, begun.code, chosen, unsafe=form.safe.data == "no")
    # This comes before the report is stored. If this worker is killed later, an equal post still
    # shows this code.
    turn.keep(site.cookie.seal_answer(post, begun))
    site.agent.send(prepared)
    session.become(begun)
    return page


@blueprint.get(f"{LANG}/return")
def empty_code_form(lang: str) -> Response:
    """Show the empty form for a code."""
    context = {
        "switch_form": "main-form",
        "problems": {},
        "code": "",
        "reason": "",
        "showing": False,
    }
    if current_session().shows_code:
        return ask_code(lang)
    return current_site().pages.shared_page(
        "return.html", lang, path="return", title="title.read", context=lambda _: context,
        has_text_field=True, seals=True,
    )  # fmt: skip


@blueprint.post(f"{LANG}/return")
def enter(lang: str) -> Response:
    """Open the conversation of a code. Codes without a conversation all get the same response."""
    site = current_site()
    form = CodeForm()
    if "switch" in request.form:
        return ask_code(lang, code=form.code.data or "")
    told = words(lang)
    typed, problems = read_code(form.code.data, told)
    if problems:
        return ask_code(lang, shown(problems, told), 422, code=form.code.data or "")
    try:
        root = site.agent.enter(typed)
    except Busy:
        busy = {"": told.say("errors.busy_read")}
        return ask_code(lang, busy, 503, code=form.code.data)
    if root is None:
        return ask_code(lang, status=422, code=form.code.data, reason="wrong")
    current_session().become(site.cookie.fresh(root))
    return see_other(f"/{lang}/conversation")


def _refused(
    lang: str, form: ReportForm, people: People, problem: Problem, status: int
) -> Response:
    return _form(lang, form, people, shown([problem], words(lang)), status)


def _form(
    lang: str,
    form: ReportForm,
    people: People,
    problems: Mapping[str, str],
    status: int | str,
) -> Response:
    """Return the report form with the entered values and the problems to correct."""
    answers = {
        name: tuple(form[name].data or ()) if several else (form[name].data or "",)
        for name, (several, _) in ANSWERS.items()
    }
    answers = {name: tuple(v for v in values if v) for name, values in answers.items()}
    posted = Posted(clean_text(form.text.data or ""), form.counsellor.data or "", answers)
    pages = current_site().pages
    html = pages.render(
        "report.html",
        lang,
        title="title.message",
        here="report",
        people=people,
        switch_form="main-form" if people.open or posted else None,
        plain_enter=False,
        problems=problems,
        posted=posted,
        choosing=_asks_for_whom(form, people) or "counsellor" in problems,
        questions=_questions(lang),
    )
    return pages.respond(html, status)


def _asks_for_whom(form: ReportForm, people: People) -> bool:
    """Return whether a report form asks for a counsellor.

    The form also asks for a counsellor if the named counsellor can no longer receive messages,
    because a report is sent only to a counsellor whom it names.
    """
    if len(people.open) != 1:
        return bool(people.open)
    return bool(form.counsellor.raw_data) and form.counsellor.data != people.open[0].value


def _questions(lang: str) -> tuple[Question, ...]:
    """Return the optional questions of the form, in its order."""
    told = words(lang)
    found = []
    for name, (several, known) in ANSWERS.items():
        options = tuple((value, told.say(f"{name}.{value}")) for value in known)
        if not several:  # a radio button can only be undone by choosing another one
            options += (("", told.say("report.skip")),)
        found.append(Question(name, several, options))
    return tuple(found)
