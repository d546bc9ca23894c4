"""A redacted copy of a case: chosen field by field, viewed, and then written to a file."""

import datetime
from collections.abc import Iterator

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import copies
from dropbox_app.desk.actions.copies import Choice
from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import KINDS
from dropbox_app.desk.register.redacted import READERS, SHEET, Copy, Field, Part, Reader
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.forms import Typed
from dropbox_app.desk.web.i18n import Words
from dropbox_app.desk.web.views.files import chosen_folder, free_path, usual_folder
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("case_copy", __name__, url_prefix="/case/<handle>/copy")

# Labels for the reader of the copy, where the label of the form addresses the counsellor.
_LABELS = {
    ("case", "channel"): "casecopy.channel",
    ("case", "identity"): "casecopy.identity",
    ("contact", "how"): "casecopy.how",
    ("contact", "channel"): "casecopy.channel",
    ("contact", "help"): "casecopy.help_given",
    ("consent", "step"): "casecopy.consent_step",
    ("consent", "scope"): "casecopy.scope",
}


@blueprint.get("")
def ask(handle: str) -> ResponseReturnValue:
    """Ask for the reader and the fields of the copy. By default only day and kind are ticked."""
    found = copies.choice(here.place(), here.registered("case", handle))
    kept = here.page().take_typed()
    if kept is None:
        return _choose(handle, found, found.ticked, request.form)
    return _choose(handle, found, _chosen(kept), kept, here.told().say("unlock.kept"))


@blueprint.post("")
def look(handle: str) -> ResponseReturnValue:
    """Show the copy, or the choices again. Only a copy that was viewed can be written to a file."""
    place, told = here.place(), here.told()
    reference = here.registered("case", handle)
    found, chosen = copies.choice(place, reference), _chosen(request.form)
    if request.form.get("do") == "change":
        return _choose(handle, found, chosen, request.form)
    try:
        names = [line.strip() for line in request.form.get("names", "").splitlines()]
        sign = told.say("casecopy.sign")
        made = copies.copy(place, reference, _reader(request.form), chosen, names, sign)
    except KlankbordError as error:
        return _choose(handle, found, chosen, request.form, sentence(told, error)), 422
    text = "\n".join(_lines(told, found, made, place.machine.today())) + "\n"
    seen = request.form.get("text", "").replace("\r", "")  # forms send line ends with it
    if request.form.get("do") != "save" or seen != text:
        return _look(handle, found, made, text)
    try:
        path = free_path(chosen_folder(), place.machine.today().isoformat(), ".txt")
        write_outside(path, text.encode())
    except (KlankbordError, OSError) as error:
        return _look(handle, found, made, text, problem=sentence(told, error)), 409
    return _look(handle, found, made, text, saved=str(path))


def _reader(typed: Typed) -> Reader:
    return "employer" if typed.get("reader") == "employer" else "reporter"


def _chosen(typed: Typed) -> set[Field]:
    """Return the ticked fields.

    Unknown fields need no check, because they match no part of the case.
    """
    found = set()
    for one in typed.getlist("pick"):
        number, _, name = one.partition(".")
        if number.isdecimal() and len(number) < 9:
            found.add((int(number), name))
    return found


def _choose(handle: str, found: Choice, chosen: set[Field], typed: Typed, problem: str = "") -> str:
    told = here.told()
    return render_template(
        "case_copy.html", handle_here=handle, case=found.case, problem=problem,
        readers=[(one, told.say(f"casecopy.for_{one}")) for one in READERS],
        reader=_reader(typed), names=typed.get("names", ""),
        parts=[
            (one, _title(told, one),
             [(name, _label(told, one.kind, name), _said(told, one.kind, name, value),
               (one.number, name) in chosen) for name, value in one.fields.items()])
            for one in found.parts
        ],
    )  # fmt: skip


def _look(
    handle: str, found: Choice, made: Copy, text: str, problem: str = "", saved: str = ""
) -> str:
    told = here.told()
    return render_template(
        "case_copy_look.html", handle_here=handle, case=found.case, text=text, copy=made,
        reader=_reader(request.form), names=request.form.get("names", ""),
        picks=request.form.getlist("pick"),
        unchosen=_named(told, made.unchosen), withheld=_named(told, made.withheld),
        folder=request.form.get("folder") or str(usual_folder()), problem=problem, saved=saved,
    )  # fmt: skip


def _named(told: Words, given: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the names of the omitted fields that a page asks for, each once."""
    shown = [(kind, name) for kind, name in given if name in (*forms.ASKED[kind], "date")]
    return list(dict.fromkeys(_label(told, kind, name) for kind, name in shown))


def _lines(told: Words, found: Choice, made: Copy, today: datetime.date) -> Iterator[str]:
    yield told.say("casecopy.heading")
    yield told.say("casecopy.made", employer=found.case.employer, day=_day(told, today))
    yield told.say("casecopy.part", sign=told.say("casecopy.sign"))
    for one in made.parts:
        yield ""
        yield _title(told, one)
        for name, value in one.fields.items():
            said = _said(told, one.kind, name, value)
            yield f"{_label(told, one.kind, name)}: {said}"


def _day(told: Words, day: datetime.date) -> str:
    """Return a day with its year, because the copy may be read in a later year."""
    return told.date(day, datetime.date.min).replace("\u00a0", " ")


def _title(told: Words, one: Part) -> str:
    return told.say("casecopy.case" if one.number == SHEET else f"entry.kind_{one.kind}")


def _label(told: Words, kind: str, name: str) -> str:
    if name not in forms.ASKED[kind]:
        return told.say("casecopy.begun")  # the day of the sheet
    if (kind, name) in _LABELS:
        return told.say(_LABELS[kind, name])
    return forms.asked(told, kind)[name].label.rstrip("?")


def _said(told: Words, kind: str, name: str, value: Json) -> str:
    """Return a field's value in words."""
    if isinstance(value, bool):
        return told.say("register.yes" if value else "register.no")
    if isinstance(value, list):
        return ", ".join(told.say(f"choice.{name}.{one}") for one in value)
    shape = form.readers(KINDS[kind])[name].shape
    if shape == "day":
        return _day(told, datetime.date.fromisoformat(str(value)))
    return told.say(f"choice.{name}.{value}") if shape == "word" else str(value)
