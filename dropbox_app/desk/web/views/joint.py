"""Export and import counts, as sealed files, for the joint report of two counsellors.

Export and import both take two steps. The ten groups of the colleague's fingerprint are shown
first, and nothing is done until the counsellor confirms that the colleague read out the same
groups.
"""

import base64
import binascii
import io

from flask import Blueprint, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import annual, joint, register
from dropbox_app.desk.annual.sealed_counts import MAX_FILE
from dropbox_app.desk.web import forms, here
from dropbox_app.protocol.card import MAX_BYTES as MAX_CARD
from dropbox_app.protocol.keys import VerifyKey

blueprint = Blueprint("joint", __name__, url_prefix="/annual")


@blueprint.get("/<handle>/<int:year>/give")
def give(handle: str, year: int) -> ResponseReturnValue:
    """Ask for the card of the colleague who makes the report."""
    return _give(handle, year, [])


@blueprint.post("/<handle>/<int:year>/give")
def card(handle: str, year: int) -> ResponseReturnValue:
    """Show the name on the card and the ten groups of its fingerprint."""
    name, raw = here.registered("employer", handle), _chosen(MAX_CARD)
    try:
        read = joint.colleague(here.place(), raw)
        years = joint.years(here.place(), name, year)
    except forms.NOT_KEPT as error:
        return _give(handle, year, _problems(error)), 422
    return render_template(
        "joint_give_check.html", handle_here=handle, year=year, card=_text(raw), who=read.name,
        name=name, identity=read.identity, years=_named(years),
    )  # fmt: skip


@blueprint.post("/<handle>/<int:year>/give/file")
def give_file(handle: str, year: int) -> ResponseReturnValue:
    """Seal the counts for that colleague, close the years that they cover, and send the file."""
    name, raw = here.registered("employer", handle), _bytes("card")
    try:
        last = joint.years(here.place(), name, year)[-1]  # the year of the report
        made = joint.give(here.place(), name, str(last), raw, _confirmed)
    except forms.NOT_KEPT as error:
        return _give(handle, year, _problems(error)), 422
    return send_file(
        io.BytesIO(made), "application/octet-stream", as_attachment=True,
        download_name="counts.age",
    )  # fmt: skip


@blueprint.get("/counts")
def take() -> ResponseReturnValue:
    """Ask for the file that a colleague made."""
    return _take([])


@blueprint.post("/counts")
def counts() -> ResponseReturnValue:
    """Show the author of the file, the author's fingerprint, the employer and the years."""
    raw = _chosen(MAX_FILE)
    try:
        return _check(raw)
    except forms.NOT_KEPT as error:
        return _take(_problems(error)), 422


@blueprint.post("/counts/keep")
def keep() -> ResponseReturnValue:
    """Import the counts for the chosen employer."""
    place, raw = here.place(), _bytes("counts")
    try:
        name = here.registered("employer", request.form.get("employer", ""))
        taken = joint.take(place, raw, name, _confirmed)
    except forms.NOT_KEPT as error:
        return _take(_problems(error)), 422
    here.page().say(here.told().say("joint.taken", other=taken.name))
    handle, year = here.register_handle("employer", taken.employer), taken.years[-1]
    return redirect(url_for("annual.report", handle=handle, year=year, _anchor="main"), 303)


def _give(handle: str, year: int, problems: list[str]) -> str:
    name = here.registered("employer", handle)
    try:
        years = joint.years(here.place(), name, year)
    except forms.NOT_KEPT as error:
        years, problems = range(year, year + 1), problems or _problems(error)
    return render_template(
        "joint_give.html", handle_here=handle, year=year, name=name, problems=problems,
        state=annual.state(here.place(), name, years[-1]), years=_named(years),
        left_out=joint.left_to_colleague(here.place(), name, years),
    )  # fmt: skip


def _named(years: range) -> str:
    if len(years) == 1:
        return str(years[0])
    return here.told().say("annual.term_years", first=str(years[0]), last=str(years[-1]))


def _take(problems: list[str]) -> str:
    return render_template("joint_take.html", problems=problems)


def _check(raw: bytes) -> str:
    place = here.place()
    found = joint.opened(place, raw)
    names = register.employers(place)
    return render_template(
        "joint_take_check.html", counts=_text(raw), found=found, identity=found.by,
        years=_named(found.years),
        employers=[(here.register_handle("employer", one), one) for one in names],
    )  # fmt: skip


def _confirmed(_name: str, identity: VerifyKey) -> bool:
    """Return whether the counsellor confirmed the fingerprint of this file or card."""
    return request.form.get("confirmed") == str(identity)


def _problems(error: Exception) -> list[str]:
    place = here.place()
    return forms.problems(here.told(), place.machine.today(), error, "joint")


def _chosen(most: int) -> bytes:
    given = request.files.get("files")
    return bytes(given.read(most + 1)) if given is not None else b""


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(name: str) -> bytes:
    """Return the bytes that an earlier step put into the form; b"" if they cannot be decoded."""
    try:
        return base64.b64decode(request.form.get(name, ""), validate=True)
    except (binascii.Error, ValueError):
        return b""
