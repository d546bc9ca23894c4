"""The page of annual reports ("Jaarverslag"): gaps, preview, counsellor's words, issue, files."""

import io
from collections.abc import Mapping

from flask import Blueprint, abort, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import annual, report_words
from dropbox_app.desk.actions.annual import Shown, State, Written
from dropbox_app.desk.actions.report_words import Kept
from dropbox_app.desk.annual.render import FORMATS
from dropbox_app.desk.annual.report import LANGUAGES, OwnWords
from dropbox_app.desk.annual.words import MAX_WORDS
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import CHECKED, CHECKLIST
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.forms import Typed

blueprint = Blueprint("annual", __name__, url_prefix="/annual")

TYPES = {
    "pdf": "application/pdf", "html": "text/html", "md": "text/markdown", "csv": "text/csv",
    "json": "application/json",
}  # fmt: skip
# The part of the employer's page on which to fix a missing item of a report, ...
AT_EMPLOYER = {
    "no_term": "agreed", "no_term_end": "agreed", "no_headcount": "agreed", "form_wide": "agreed",
    "term_band": "agreed", "term_short": "agreed", "form_changed": "agreed",
    "form_changed_issued": "agreed", "bands_overlap": "agreed", "joint_unshared": "agreed",
    "no_price": "agreed", "price": "agreed", "two_names": "same", "nested": "about",
}  # fmt: skip
# ... or the part of the page of other work, or the page on this report's facts.
AT_WORK = {"register_number": "certificate", "upkeep": "upkeep"}
AT_FACTS = frozenset({"reachable", "stand_in", "discussed_with", "checklist", "field_long"})


@blueprint.get("")
def reports() -> ResponseReturnValue:
    """List the reports by year: issued, ready to view, or waiting, with the reason."""
    years: dict[int, list[tuple[str, State, str]]] = {}
    for one in annual.states(here.place()):
        handle = here.register_handle("employer", one.employer)
        years.setdefault(one.year, []).append((handle, one, _why(one)))
    return render_template("annual.html", years=years, said=here.page().take_said())


@blueprint.get("/<handle>/<int:year>")
def report(handle: str, year: int) -> ResponseReturnValue:
    """Show one report as issued or as it would be issued, or the reason why it must wait."""
    kept = here.page().take_typed()
    problem = here.told().say("unlock.kept") if kept is not None else ""
    return _page(handle, year, kept, problem)


@blueprint.post("/<handle>/<int:year>/words")
def keep(handle: str, year: int) -> ResponseReturnValue:
    """Store the counsellor's own words and the language, after checking the words."""
    place, name = here.place(), here.registered("employer", handle)
    had = report_words.kept(place, name, year).own  # the form does not always show them
    own = OwnWords(
        request.form.get("signals", had.signals), request.form.get("bottlenecks", had.bottlenecks)
    )
    try:
        if annual.state(place, name, year).issued:
            raise Unfit("This report was issued already.", "issued_words")
        new = Kept(request.form.get("language", ""), own)
        report_words.keep(place, name, year, new)
    except forms.NOT_KEPT as error:
        return _page(handle, year, request.form, sentence(here.told(), error)), 422
    here.page().say(here.told().say("annual.kept"))
    return redirect(url_for("annual.report", handle=handle, year=year, _anchor="main"), 303)


@blueprint.get("/<handle>/<int:year>/issue")
def last_look(handle: str, year: int) -> ResponseReturnValue:
    """Show the report and what can no longer change once it is issued, and ask for confirmation."""
    name = here.registered("employer", handle)
    if annual.state(here.place(), name, year).issued:
        return redirect(url_for("annual.report", handle=handle, year=year))
    return _last_look(handle, name, year, "")


@blueprint.post("/<handle>/<int:year>/issue")
def issue(handle: str, year: int) -> ResponseReturnValue:
    """Issue exactly the report that was shown."""
    place, told, name = here.place(), here.told(), here.registered("employer", handle)
    try:
        seal = request.form.get("seal", "")
        if not seal:
            raise Unfit("The report was not looked at.", "report_changed")
        if not annual.state(place, name, year).issued:  # after a double click, it is issued once
            annual.freeze(place, name, str(year), _language(name, year), seal=seal)
    except forms.NOT_KEPT as error:
        problems = forms.problems(told, place.machine.today(), error, "freeze")
        return _last_look(handle, name, year, " ".join(problems)), 409
    here.page().say(told.say("annual.issued_now"))
    return redirect(url_for("annual.report", handle=handle, year=year, _anchor="main"), 303)


@blueprint.get("/<handle>/<int:year>/report.<kind>")
def file(handle: str, year: int, kind: str) -> ResponseReturnValue:
    """Send the report as a file. A report that is not issued is marked as a draft."""
    _check(kind)
    name = here.registered("employer", handle)
    return _as_file(annual.write(here.place(), name, str(year), kind, _language(name, year)), kind)


@blueprint.get("/<handle>/<int:year>/bill.<kind>")
def bill(handle: str, year: int, kind: str) -> ResponseReturnValue:
    """Send the bill of a year as a file."""
    _check(kind)
    name = here.registered("employer", handle)
    return _as_file(annual.bill(here.place(), name, str(year), kind, _language(name, year)), kind)


