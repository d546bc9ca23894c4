"""The page for writing to another counsellor, who then receives the reporter's messages."""

from collections.abc import Mapping

from flask import Blueprint, Response, request
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]  # ships no types

from dropbox_app.protocol.encoding import Json, clean_text
from dropbox_app.server.errors import Gone
from dropbox_app.server.web.error_pages import REFUSED, problem_of
from dropbox_app.server.web.forms import OtherForm, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site
from dropbox_app.server.web.views.entering import (
    ask_code_again,
    conversation_gone,
    enter_session,
    session_ended,
)

blueprint = Blueprint("counsellor", __name__)


@blueprint.get(f"{LANG}/counsellor")
def show(lang: str) -> Response:
    """Show the form with the other counsellors of the site."""
    root = current_session().root
    return ask_code_again(lang) if root is None else _page(lang, root, {})


@blueprint.post(f"{LANG}/counsellor")
def send(lang: str) -> Response:
    """Send the message, if it is complete and can be stored."""
    site = current_site()
    form = OtherForm()
    if "switch" in request.form:
        here = current_session().root
        if here is None:
            return session_ended(lang)
        return _page(lang, here, {})
    root = enter_session(lang, form)
    if isinstance(root, Response):
        return root
    people = site.pages.people()
    problems = form.problems(people, site.settings.limits.text)
    chosen = people.chosen(form.counsellor.data or "")
    if problems or chosen is None:
        return _page(lang, root, shown(problems, words(lang)), 422)
    body: dict[str, Json] = {"text": form.text.data}
    try:
        site.agent.write(
            root,
            lang=lang,
            kind="message",
            body=body,
            wanted=(chosen.identity,),
            pass_on=form.along.data,
        )
    except Gone:
        return conversation_gone(lang)
    except REFUSED as error:
        problem, status = problem_of(error)
        return _page(lang, root, shown([problem], words(lang)), status)
    return see_other(f"/{lang}/conversation?sent=1#last")


def _page(lang: str, root: bytes, problems: Mapping[str, str], status: int = 200) -> Response:
    site = current_site()
    view = site.agent.view(root)
    if view is None:
        return conversation_gone(lang)
    people = site.pages.people()
    # A successor who was agreed on but not yet written to can also be chosen here, and then gets
    # the conversation so far.
    others = people.without(set(view.next_wanted) & set(view.thread.wanted))
    if problems and not others:
        problems = {"": words(lang).say("other.none")}
    html = site.pages.render(
        "counsellor.html",
        lang,
        title="title.message",
        here="counsellor",
        people=people,
        whom=view.next_wanted,
        switch_form="main-form" if others or request.form.get("text") else None,
        csrf_token=generate_csrf(),
        others=others,
        fetching=any(people.called(i) for i in (*view.thread.wanted, *view.thread.former)),
        chosen=request.form.get("counsellor", ""),
        along="along" in request.form,
        text=clean_text(request.form.get("text", "")),
        problems=problems,
    )
    return site.pages.respond(html, status)
