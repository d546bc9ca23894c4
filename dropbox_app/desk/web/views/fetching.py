"""Fetch: the button, the progress, and the result for each employer."""

from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions.sites import Fetched
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence

blueprint = Blueprint("fetching", __name__)


@blueprint.post("/fetch")
def start() -> ResponseReturnValue:
    """Start a fetch, unless one is running, and show its progress."""
    here.page().fetching.start()
    return redirect(url_for("fetching.progress"), 303)


@blueprint.get("/fetch")
def progress() -> ResponseReturnValue:
    """Show the progress of the fetch for each employer, and the result at the end."""
    fetching = here.page().fetching
    last = fetching.last
    failure = sentence(here.told(), fetching.failure) if fetching.failure else ""
    return render_template(
        "fetch.html", round=last, results=_results(last.done) if last else [], failure=failure,
        running=fetching.under_way,
    )  # fmt: skip


def _results(done: Sequence[Fetched]) -> list[tuple[str, Fetched]]:
    """Return the results, each with its employers: first new messages, then problems.

    Employers with the same result share one entry.
    """
    told = here.told()
    found: dict[tuple[bool, bool, str, str], list[Fetched]] = {}
    for one in done:
        wrong = sentence(told, one.failure) if one.failure else ""
        new = sum(one.report.new.values())
        alone = one.site if new or one.sent or one.report.news else ""
        found.setdefault((not new, not (wrong or alone), wrong, alone), []).append(one)
    return [
        (", ".join(sorted((one.employer for one in same), key=str.casefold)), same[0])
        for _, same in sorted(found.items(), key=lambda pair: pair[0])
    ]
