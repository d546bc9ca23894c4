"""The conversation: read it, write more, answer a consent request (SPEC section 8)."""

from collections.abc import Mapping
from dataclasses import replace

from flask import Blueprint, Response, request
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]  # ships no types

from dropbox_app.protocol.encoding import Json, clean_text
from dropbox_app.protocol.messages import REPORTER
from dropbox_app.server.errors import Gone
from dropbox_app.server.web.error_pages import REFUSED, own_token, problem_of
from dropbox_app.server.web.forms import ConsentForm, Problem, WriteForm, missing_text, shown
from dropbox_app.server.web.i18n import Words, words
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site
from dropbox_app.server.web.view_models.expiry import Ending
from dropbox_app.server.web.view_models.thread import Request, Teller, folded
from dropbox_app.server.web.views.entering import (
    ask_code,
    ask_code_again,
    conversation_gone,
    enter_session,
    session_ended,
)

blueprint = Blueprint("conversation", __name__)


@blueprint.get(f"{LANG}/conversation")
@blueprint.get(f"{LANG}/consent")
def read(lang: str) -> Response:
    """Show the conversation, or the code page while it is open."""
    flags = request.args
    root = current_session().root
    if root is None:
        return ask_code_again(lang)
    if current_session().code:
        return see_other(f"/{lang}/code")
    return _page(lang, root, sent="sent" in flags, again="again" in flags)


@blueprint.post(f"{LANG}/conversation")
def write(lang: str) -> Response:
    """Send another message from the reporter."""
    form = WriteForm()
    text = clean_text(form.text.data or "")
    if "switch" in request.form:
        here = current_session().root
        if here is None:
            return session_ended(lang)
        return _page(lang, here, text=text)
    root = enter_session(lang, form)
    if isinstance(root, Response):
        return root
    problems = missing_text(text)
    if problems:
        return _page(lang, root, text=text, problems=problems, status=422)
    try:
        current_site().agent.write(root, lang=lang, kind="message", body={"text": text})
    except Gone:
        return conversation_gone(lang)
    except REFUSED as error:
        problem, status = problem_of(error)
        return _page(lang, root, text=text, problems=[problem], status=status)
    return see_other(f"/{lang}/conversation?sent=1#last")


@blueprint.post(f"{LANG}/consent")
def consent(lang: str) -> Response:
    """Send an answer to a consent request."""
    site = current_site()
    form = ConsentForm()
    missing = form.problems()
    told = words(lang)
    if missing:  # sent from a page that did not contain the question: show it first
        lead, button = told.say("again.no_answer"), "return.open"
    else:
        said = told.say(f"consent.{form.answer.data}")
        lead, button = told.say("again.answer", answer=said), "again.send"
    if "switch" in request.form:
        return session_ended(lang, lead, button=button, token=own_token())
    root = enter_session(lang, form, lead, button)
    if isinstance(root, Response):
        return root
    view = site.agent.view(root)
    if view is None:
        return conversation_gone(lang)
    asked = Teller(view.thread, site.pages.people(), told).asked(form.request.data or "")
    if (
        asked is None
        or (missing and not asked.asks)
        or (form.answer.data == "withdrawn" and asked.said != "yes")
    ):
        missing = [Problem("", "errors.not_asked")]
    if missing:
        return _asked_again(lang, root, form, asked, missing[0], 422)
    body: dict[str, Json] = {"request": form.request.data, "answer": form.answer.data}
    remark = clean_text(form.remark.data or "")
    if remark.strip():
        body["text"] = remark
    try:
        site.agent.write(root, lang=lang, kind="consent-answer", body=body)
    except Gone:
        return conversation_gone(lang)
    except REFUSED as error:
        return _asked_again(lang, root, form, asked, *problem_of(error, "remark"))
    return see_other(f"/{lang}/conversation?sent=1#last")


def _asked_again(
    lang: str,
    root: bytes,
    form: ConsentForm,
    asked: Request | None,
    problem: Problem,
    status: int,
) -> Response:
    """Return the conversation; the form keeps the answer if the consent request is still open."""
    remark = clean_text(form.remark.data or "")
    place = f"{problem.field}-{asked.short}" if asked and asked.asks and problem.field else ""
    problems = [replace(problem, field=place)]
    if asked is None or not asked.asks:  # its form is gone, but the remark may be sent as a message
        return _page(lang, root, text=remark, problems=problems, status=status)
    given = {"request": asked.digest, "answer": form.answer.data or "", "remark": remark}
    return _page(lang, root, given=given, problems=problems, status=status)


def _page(
    lang: str,
    root: bytes,
    *,
    text: str = "",
    given: Mapping[str, str] | None = None,
    sent: bool = False,
    again: bool = False,
    problems: list[Problem] | None = None,
    status: int = 200,
) -> Response:
    site = current_site()
    view = site.agent.view(root)
    if view is None:
        if text or given:
            return conversation_gone(lang)
        current_session().end()
        return ask_code(lang, reason="wrong")
    people = site.pages.people()
    told = words(lang)
    teller = Teller(view.thread, people, told, view.items)
    open_now = {person.identity for person in people.open}
    receivers = [i for i in view.next_wanted if i in open_now]
    missing = [i for i in view.next_wanted if i not in open_now]
    help_parts = [told.say("conversation.write_help", counsellor=teller.names(receivers))]
    help_parts += [
        told.say("conversation.left_out_now", counsellor=teller.name(i)) for i in missing
    ]
    for successor in view.next_wanted:
        if successor not in view.thread.wanted:
            help_parts.insert(0, told.say("handover.now", successor=teller.name(successor)))
    newest = view.thread.newest.get(REPORTER)
    ending = Ending(view, told, site.today(), site.settings.retention)
    others = people.without(view.next_wanted)
    absences = site.pages.availability(people, told).of_all(view.next_wanted)
    problems = [p.elsewhere() if others else p for p in problems or []]
    lines = teller.lines()
    html = site.pages.render(
        "conversation.html",
        lang,
        title="title.read",
        here="conversation",
        people=people,
        whom=view.next_wanted,
        switch_form="main-form" if receivers or text else None,
        csrf_token=generate_csrf(),
        lines=lines,
        folded=0 if problems or given else folded(lines),
        notes=ending.notes() + teller.notes() + absences,
        absent=bool(absences),
        others=others,
        waiting=teller.waiting(),
        waiting_for=teller.names(view.thread.wanted),
        receivers=receivers,
        write_help=" ".join(help_parts),
        text=text,
        given=given or {},
        sent=sent,
        again=again,
        left_out=[teller.name(i) for i in newest.wanted if i not in newest.to] if newest else [],
        problems=shown(problems, told),
        expiry=ending.some_day(),
        consent_answers=_consent_answers(told),
    )
    return site.pages.respond(html, status)


def _consent_answers(told: Words) -> list[tuple[str, str]]:
    """Return the possible answers to an open consent request."""
    return [(answer, told.say(f"consent.{answer}")) for answer in ("yes", "no", "tell-me-more")]
