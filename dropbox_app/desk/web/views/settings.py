"""The settings (language, lock, fetching, connection, passphrase) and the page "More"."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import passphrase, settings, whole
from dropbox_app.desk.actions.settings import FETCH_MINUTES, LOCK_MINUTES
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import LANGUAGES
from dropbox_app.desk.web.views.beginning import PROXIES, passphrase_problem
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

_SAID = ("kept", "passphrase", "proxy")


@blueprint.get("/all")
def more() -> ResponseReturnValue:
    """Show links to the other pages: cards, absence, posters, texts, backup, settings."""
    return render_template("more.html")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Show the settings."""
    return _page("")


@blueprint.post("")
def keep() -> ResponseReturnValue:
    """Store language, lock and fetch interval, which apply at once."""
    try:
        new = settings.choose(
            here.place(),
            language=request.form.get("language", ""),
            lock_minutes=_number("lock_minutes"),
            fetch_minutes=_number("fetch_minutes"),
        )
    except KlankbordError as error:
        return _page(sentence(here.told(), error)), 422
    here.page().go_by(new)
    return redirect(url_for("settings.show", said="kept"), 303)


@blueprint.post("/proxy")
def proxy() -> ResponseReturnValue:
    """Choose the connection through which all sites are reached."""
    place = here.place()
    chosen = request.form.get("proxy", "")
    if chosen == "other":
        chosen = request.form.get("other", "").strip()
        if not chosen:  # an empty proxy would mean a direct connection, perhaps unexpectedly
            return _page(here.told().say("unfit.proxy")), 422
    try:
        here.page().lock.settle(*place.names())
        settings.set_proxy(place, chosen)
    except KlankbordError as error:
        return _page(sentence(here.told(), error)), 422
    return redirect(url_for("settings.show", said="proxy"), 303)


@blueprint.post("/passphrase")
def change_passphrase() -> ResponseReturnValue:
    """Change the passphrase, if the current passphrase is given."""
    place, told = here.place(), here.told()
    new = request.form.get("passphrase", "")
    problem = passphrase_problem(new, request.form.get("again", ""))
    if problem:
        return _page(told.say(problem, least=passphrase.LEAST)), 422
    try:
        here.page().lock.settle_all()  # a fetch would also write the vault
        passphrase.confirm(place, request.form.get("old", ""))
        whole.change_passphrase(place, new)
    except (KlankbordError, OSError) as error:
        return _page(sentence(told, error)), 422
    return redirect(url_for("settings.show", said="passphrase"), 303)


def _number(name: str) -> int:
    """Return a number from the form; -1 if the text is not a number of at most five digits."""
    text = request.form.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 6 else -1


def _page(problem: str) -> str:
    place = here.place()
    said = request.args.get("said", "")
    return render_template(
        "settings.html", problem=problem, chosen=settings.settings(place),
        proxy=settings.proxy(place), proxies=PROXIES, languages=LANGUAGES,
        lock_range=LOCK_MINUTES, fetch_range=FETCH_MINUTES, least=passphrase.LEAST,
        drawn=here.page().proposed_passphrase(again=bool(problem)),
        said=said if said in _SAID else "",
    )  # fmt: skip
