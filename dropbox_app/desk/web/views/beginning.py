"""The first run, one question on each page: invitation, profile, passphrase; or a backup.

Nothing is written to disk before the passphrase is chosen. Until then, all input is only in memory.
"""

import os
import tempfile
from pathlib import Path
from typing import cast, get_args

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import backups, passphrase, setup
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.forms import Typed
from dropbox_app.desk.web.here import without_desk
from dropbox_app.desk.web.i18n import LANGUAGES
from dropbox_app.protocol.card import Kind, Scope
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("beginning", __name__, url_prefix="/first")

PROXIES = ("", "socks5h://127.0.0.1:9150", "socks5h://127.0.0.1:9050")
KINDS, SCOPES = get_args(Kind), get_args(Scope)


@blueprint.get("")
@without_desk
def start() -> ResponseReturnValue:
    """Ask for the invitation."""
    if here.page().lock.exists:
        return redirect(url_for("entering.unlock"))
    return render_template("first_invitation.html", problem="", pasted="")


@blueprint.post("")
@without_desk
def take_invitation() -> ResponseReturnValue:
    """Accept the invitation, as a file or as pasted text."""
    raw = given_invitation()
    try:
        setup.invited(raw)
    except KlankbordError as error:
        problem = sentence(here.told(), error)
        pasted = request.form.get("invitation", "")
        return render_template("first_invitation.html", problem=problem, pasted=pasted), 422
    here.page().beginning.invitation = raw
    return redirect(url_for("beginning.you"), 303)


@blueprint.get("/you")
@without_desk
def you() -> ResponseReturnValue:
    """Ask for the counsellor's profile, which reporters will read."""
    begun = here.page().beginning
    if not begun.invitation:
        return redirect(url_for("beginning.start"))
    invitation = setup.invited(begun.invitation)
    proxy = begun.proxy or (setup.find_tor() if setup.needs_tor(invitation) else "")
    return _you(begun.profile or Profile("", "external", "both", LANGUAGES), proxy, "")


@blueprint.post("/you")
@without_desk
def take_you() -> ResponseReturnValue:
    """Accept the counsellor's profile. Errors in the card are shown before anything is created."""
    begun = here.page().beginning
    if not begun.invitation:
        return redirect(url_for("beginning.start"))
    profile = given_profile()
    proxy = request.form.get("proxy", "")
    try:
        setup.check(begun.invitation, profile, proxy, here.page().lock.machine)
    except KlankbordError as error:
        return _you(profile, proxy, sentence(here.told(), error)), 422
    begun.profile, begun.proxy = profile, proxy
    return redirect(url_for("beginning.choose"), 303)


def _you(profile: Profile, proxy: str, problem: str) -> str:
    invitation = setup.invited(here.page().beginning.invitation)
    return render_template(
        "first_you.html", problem=problem, profile=profile, proxy=proxy, proxies=PROXIES,
        employer=invitation.name, kinds=KINDS, scopes=SCOPES, languages=LANGUAGES,
        needs_tor=setup.needs_tor(invitation),
    )  # fmt: skip


@blueprint.get("/passphrase")
@without_desk
def choose() -> ResponseReturnValue:
    """Ask for a passphrase, and propose one."""
    if here.page().beginning.profile is None:
        return redirect(url_for("beginning.you"))
    return _choose("")


@blueprint.post("/passphrase")
@without_desk
def make() -> ResponseReturnValue:
    """Create the desk with the passphrase, and open it."""
    page, told = here.page(), here.told()
    begun = page.beginning
    if begun.profile is None:
        return redirect(url_for("beginning.you"))
    if page.lock.exists:
        return redirect(url_for("entering.unlock"))
    chosen = request.form.get("passphrase", "")
    problem = passphrase_problem(chosen, request.form.get("again", ""))
    if problem:
        return _choose(told.say(problem, least=passphrase.LEAST)), 422
    lock = page.lock
    try:
        setup.init(lock.folder, chosen, lock.machine, begun.invitation, begun.profile, begun.proxy)
        page.chosen_language = page.language
        page.unlock(chosen)
    except (KlankbordError, OSError) as error:
        return _choose(sentence(told, error)), 422
    page.beginning = here.Beginning()
    return redirect(url_for("cards.first"), 303)


def _choose(problem: str) -> str:
    page = here.page()
    return render_template(
        "first_passphrase.html", problem=problem, least=passphrase.LEAST,
        drawn=page.proposed_passphrase(again=bool(problem)), folder=str(page.lock.folder),
    )  # fmt: skip


@blueprint.get("/restore")
@without_desk
def restore() -> ResponseReturnValue:
    """Ask for a backup and its passphrase."""
    if here.page().lock.exists:
        return redirect(url_for("entering.unlock"))
    return render_template("first_restore.html", problem="", path="")


@blueprint.post("/restore")
@without_desk
def take_backup() -> ResponseReturnValue:
    """Restore the desk from a backup, and open it."""
    lock, told = here.page().lock, here.told()
    path, chosen = request.form.get("path", "").strip(), request.form.get("passphrase", "")
    given = request.files.get("files")
    try:
        if given is not None and given.filename:
            names = _restore_upload(given.read(), chosen)
        elif path:
            names = backups.restore(lock.folder, Path(path).expanduser(), chosen, lock.machine)
        else:
            problem = told.say("restore.none")
            return render_template("first_restore.html", problem=problem, path=path), 422
        here.page().unlock(chosen)
    except (KlankbordError, OSError) as error:
        problem = sentence(told, error)
        return render_template("first_restore.html", problem=problem, path=path), 422
    return render_template("first_restored.html", names=names)


def _restore_upload(sealed: bytes, chosen: str) -> list[str]:
    """Restore from a file that the browser sent.

    The file may be stored on disk, because it is sealed.
    """
    lock = here.page().lock
    lock.folder.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".klankbord-restore-", dir=lock.folder.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(sealed)
        return backups.restore(lock.folder, Path(name), chosen, lock.machine)
    finally:
        Path(name).unlink(missing_ok=True)


def given_invitation() -> bytes:
    """Return the invitation of a form: the chosen file, or else the pasted text."""
    given = request.files.get("files")
    if given is not None and given.filename:
        return bytes(given.read(setup.MAX_INVITATION + 1))
    return request.form.get("invitation", "").strip().encode("utf-8", "replace")


def given_profile(old: Profile | None = None, form: Typed | None = None) -> Profile:
    """Return the counsellor's profile from a form.

    An unknown word is replaced by the first allowed one. The form has no field for languages that
    the desk does not support; languages in ``old`` are kept. ``form`` defaults to the form of this
    request.
    """
    given = request.form if form is None else form
    kind, scope = given.get("kind", ""), given.get("scope", "")
    spoken = [one for one in LANGUAGES if one in given.getlist("languages")]
    said = {one: given.get(f"sentence_{one}", "") for one in LANGUAGES}
    if old is not None:
        spoken += [one for one in old.languages if one not in LANGUAGES]
        said |= {one: text for one, text in old.sentence.items() if one not in LANGUAGES}
    return Profile(
        given.get("name", ""),
        cast(Kind, kind if kind in KINDS else KINDS[0]),
        cast(Scope, scope if scope in SCOPES else SCOPES[0]),
        tuple(spoken),
        given.get("register_number", ""),
        said,
    )


def passphrase_problem(chosen: str, again: str) -> str:
    """Return the key of the problem with a new passphrase; "" if there is none."""
    verdict = passphrase.judge(chosen)
    if verdict == "short":
        return "passphrase.short"
    if verdict == "pattern":
        return "passphrase.pattern"
    return "" if chosen == again else "passphrase.differs"