@blueprint.get("/<handle>/<int:year>/facts")
def facts(handle: str, year: int) -> ResponseReturnValue:
    """Ask for the report's facts about the employer and the counsellor."""
    name = here.registered("employer", handle)
    kept = here.page().take_typed()
    if kept is None:
        return _facts(handle, name, year, None, [])
    return _facts(handle, name, year, kept, [here.told().say("unlock.kept")])


@blueprint.post("/<handle>/<int:year>/facts")
def keep_facts(handle: str, year: int) -> ResponseReturnValue:
    """Record changed facts, as of the end of that year."""
    place, told, name = here.place(), here.told(), here.registered("employer", handle)
    try:
        annual.set_facts(
            place, name, year, forms.given("employer", annual.FACTS),
            {one: request.form.get(one, "") for one in CHECKLIST},
        )  # fmt: skip
    except forms.NOT_KEPT as error:
        problems = forms.problems(told, place.machine.today(), error, "employer")
        return _facts(handle, name, year, request.form, problems), forms.status(error)
    here.page().say(told.say("annual.facts_kept"))
    return redirect(url_for("annual.report", handle=handle, year=year, _anchor="main"), 303)


def _page(handle: str, year: int, typed: Typed | None, problem: str) -> str:
    place, told, name = here.place(), here.told(), here.registered("employer", handle)
    state = annual.state(place, name, year)
    chosen = typed.get("language", "") if typed is not None else ""
    shown, refused = _shown(name, year, state)
    kept = report_words.kept(place, name, year)
    agreed = annual.agreed(place, name, year)
    empty = annual.empty(place, name, year)
    gaps = () if state.issued or state.given_to else empty
    return render_template(
        "annual_report.html",
        handle_here=handle, name=name, year=year, state=state, shown=shown,
        waits=_waits(handle, year, refused), agreed=agreed, problem=problem,
        gaps=[(gap, _where(handle, year, gap)) for gap in gaps],
        words=vars(kept.own) | (typed.to_dict() if typed is not None else {}),
        language=chosen or kept.language or told.lang,
        languages=LANGUAGES, formats=FORMATS, most=MAX_WORDS,
        has_bill=annual.has_price(place, name, year),
        said=here.page().take_said(),
    )  # fmt: skip


def _shown(name: str, year: int, state: State) -> tuple[Shown | None, Unfit | None]:
    """Return the report, or the reason why there is none."""
    if state.waits_for is not None or state.given_to:
        return None, state.waits_for
    place, reader = here.place(), here.told().lang
    try:
        return annual.show(place, name, str(year), _language(name, year), reader=reader), None
    except Unfit as error:
        return None, error


def _last_look(handle: str, name: str, year: int, problem: str) -> str:
    place, reader = here.place(), here.told().lang
    shown = annual.show(place, name, str(year), _language(name, year), reader=reader)
    return render_template(
        "annual_issue.html", handle_here=handle, name=name, year=year, shown=shown,
        problem=problem, agreed=annual.agreed(place, name, year),
    )  # fmt: skip


def _facts(handle: str, name: str, year: int, typed: Typed | None, problems: list[str]) -> str:
    place, told = here.place(), here.told()
    had = annual.facts(place, name, year)
    answers: Mapping[str, str] = annual.answers(place, name, year)
    return render_template(
        "annual_facts.html", handle_here=handle, name=name, year=year, problems=problems,
        asked=[one for key, one in forms.asked(told, "employer").items() if key in annual.FACTS],
        typed=typed if typed is not None else forms.typed(had),
        answers=typed if typed is not None else answers,
        checklist=CHECKLIST, checked=CHECKED,
    )  # fmt: skip


def _language(name: str, year: int) -> str:
    """Return the language in which to show a report; "" if issuing it has fixed the language."""
    if annual.state(here.place(), name, year).issued:
        return ""
    return report_words.kept(here.place(), name, year).language or here.told().lang


def _why(state: State) -> str:
    return sentence(here.told(), state.waits_for) if state.waits_for is not None else ""


def _waits(handle: str, year: int, reason: Unfit | None) -> tuple[str, str, str] | None:
    """Return why a report must wait: a sentence, its key, and the address at which to fix it."""
    if reason is None:
        return None
    return sentence(here.told(), reason), reason.key, _where(handle, year, reason.key)


def _where(handle: str, year: int, key: str) -> str:
    if key in AT_EMPLOYER:
        return url_for("employers.sheet", handle=handle, _anchor=AT_EMPLOYER[key])
    if key in AT_WORK:
        return url_for("work.work", _anchor=AT_WORK[key])
    if key in AT_FACTS:
        return url_for("annual.facts", handle=handle, year=year)
    return ""


def _check(kind: str) -> None:
    if kind not in FORMATS:
        abort(404)


def _as_file(made: Written, kind: str) -> ResponseReturnValue:
    """Return a response that makes the browser save a file."""
    return send_file(
        io.BytesIO(made.data), TYPES[kind], as_attachment=True, download_name=made.name
    )
