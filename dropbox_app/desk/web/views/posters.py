"""Poster and wallet cards, made for one employer and sent as a file to print."""

import io
from typing import cast, get_args

from flask import Blueprint, render_template, request, send_file
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import printables
from dropbox_app.desk.actions.printables import Kind, Printed
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import LANGUAGES
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("posters", __name__, url_prefix="/posters")

_KINDS = get_args(Kind)


@blueprint.get("")
def posters() -> ResponseReturnValue:
    """Ask for the employer, the kind, and the contents."""
    return _page("")


@blueprint.post("")
def make() -> ResponseReturnValue:
    """Send the file."""
    kind, spoken = request.form.get("kind", ""), request.form.get("language", "")
    site, _ = here.thread_of(request.form.get("site", ""))
    try:
        made = printables.of_site(
            here.place(), cast(Kind, kind if kind in _KINDS else _KINDS[0]), spoken,
            phone=request.form.get("phone", ""), hours=request.form.get("hours", ""), site=site,
        )  # fmt: skip
    except KlankbordError as error:
        return _page(sentence(here.told(), error)), 422
    return as_file(made)


def _page(problem: str) -> str:
    names = here.place().names()
    known = [(here.page().handles.of(site, ""), name) for site, name in names.items()]
    known.sort(key=lambda one: one[1].casefold())
    return render_template(
        "posters.html", problem=problem, sites=known, kinds=_KINDS, languages=LANGUAGES,
        given=request.form,
    )  # fmt: skip


def as_file(made: Printed) -> ResponseReturnValue:
    """Return a response that the browser saves as a file."""
    return send_file(io.BytesIO(made.data), made.type, as_attachment=True, download_name=made.name)
