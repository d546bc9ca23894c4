"""The code page shows the seven words until the person confirms that they are written down.

The session contains the words while the page is open (SPEC section 8). The typed words are compared
with those in the session, so nothing is hashed, looked up or sent again.
"""

import datetime
from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, request

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.server.web.forms import CodeCheckForm, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import ReporterSession, current_session
from dropbox_app.server.web.sites import current_site
from dropbox_app.server.web.view_models.counsellors import People, Person
from dropbox_app.server.web.views.entering import ask_code_again

blueprint = Blueprint("code", __name__)


@blueprint.get(f"{LANG}/code")
def show(lang: str) -> Response:
    """Show the code again while its page is open, and the conversation after that."""
    session = current_session()
    if session.root is None:
        return ask_code_again(lang)
    if not session.code:
        return see_other(f"/{lang}/conversation")
    return _page_of_session(lang, session)


@blueprint.post(f"{LANG}/code")
def check(lang: str) -> Response:
    """Handle "try it now", the confirmation box, and the language button on the code page.

    A post to the code page needs no token. The post can only remove the words from the session, and
    browsers do not send the cookie with another site's post.
    """
    form = CodeCheckForm()
    session = current_session()
    if session.root is None:
        return ask_code_again(lang, form.typed.data or "")
    if not session.code:
        return see_other(f"/{lang}/conversation")
    if "switch" in request.form:
        return _page_of_session(lang, session, typed=form.typed.data or "")
    if "go" in request.form:
        if form.kept.data:
            session.move_on()
            return see_other(f"/{lang}/conversation")
        unticked = {"kept": words(lang).say("errors.confirm_code")}
        return _page_of_session(lang, session, problems=unticked, status=422)
    return _checked(lang, session, form)


def _checked(lang: str, session: ReporterSession, form: CodeCheckForm) -> Response:
    """Compare the retyped words with the code, and show the page again."""
    told = words(lang)
    problems = form.problems(session.code, told)
    if not problems:
        return _page_of_session(lang, session, right=True)
    typed = form.typed.data or ""
    return _page_of_session(lang, session, typed=typed, problems=shown(problems, told), status=422)


def _page_of_session(
    lang: str,
    session: ReporterSession,
    *,
    typed: str = "",
    right: bool = False,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Return the page again, for a browser that keeps its cookie."""
    site = current_site()
    people = site.pages.people()
    view = site.agent.view(session.root) if session.root else None
    chosen = view.next_wanted if view else ()
    return code_page(
        lang,
        people,
        session.code,
        next((person for person in people.everybody if person.identity in chosen), None),
        day=view.last_added if view else None,
        here="code",
        typed=typed,
        right=right,
        problems=problems,
        status=status,
    )


def code_page(
    lang: str,
    people: People,
    code: Sequence[str],
    person: Person | None,
    *,
    again: bool = False,
    unsafe: bool = False,
    day: datetime.date | None = None,
    here: str | None = None,
    typed: str = "",
    right: bool = False,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Return the page with the code.

    ``day`` is the day of the report, if it was not today. ``again`` is True if the report was sent
    before. ``unsafe`` is True if the reporter said that they are unsafe. For a reporter who is
    unsafe, the page starts with help, but has the same length as without help.

    ``here`` is set once the browser has shown that it keeps the cookie. Only then can the link to
    the other language and the check of the typed words lead back to this page.
    """
    site = current_site()
    told = words(lang)
    day = day or site.today()
    html = site.pages.render(
        "code.html",
        lang,
        title="title.message",
        here=here,
        shut=True,
        switch_form="main-form" if here else None,
        people=people,
        whom=(person.identity,) if person else (),
        code=code,
        again=again,
        unsafe=unsafe,
        person=person,
        holders=person.name if person else told.say("word.counsellor"),
        earliest=day + datetime.timedelta(days=site.settings.retention.idle),
        typed=clean_text(typed),
        right=right,
        problems=problems or {},
    )
    return site.pages.respond(html, status)
