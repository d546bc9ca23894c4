"""The list of cases ("Zaken") of all employers, open ones first, with filters."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import register, threads
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.web import here
from dropbox_app.desk.web.i18n import Words

blueprint = Blueprint("cases", __name__)

AT_ONCE = 100  # rows of a page
STATES = ("open", "closed", "all")


@blueprint.route("/cases", methods=["GET", "POST"])
def cases() -> ResponseReturnValue:
    """Show the cases.

    Search words and filters are sent by POST, so that no address contains them.
    """
    words = request.form.get("words", "").casefold().split()
    employer = request.form.get("employer", "")
    state = request.form.get("state", "")
    count = min(max(request.form.get("count", AT_ONCE, type=int), AT_ONCE), 100 * AT_ONCE)
    place, told = here.place(), here.told()
    found = [
        one
        for one in register.all_cases(place)
        if (not employer or one.employer == employer)
        and (state not in ("open", "closed") or bool(one.closed) == (state == "closed"))
        and (not words or _has(one, words, told))
    ]
    found.sort(key=lambda one: one.closed is not None)  # keeps the newest first within each group
    threads_shown = [one.sheet.thread for one in found[:count] if one.sheet.thread]
    return render_template(
        "cases.html",
        first_words=threads.first_words(place, threads_shown),
        found=[(here.register_handle("case", one.reference), one) for one in found[:count]],
        all=len(found),
        more=count + AT_ONCE if len(found) > count else 0,
        employers=register.employers(place),
        employer=employer,
        state=state if state in STATES else "all",
        states=STATES,
        words=request.form.get("words", "").strip(),
    )


def _has(one: Standing, words: list[str], told: Words) -> bool:
    """Return whether a case contains all the search words."""
    sheet = one.sheet
    topic = told.say(f"choice.main_group.{one.group}") if one.group else ""
    text = " ".join([one.reference, one.employer, sheet.label, sheet.goal, sheet.notes, topic])
    return all(word in text.casefold() for word in words)
