"""Access: the passphrase, the lock, the language, and the ping of an open window."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.here import without_desk
from dropbox_app.desk.web.i18n import LANGUAGES
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("entering", __name__)


@blueprint.get("/unlock")
@without_desk
def unlock() -> ResponseReturnValue:
    """Ask for the passphrase. If the folder contains no desk, redirect to the setup page."""
    page = here.page()
    if not page.lock.exists:
        return redirect(url_for("beginning.start"))
    if page.lock.is_open:
        return redirect(url_for("today.today"))
    return render_template("unlock.html", problem="")


@blueprint.post("/unlock")
@without_desk
def open_desk() -> ResponseReturnValue:
    """Open the desk with the passphrase."""
    page = here.page()
    try:
        page.unlock(request.form.get("passphrase", ""))
    except KlankbordError as error:
        return render_template("unlock.html", problem=sentence(here.told(), error)), 403
    waiting = page.draft.handle
    if waiting.startswith("/"):  # a form of the register, identified by the address of its page
        return redirect(waiting, 303)
    if waiting:
        return redirect(url_for("thread.thread", handle=waiting), 303)
    return redirect(url_for("today.today"), 303)


@blueprint.post("/lock")
@without_desk
def lock() -> ResponseReturnValue:
    """Lock the desk. Text that was typed but not sent is lost."""
    here.page().lock.lock()
    return redirect(url_for("entering.unlock"), 303)


@blueprint.post("/language")
@without_desk
def language() -> ResponseReturnValue:
    """Choose the language of the page. The choice is stored when the desk is opened."""
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        here.page().language = here.page().chosen_language = chosen
    return redirect(url_for("entering.unlock"), 303)


@blueprint.post("/ping")
@without_desk
def ping() -> ResponseReturnValue:
    """Record that a window is open and, if ``active`` is set, that the person is working in it."""
    page = here.page()
    page.note_window()
    if request.form.get("active") == "1":
        page.lock.touch()
    return {"locked": not page.lock.is_open}
