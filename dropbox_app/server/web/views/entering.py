"""Start and end sessions, for all pages that need one.

Every post in a session contains the token of that session, or the code itself in the same form. No
typed text is lost if a session has ended.
"""

from collections.abc import Mapping

from flask import Response, g, request

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.server.reporter.kdf_limiter import Busy
from dropbox_app.server.web.error_pages import OWN_WORDS, form_again
from dropbox_app.server.web.forms import SessionForm, read_code, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.rendering import TYPING
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site


def ask_code(
    lang: str,
    problems: Mapping[str, str] | None = None,
    status: int | str = TYPING,
    *,
    code: str = "",
    reason: str = "",
) -> Response:
    """Return the page that asks for the code.

    ``reason`` states why the code is asked for again. "wrong": no conversation has the code.
    "idle": the session has ended. "closed": there is no session, for example after "leave quickly"
    or in a browser that keeps no cookies.
    """
    pages = current_site().pages
    html = pages.render(
        "return.html",
        lang,
        title="title.read",
        here="return",
        switch_form="main-form",
        problems=problems or {},
        code=clean_text(code),
        reason=reason,
        showing=current_session().shows_code,
    )
    return pages.respond(html, status)


def ask_code_again(lang: str, code: str = "") -> Response:
    """Return the page that asks for the code, in place of a page that needs a session.

    The address does not show that a code was just typed. Removing that from the address would take
    a second redirect. After two redirects, Chromium's Back button shows the conversation from
    memory even when the person has left.
    """
    return ask_code(lang, code=code, reason="idle" if current_session().arrived else "closed")


def enter_session(
    lang: str, form: SessionForm, lead: str = "", button: str = "again.send"
) -> bytes | Response:
    """Return the root of the form's session, or of the code in the form itself.

    If the form has neither, return the response that asks for the code, with the sentence ``lead``.
    """
    site, session = current_site(), current_session()
    told = words(lang)
    if not form.code.data:
        if session.root is not None and form.in_session():
            return session.root
        if session.root is not None:
            lead = told.say("errors.other_session")
        problem = {"code": told.say("errors.code_missing")} if "code" in request.form else {}
        return session_ended(lang, lead, problem, button=button)
    typed, problems = read_code(form.code.data, told)
    if problems:
        return session_ended(lang, lead, shown(problems, told), 422, button)
    try:
        root = site.agent.enter(typed)
    except Busy:
        return session_ended(lang, lead, {"": told.say("errors.busy")}, 503, button)
    if root is None:
        wrong = {"code": told.say("errors.code_wrong")}
        return session_ended(lang, lead, wrong, 422, button)
    session.become(site.cookie.fresh(root))
    g.pop("csrf_token", None)  # Flask-WTF keeps the token of the previous session
    return root


def session_ended(
    lang: str,
    lead: str = "",
    problems: dict[str, str] | None = None,
    status: int = 403,
    button: str = "again.send",
    token: str = "",
) -> Response:
    """Return the typed text with a field for the code, so that one post opens a session and sends.

    With the ``token`` of a session that continues, the field is left out.
    """
    typed = any(request.form.get(name) for name in OWN_WORDS)
    return form_again(
        current_site().pages,
        lang,
        action=f"/{lang}/" + request.path.split("/", 2)[2],
        heading="again.expired_title" if typed else "return.again_title",
        lead=lead or words(lang).say("errors.expired"),
        problems=problems,
        token=token,
        button=button,
        status=status,
    )


def conversation_gone(lang: str) -> Response:
    """Return the typed text after the conversation ended between two requests."""
    current_session().end()
    return form_again(
        current_site().pages,
        lang,
        action=f"/{lang}/report",
        heading="again.gone_title",
        lead=words(lang).say("again.gone"),
        ask_code=False,
        button="report.send",
        only=OWN_WORDS,
        status=410,
    )
