"""The page that deletes the conversation, and explains what deletion cannot undo."""

from collections.abc import Mapping

from flask import Blueprint, Response, request
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]  # ships no types

from dropbox_app.server.errors import Gone, NobodyToTell
from dropbox_app.server.web.error_pages import REFUSED, problem_of
from dropbox_app.server.web.forms import WithdrawForm, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site
from dropbox_app.server.web.view_models.thread import Teller
from dropbox_app.server.web.views.entering import (
    ask_code_again,
    enter_session,
    session_ended,
)

blueprint = Blueprint("withdraw", __name__)


@blueprint.get(f"{LANG}/withdraw")
def show(lang: str) -> Response:
    """Show what deletion can and cannot undo, with the form that deletes the conversation."""
    root = current_session().root
    return ask_code_again(lang) if root is None else _page(lang, root, {})


@blueprint.post(f"{LANG}/withdraw")
def send(lang: str) -> Response:
    """Delete the conversation, if the person ticked the box."""
    form = WithdrawForm()
    lead = words(lang).say("again.withdraw")
    if "switch" in request.form:
        here = current_session().root
        if here is None:
            return session_ended(lang, lead)
        return _page(lang, here, {})
    root = enter_session(lang, form, lead, "withdraw.send")
    if isinstance(root, Response):
        return root
    untold = bool(form.untold.data)
    problems = shown(form.problems(), words(lang))
    if problems:
        return _page(lang, root, problems, 422, untold=untold)
    try:
        current_site().agent.withdraw(root, lang=lang, untold=untold)
    except Gone:
        pass  # the conversation is already gone, as the reporter wanted
    except NobodyToTell as error:
        problem, status = problem_of(error)
        return _page(lang, root, shown([problem], words(lang)), status, untold=True)
    except REFUSED as error:
        problem, status = problem_of(error)
        return _page(lang, root, shown([problem], words(lang)), status)
    current_session().end()
    return see_other(f"/{lang}/withdrawn")


def _page(
    lang: str,
    root: bytes,
    problems: Mapping[str, str],
    status: int = 200,
    *,
    untold: bool = False,
) -> Response:
    """Show the page. ``untold``: it says that no counsellor is told, whoever has a card."""
    site = current_site()
    view = site.agent.view(root)
    if view is None:
        current_session().end()
        return see_other(f"/{lang}/withdrawn")
    people = site.pages.people()
    teller = Teller(view.thread, people, words(lang))
    wanted = view.thread.wanted
    open_now = {person.identity for person in people.open}
    told = [] if untold else [identity for identity in wanted if identity in open_now]
    holders = (*wanted, *view.thread.former)
    html = site.pages.render(
        "withdraw.html",
        lang,
        title="title.message",
        here="withdraw",
        people=people,
        whom=wanted,
        switch_form="main-form",
        plain_enter=False,
        csrf_token=generate_csrf(),
        holders=teller.each(holders),
        told=teller.each(told),
        untold=teller.each([identity for identity in holders if identity not in told]),
        problems=problems,
    )
    return site.pages.respond(html, status)
