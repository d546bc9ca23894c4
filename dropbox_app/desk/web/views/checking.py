"""Check the sites: the button, and the last result for each employer."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from dropbox_app.desk.actions import check_site
from dropbox_app.desk.actions.check_site import Checked
from dropbox_app.desk.site_check import words
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence

# Around a text of a site, whose direction of writing must not change the sentence.
_ISOLATED = Markup("<bdi>{}</bdi>")

blueprint = Blueprint("checking", __name__)


@blueprint.post("/check")
def start() -> ResponseReturnValue:
    """Start a check of all sites, unless one is running."""
    here.page().checking.start()
    return redirect(url_for("checking.show"), 303)


@blueprint.get("/check")
def show() -> ResponseReturnValue:
    """Show the last result for each employer."""
    checking, told = here.page().checking, here.told()
    return render_template(
        "check.html",
        sites=check_site.last(here.place()),
        summary=lambda one: words.summary(told.lang, one, kind=Markup, isolated=_ISOLATED.format),
        running=checking.under_way,
        failure=sentence(told, checking.failure) if checking.failure else "",
    )


def differing() -> list[Checked]:
    """Return the sites whose last check found something, those with an alarm first."""
    found = [
        one for one in check_site.last(here.place()) if any(not each.same for each in one.results)
    ]
    return sorted(found, key=lambda one: not one.alarm)
