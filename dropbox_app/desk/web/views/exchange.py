"""Import and export ("In en uit"): write the register to a file, or read a table of past events."""

import base64
import binascii
import datetime
import zlib

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import earlier, register
from dropbox_app.desk.actions.earlier import Table
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.earlier import TAKEN, USUAL
from dropbox_app.desk.register.form import Refused
from dropbox_app.desk.register.tables import MAX_FILE, MAX_ROWS, MIB
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.views.files import chosen_folder, free_path, usual_folder
from dropbox_app.desk.web.vocabulary import vocabulary
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("exchange", __name__, url_prefix="/exchange")

FORMS = ("csv", "jsonl")
MOST_SHOWN = 500  # rows in the preview; those with a fault come first
MOST_NOTES = 80  # characters of notes in the preview
# The fields that the page lists for a table. A table may contain all fields of a row's kind.
NAMED = ("date", "employer", "minutes", "how", "channel", "with_whom", "topic", "help", "notes")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Ask whether to export the register or to import a table."""
    return _page()


@blueprint.post("/out")
def out() -> ResponseReturnValue:
    """Write the whole register to a file, if the person accepted that it will not be sealed."""
    place, told = here.place(), here.told()
    if request.form.get("sure") != "1":
        return _page(problem=told.say("exchange.unsure")), 422
    as_table = request.form.get("format") != "jsonl"
    data = earlier.table(place) if as_table else register.export(place).encode()
    try:
        day = place.machine.today().isoformat()
        path = free_path(chosen_folder(), day, ".csv" if as_table else ".jsonl")
        write_outside(path, data)
    except (KlankbordError, OSError) as error:
        return _page(problem=sentence(told, error)), 409
    return _page(saved=str(path))


@blueprint.post("/look")
def look() -> ResponseReturnValue:
    """Show whether each row would be imported and, if not, why. Nothing is stored."""
    chosen = request.files.get("files")
    raw = chosen.read(MAX_FILE + 1) if chosen else b""
    if not raw:
        return _page(wrong=[here.told().say("exchange.no_file")]), 422
    return _look(raw)


@blueprint.post("/take")
def take() -> ResponseReturnValue:
    """Import all rows of the table that was shown, or none."""
    place, told = here.place(), here.told()
    try:
        raw = _unpacked(request.form.get("table", ""))
        rows = len(earlier.look(place, raw, vocabulary(told)).new)
        earlier.take(place, raw, vocabulary(told), request.form.getlist("into"))
    except Refused:
        return _look(raw)  # show it again: a case was not ticked, or the register has changed since
    except (KlankbordError, OSError) as error:
        return _page(wrong=[sentence(told, error)]), 409
    here.page().say(told.count("exchange.taken", rows))
    return redirect(url_for("exchange.show", _anchor="main"), 303)


def _look(raw: bytes) -> ResponseReturnValue:
    place, told = here.place(), here.told()
    try:
        found = earlier.look(place, raw, vocabulary(told))
    except Refused as refused:
        return _page(wrong=_sentences(refused)), 422
    except KlankbordError as error:
        return _page(wrong=[sentence(told, error)]), 422
    ticked = request.form.getlist("into")
    untold = request.endpoint == "exchange.take" and any(
        one.reference not in ticked for one in found.into.values()
    )
    status = 422 if found.faults or untold else 200
    return render_template(
        "exchange_look.html", table=found, rows=_rows(found), packed=_packed(raw),
        most=MOST_SHOWN, left_out=_left_out(found),
        ticked=ticked, problem=told.say("exchange.into_unsure") if untold else "",
    ), status  # fmt: skip


def _rows(found: Table) -> list[tuple[int, str, list[str]]]:
    """Return each row with its number, what will happen to it, and its contents or faults."""
    told, today = here.told(), here.place().machine.today()
    made = []
    for one in sorted(found.rows, key=lambda row: (row.number not in found.faults, row.number)):
        kind = str(one.values.get("event", USUAL))
        if faults := found.faults.get(one.number):
            said = forms.problems(told, today, Refused(faults), kind)
            made.append((one.number, "wrong", said))
            continue
        shown = [told.date(one.event.event.date, datetime.date.min)] if one.event else []
        shown += [str(one.values[name]) for name in ("employer", "case") if name in one.values]
        minutes = one.values.get("minutes")
        shown += [told.count("contact.minutes", minutes)] if isinstance(minutes, int) else []
        notes = " ".join(getattr(found.new.get(one.number), "notes", "").split())
        shown += [notes if len(notes) <= MOST_NOTES else f"{notes[:MOST_NOTES]}…"] if notes else []
        label = told.say("casecopy.case" if kind == "case" else f"entry.kind_{kind}")
        state = "new" if one.number in found.new else "there"
        made.append((one.number, state, [" · ".join([label, *shown])]))
    return made


def _left_out(found: Table) -> str:
    names = [
        one for one in found.added.left_out if one in forms.ASKED["contact"] + forms.ASKED["case"]
    ]
    return here.told().listed([here.told().say(f"field.{one}").lower() for one in names])


def _sentences(refused: Refused) -> list[str]:
    """Return sentences about the problems with a file or its header."""
    told, today = here.told(), here.place().machine.today()
    return [
        told.say("exchange.column", column=told.say(f"field.{one.field}"))
        if getattr(one.sentence, "key", "") == "column_missing"
        else forms.problems(told, today, Refused((one,)), "")[0]
        for one in refused.faults
    ]


def _packed(raw: bytes) -> str:
    """Return a table as text for a form field: at most 5.4 MiB, even if it cannot be compressed.

    The form must not be ``multipart/form-data``, whose fields are limited to ``uploads.MOST_TEXT``.
    """
    return base64.b64encode(zlib.compress(raw, 9)).decode("ascii")


def _unpacked(packed: str) -> bytes:
    """Return the table that a preview stored in its form. Raises Unfit if the table is invalid."""
    try:
        read = zlib.decompressobj()
        # One byte more than the maximum: at the limit, zlib would not notice the end of its data.
        raw = read.decompress(base64.b64decode(packed, validate=True), MAX_FILE + 1)
    except (binascii.Error, ValueError, zlib.error):
        raw, read = b"", zlib.decompressobj()
    if not raw or not read.eof:
        raise Unfit("Choose the table again.", "table_again")
    return raw


def _page(problem: str = "", saved: str = "", wrong: list[str] | None = None) -> str:
    told = here.told()
    return render_template(
        "exchange.html", problem=problem, saved=saved, wrong=wrong or [],
        folder=request.form.get("folder") or str(usual_folder()),
        formats=FORMS, format=request.form.get("format", FORMS[0]),
        columns=[told.say(f"field.{name}").rstrip("?") for name in NAMED],
        kinds=[told.say("casecopy.case" if kind == "case" else f"entry.kind_{kind}")
               for kind in TAKEN],
        most_rows=MAX_ROWS, most_size=MAX_FILE // MIB, said=here.page().take_said(),
    )  # fmt: skip
