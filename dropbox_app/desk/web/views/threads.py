"""The list of conversations ("Gesprekken") of all employers, with filters and search."""

from collections.abc import Mapping, Sequence

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import threads as actions
from dropbox_app.desk.actions.threads import Found, Listed
from dropbox_app.desk.storage.lists import Which
from dropbox_app.desk.web import here

blueprint = Blueprint("threads", __name__)

AT_ONCE = 100  # rows of a page
FOUND = 240  # characters of a message in the search results
# The conversations that each choice selects, by its name in the form.
TURNS: Mapping[str, Which] = {
    "": "all", "mine": "counsellor", "theirs": "reporter", "over": "nobody"
}  # fmt: skip


@blueprint.route("/threads", methods=["GET", "POST"])
def threads() -> ResponseReturnValue:
    """Show the conversations, or the results of a search.

    The search words and the choices are sent by POST, so that no address contains them.
    """
    words = request.form.get("words", "").strip()
    employer = request.form.get("employer", "")
    turn = request.form.get("turn", "")
    count = min(max(request.form.get("count", AT_ONCE, type=int), AT_ONCE), 100 * AT_ONCE)
    place = here.place()
    names = place.names()
    sites = [site for site, name in names.items() if employer in ("", name)]
    among = sites if employer else None
    searched = actions.search(place, words, among)
    found = actions.choose(place, sites, TURNS.get(turn, "all"), most=count)
    return render_template(
        "threads.html",
        found=found.first,
        all=found.all,
        more=count + AT_ONCE if found.all > count else 0,
        employers=sorted(set(names.values())),
        employer=employer,
        turn=turn,
        turns=[*TURNS],
        words=words,
        hits=_hits(searched.newest),
        most=len(searched.newest) if searched.more else 0,
        notes=_notes(words, among),
    )


def _hits(found: Sequence[Found]) -> list[dict[str, object]]:
    """Return the search results: the conversation, and the beginning of the message."""
    return [
        {
            "listed": one.listed,
            "day": one.message.day,
            "beginning": _beginning(one.message.text),
            "genuine": one.genuine,
        }
        for one in found
    ]


def _notes(words: str, sites: Sequence[str] | None) -> list[tuple[Listed, str]]:
    """Return the notes that a search found: the conversation, and the beginning of the note."""
    return [
        (one.listed, _beginning(one.text))
        for one in actions.search_notes(here.place(), words, sites)
    ]


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= FOUND else words[:FOUND].rpartition(" ")[0] + " …"
