"""The page to announce or end an absence, at all employers or at some."""

import datetime

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import sites
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence

blueprint = Blueprint("away", __name__, url_prefix="/away")


@blueprint.get("")
def away() -> ResponseReturnValue:
    """Ask for the last day of the absence, and for the employers."""
    kept = here.page().take_typed()
    if kept is None:
        return _page("", None, [], MultiDict())
    try:
        until = _day(kept.get("until", ""))
    except ValueError:
        until = None
    return _page(here.told().say("unlock.kept"), until, _ticked(kept), kept)


@blueprint.post("")
def announce() -> ResponseReturnValue:
    """Announce the absence, or its end, at the employers that were ticked."""
    told, place = here.told(), here.place()
    ticked = _ticked(request.form)
    stand_in = request.form.get("stand_in", "").strip()
    try:
        until = _day(request.form.get("until", "")) if request.form.get("what") != "back" else None
    except ValueError:
        return _page(told.say("away.no_day"), None, ticked, request.form), 422
    if until is not None and until < place.machine.today():
        return _page(told.say("away.past"), until, ticked, request.form), 422
    if not ticked:
        return _page(told.say("away.no_site"), until, ticked, request.form), 422
    with here.page().lock.send_away(ticked):
        done = sites.away(place, until, at=ticked, stand_in=stand_in)
    said = [(one, sentence(told, one.failure) if one.failure else "") for one in done]
    return render_template("away_done.html", until=until, done=said)


def _ticked(form: MultiDict[str, str]) -> list[str]:
    by_handle = {here.page().handles.of(site, ""): site for site in here.place().names()}
    return [by_handle[one] for one in form.getlist("site") if one in by_handle]


def _page(
    problem: str, until: datetime.date | None, ticked: list[str], form: MultiDict[str, str]
) -> str:
    found = sorted(sites.sites(here.place()), key=lambda one: one.employer.casefold())
    rows = [
        (here.page().handles.of(one.site, ""), one, not ticked or one.site in ticked)
        for one in found
    ]
    return render_template(
        "away.html", problem=problem, rows=rows, until=until, today=here.place().machine.today(),
        stand_in=form.get("stand_in", ""), back=form.get("what") == "back",
    )  # fmt: skip


def _day(text: str) -> datetime.date:
    """Parse a day from a browser's form or as typed: 31-1-2027. Raises ValueError."""
    given = text.strip().replace("/", "-").replace(".", "-")
    parts = [int(part) for part in given.split("-")]
    if len(parts) != 3:
        raise ValueError("no day")
    year, month, day = parts if parts[0] > 31 else reversed(parts)
    return datetime.date(year, month, day)
