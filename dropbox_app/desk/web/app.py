"""The page as a Flask app: it handles every request, and renders pages.

A view that works without an open desk is marked with ``@here.without_desk``. All other views get
the desk from ``here.place()``, one request at a time, and ask for the passphrase while the desk is
locked.
"""

import contextlib
import datetime
import sys
import traceback
from typing import Any, cast

from flask import Flask, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from jinja2 import StrictUndefined
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from dropbox_app.desk.errors import NotSetUp
from dropbox_app.desk.web import here, uploads
from dropbox_app.desk.web.answers import Answer
from dropbox_app.desk.web.desk_lock import Locked
from dropbox_app.desk.web.errors import news, sentence
from dropbox_app.desk.web.forms import PLAIN
from dropbox_app.desk.web.here import EXTENSION, Page
from dropbox_app.desk.web.views import BLUEPRINTS, thread
from dropbox_app.protocol.errors import KlankbordError

_STATIC = "static"
# The links in the frame of every page: endpoint, key of its name.
WAYS = (
    ("today.today", "way.today"),
    ("contact.new", "way.contact"),
    ("threads.threads", "way.threads"),
    ("cases.cases", "way.cases"),
    ("annual.reports", "way.annual"),
    ("settings.more", "way.more"),
)
# Forms that can arrive while the desk is locked, and the pages that show the typed text again.
_SHOWN_AGAIN = {
    "contact.keep": "contact.new", "case.keep": "case.show", "case.keep_sheet": "case.sheet",
    "employers.keep": "employers.sheet", "entry.keep": "entry.show",
    "entry.into_case": "entry.show", "work.keep": "work.work",
    "annual.keep": "annual.report", "annual.keep_facts": "annual.facts",
    "case_copy.look": "case_copy.ask", "snippets.keep": "snippets.edit",
    "cards.change": "cards.card", "away.announce": "away.away", "cards.join": "cards.new",
}  # fmt: skip
# Requests that a script makes by itself. They do not show that the person is there.
_NO_ACTIVITY = frozenset({"entering.ping", "fetching.progress", "checking.show", _STATIC})


class _Flask(Flask):
    request_class = uploads.PageRequest

    def log_exception(self, exc_info: Any) -> None:  # noqa: ANN401 - Flask's own type
        """Log the location of a fault."""
        log_fault(exc_info[1])


def log_fault(error: BaseException) -> None:
    """Log the location of a fault, without its text, which may contain somebody's words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
    sys.stderr.write(f"A fault in the page: {type(error).__name__} at {where}\n")


def create_app(page: Page) -> Flask:
    """Return the app for one run of the page. The app is safe only behind ``gate.Gate``."""
    app = _Flask(__name__, static_url_path="/static")
    app.config.update(
        MAX_CONTENT_LENGTH=uploads.MOST,
        MAX_FORM_MEMORY_SIZE=uploads.MOST_TEXT,
        PROPAGATE_EXCEPTIONS=False,
        SEND_FILE_MAX_AGE_DEFAULT=None,
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.filters["combine"] = lambda one, other: {**one, **other}
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.extensions[EXTENSION] = page
    app.before_request(_take_desk)
    app.after_request(_answer_elsewhere)
    app.teardown_request(_leave_desk)
    app.context_processor(_words)
    app.register_error_handler(Locked, _locked)
    app.register_error_handler(KlankbordError, _fault)
    app.register_error_handler(OSError, _fault)
    app.register_error_handler(HTTPException, _http_fault)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def _take_desk() -> ResponseReturnValue | None:
    page = here.page()
    if request.endpoint not in _NO_ACTIVITY:
        page.lock.touch()
    if request.endpoint == _STATIC or not here.needs_desk(request.endpoint):
        return None
    g.stack = contextlib.ExitStack()
    try:
        g.place = g.stack.enter_context(page.lock.use())
    except Locked as error:
        return _locked(error)
    return None


def _locked(_error: Locked) -> ResponseReturnValue:
    """Ask for the passphrase, and keep the typed text. The request has had no effect yet."""
    if request.method == "GET":
        return redirect(url_for("entering.unlock"))
    blueprint, _, form = (request.endpoint or "").partition(".")
    if blueprint == "thread" and form != "forget":
        return thread.locked((request.view_args or {})["handle"], form)
    if request.endpoint in _SHOWN_AGAIN:
        _keep_typed(_SHOWN_AGAIN[request.endpoint])
    return here.locked_out("unlock.meanwhile")


def _keep_typed(shown_by: str) -> None:
    """Keep the form of this request in memory, for the page at an endpoint."""
    named = request.view_args or {}
    where = {part: named[part] for part in ("handle", "year", "language", "name") if part in named}
    kept = MultiDict(request.form)
    kept.setdefault("form", named.get("what", named.get("kind", "")))
    here.page().keep_typed(url_for(shown_by, **where), kept)


def _answer_elsewhere(response: Response) -> Response:
    """Redirect from a form to the resulting page, so that no browser stores both together."""
    shown = response.mimetype == "text/html" and not 300 <= response.status_code < 400
    if shown and here.was_locked_meanwhile():
        # A different person may be at the computer now, who must not see the page.
        response = make_response(here.locked_out("unlock.under_way"))
    sent_by_a_form = (
        request.method == "POST" and request.headers.get("Sec-Fetch-Mode") == "navigate"
    )
    if not sent_by_a_form or not shown:
        return response
    key = here.page().answers.keep(Answer(response.get_data(), response.status_code))
    return cast(Response, redirect(url_for("answers.show", key=key), 303))


def _leave_desk(_error: BaseException | None) -> None:
    stack = g.pop("stack", None)
    if stack is not None:
        stack.close()


def _words() -> dict[str, Any]:
    page, told = here.page(), here.told()
    today = page.lock.machine.today()

    def day(value: datetime.date) -> str:
        return told.day(value, today)

    return {
        "t": told.say,
        "n": told.count,
        "day": day,
        "date": lambda value: told.date(value, today),
        "listed": told.listed,
        "lang": told.lang,
        "size": told.size,
        "plain": PLAIN,
        "as_day": datetime.date.fromisoformat,
        "told_news": lambda one: news(told, one),
        "told_error": lambda error: sentence(told, error),
        "ways": WAYS,
        "handle": page.handles.of,
        "desk_open": page.lock.is_open,
        "private_window": page.private_window,
        "fetch_under_way": page.fetching.under_way,
    }


def _fault(error: Exception) -> ResponseReturnValue:
    """Show an error that no view handled, and say that nothing was done."""
    status = 404 if isinstance(error, NotSetUp) else 409
    return render_template("fault.html", problem=sentence(here.told(), error)), status


def _http_fault(error: HTTPException) -> ResponseReturnValue:
    key = "fault.too_large" if isinstance(error, RequestEntityTooLarge) else "fault.not_here"
    if error.code and error.code >= 500:
        key = "fault.ours"
    return render_template("fault.html", problem=here.told().say(key)), error.code or 500
