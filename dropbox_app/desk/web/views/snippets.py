"""The page of snippets: opening texts for answers, and the counsellor's own versions."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import snippets
from dropbox_app.desk.actions.snippets import Snippet
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import LANGUAGES

blueprint = Blueprint("snippets", __name__, url_prefix="/texts")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Show all texts, in the requested language or else in the language of the page."""
    asked = request.args.get("language", "")
    spoken = asked if asked in LANGUAGES else here.page().language
    found = snippets.snippets(here.place(), spoken)
    return render_template("snippets.html", snippets=found, spoken=spoken, languages=LANGUAGES)


@blueprint.get("/<language>/<name>")
def edit(language: str, name: str) -> ResponseReturnValue:
    """Show one text for editing."""
    found, kept = snippets.snippet(here.place(), name, language), here.page().take_typed()
    if kept is not None and "text" in kept:
        return _page(found, kept["text"], here.told().say("unlock.kept"))
    return _page(found, found.text, "")


@blueprint.post("/<language>/<name>")
def keep(language: str, name: str) -> ResponseReturnValue:
    """Store the counsellor's own version, or restore the default text."""
    place = here.place()
    given = request.form.get("text", "")
    if "shipped" in request.form:
        snippets.go_back(place, name, language)
        return redirect(url_for("snippets.edit", language=language, name=name, said="back"), 303)
    try:
        snippets.edit(place, name, language, given)
    except NotFound:
        raise
    except Unfit as error:
        found = snippets.snippet(place, name, language)
        return _page(found, given, sentence(here.told(), error)), 422
    return redirect(url_for("snippets.edit", language=language, name=name, said="kept"), 303)


def _page(found: Snippet, text: str, problem: str) -> str:
    said = request.args.get("said", "")
    return render_template(
        "snippet.html", snippet=found, text=text, problem=problem,
        said=said if said in ("kept", "back") else "",
    )  # fmt: skip
