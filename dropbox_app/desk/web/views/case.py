"""The page of a case ("Zaak"): the questions, the steps, the reporter's consents, the closing."""

import datetime
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import (
    corrections,
    joint,
    matching,
    register,
    retention,
    threads,
    writing,
)
from dropbox_app.desk.errors import NotFound
from dropbox_app.desk.register import cases, consents, due, form
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.categories import GROUPS
from dropbox_app.desk.register.events import Close, Complaint, Consent, Contact, Joint, Step
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.web import forms, here
from dropbox_app.desk.web.draft import Form
from dropbox_app.desk.web.forms import Typed
from dropbox_app.desk.web.i18n import words
from dropbox_app.protocol.encoding import Json

blueprint = Blueprint("case", __name__, url_prefix="/case")

AFTERCARE_WEEKS, DESTROY_MONTHS = 6, 12  # after the close, as the forms propose them
MOST_OTHERS = 200  # cases that can be marked on this page
MARKS = ("belongs_with", "conflicts_with")
EXCEPTION = (
    "consent_was_sought", "no_other_way", "serious_harm", "moral_distress",
    "as_small_as_possible",
)  # fmt: skip
_ENTRIES = (Contact, Step, Complaint, Close, Consent)


@dataclass(frozen=True)
class Refusal:
    """A refused form of the page: its name, the reason, and the typed values."""

    form: str = ""
    problems: list[str] = field(default_factory=list)
    fields: Typed = field(default_factory=MultiDict)

    def of(self, form: str, start: Mapping[str, str]) -> Typed:
        """Return the values that a form shows."""
        return self.fields if self.form == form else MultiDict(dict(start))


@blueprint.get("/of/<thread>")
def of_thread(thread: str) -> ResponseReturnValue:
    """Redirect to the case of a conversation, which is created if it does not exist."""
    _, mailbox = here.thread_of(thread)
    found = [one for one in register.all_cases(here.place()) if one.sheet.thread == mailbox]
    if not found:
        abort(404)
    return redirect(url_for("case.show", handle=here.register_handle("case", found[0].reference)))


@blueprint.get("/<handle>")
def show(handle: str) -> ResponseReturnValue:
    """Show the case."""
    kept = here.page().take_typed()
    if kept is None:
        return _page(handle, Refusal())
    return _page(handle, Refusal(kept["form"], [here.told().say("unlock.kept")], kept))


def _page(handle: str, refusal: Refusal) -> str:
    place, told, page = here.place(), here.told(), here.page()
    found = register.case(place, here.registered("case", handle))
    try:
        register.take_consents(place, found)
    except OSError:
        if not refusal.form:
            raise  # the typed text is shown again even if the disk is full
    today = place.machine.today()
    entries = register.of_case(place, found)
    level = cases.level(register.sheet(place, found.employer))
    others = [
        one for one in register.all_cases(place, found.employer) if one.reference != found.reference
    ]
    return render_template(
        "case.html",
        handle_here=handle,
        case=found,
        level=level,
        ledger=consents.ledger([event for _, event in entries], found.reference, today),
        good_for=consents.GOOD_FOR,
        entries=[
            (here.register_handle("entry", str(number)), event)
            for number, event in reversed(entries)
            if isinstance(event, _ENTRIES)
        ],
        thread=_thread(found),
        asked={kind: forms.asked(told, kind, level) for kind in
               ("case", "consent", "step", "complaint", "close")},
        sheet=_sheet(found),
        marks={mark: _marked(found, mark, others) for mark in MARKS},
        others=[(here.register_handle("case", one.reference), one)
                for one in others[:MOST_OTHERS]],
        labels=_labels(),
        steps=_STEP,
        exception=EXCEPTION,
        refusal=refusal,
        starts=_starts(today),
        once=secrets.token_urlsafe(12),
        said=page.take_said(),
    )  # fmt: skip


@blueprint.post("/<handle>/<what>")
def keep(handle: str, what: str) -> ResponseReturnValue:
    """Record the contents of one of the page's forms."""
    if what not in _FORMS:
        abort(404)
    place, page = here.place(), here.page()
    found = register.case(place, here.registered("case", handle))
    pressed = (request.form.get("once", ""), hash((what, *sorted(request.form.items(multi=True)))))
    if not page.first_press(pressed):
        return _back(handle)
    try:
        done = _FORMS[what](found)
    except forms.NOT_KEPT as error:
        page.press_again(pressed)
        kind = {"answer": "consent", "exception": "step"}.get(what, what)
        problems = forms.problems(here.told(), place.machine.today(), error, kind)
        refusal = Refusal(request.form.get("form", what), problems, request.form)
        return _page(handle, refusal), forms.status(error)
    except BaseException:
        page.press_again(pressed)
        raise
    page.say(here.told().say(done))
    return _back(handle)


def _record(found: Standing, kind: str, names: tuple[str, ...] = (), **fixed: Json) -> None:
    place = here.place()
    values = forms.given(kind, names, employer=found.employer, case=found.reference, **fixed)
    register.record(place, form.parse(values, place.machine.today()))


def _consent(found: Standing) -> str:
    """Record a consent that the reporter gave in person, with its own question."""
    used = {event.consent for _, event in register.of_case(here.place(), found)
            if isinstance(event, Consent)}  # fmt: skip
    number = next(n for n in range(1, len(used) + 2) if f"{found.reference}.{n}" not in used)
    _record(found, "consent", consent=f"{found.reference}.{number}", source="oral")
    return "case.consent_done"


def _answer(found: Standing) -> str:
    """Record a later answer to an existing question."""
    name = request.form.get("consent", "")
    _record(found, "consent", ("date", "answer"), consent=name, source="oral")
    return "case.consent_done"


def _step(found: Standing) -> str:
    """Record a step outside the confidential talk, taken with the reporter's consent."""
    _record(found, "step", _STEP, consent=request.form.get("consent", "") or None)
    return "case.step_told" if _thread(found) else "case.step_done"


def _exception(found: Standing) -> str:
    """Record a step without consent. An unticked question counts as "no"."""
    answers = {name: bool(request.form.get(name)) for name in EXCEPTION}
    _record(found, "step", (*_STEP, "why"), **answers)
    return "case.exception_done"


def _complaint(found: Standing) -> str:
    _record(found, "complaint")
    return "case.complaint_done"


def _close(found: Standing) -> str:
    _record(found, "close")
    return "case.close_done"


def _reopen(found: Standing) -> str:
    today = here.place().machine.today().isoformat()
    _record(found, "case", ("date",), date=today, phase="reopened")
    return "case.reopen_done"


def _mark(found: Standing) -> str:
    """Add or remove a private mark between this case and another."""
    mark = request.form.get("mark", "")
    if mark not in MARKS:
        abort(404)
    if not request.form.get("other"):
        said = Sentence("is missing; choose one", "choose_case")
        raise Refused((Fault(0, "case", said),))
    other = here.registered("case", request.form["other"])
    if request.form.get("away"):
        corrections.unmark(here.place(), found.reference, other, mark)
        return "case.mark_away"
    now = dict.fromkeys([*getattr(found.sheet, mark), other])
    today = here.place().machine.today().isoformat()
    _record(found, "case", ("date",), date=today, **{mark: list(now)})
    return "case.mark_done"


def _word(found: Standing) -> str:
    """Draw matching words for a case at random."""
    matching.give(here.place(), found.reference, here.page().language)
    return "match.made"


_STEP = ("date", "step", "partner", "named", "formal")
_FORMS: Mapping[str, Callable[[Standing], str]] = {
    "consent": _consent, "answer": _answer, "step": _step, "exception": _exception,
    "complaint": _complaint, "close": _close, "reopen": _reopen, "mark": _mark,
    "word": _word,
}  # fmt: skip


@blueprint.post("/<handle>/match/<thread>")
def match(handle: str, thread: str) -> ResponseReturnValue:
    """Join a conversation to the case whose matching words it contains."""
    place, (site, mailbox) = here.place(), here.thread_of(thread)
    here.page().lock.settle(site)
    found = matching.join(place, mailbox, here.registered("case", handle))
    place.change_key_if_due()
    here.page().say(here.told().say("match.joined"))
    return redirect(url_for("case.show", handle=here.register_handle("case", found.reference)), 303)


@blueprint.post("/<handle>/tell/<entry>")
def tell(handle: str, entry: str) -> ResponseReturnValue:
    """Redirect to the conversation, with a text that tells the reporter what was done."""
    place = here.place()
    found = register.case(place, here.registered("case", handle))
    step = corrections.entry(place, int(here.registered("entry", entry)))
    thread = _thread(found)
    if not thread or not isinstance(step, Step):
        abort(404)
    site, mailbox = here.thread_of(thread)
    told = words(writing.language(place.desk(site), mailbox))
    day = told.date(step.date, place.machine.today())
    key, nameless = "tell.with" if step.partner else "tell.done", "tell.step"
    if not step.consent:  # an exception, to which the reporter did not agree
        key, nameless = "tell.exception", "tell.exception_step"
    text = told.say(key, day=day, step=step.step or told.say(nameless), who=step.partner)
    here.page().proposed = (thread, Form("reply", {"text": text}))
    return redirect(url_for("thread.thread", handle=thread, _anchor="write"), 303)


@blueprint.get("/<handle>/sheet")
def sheet(handle: str) -> ResponseReturnValue:
    """Ask for the subject and details of the case."""
    found = register.case(here.place(), here.registered("case", handle))
    kept = here.page().take_typed()
    if kept is None:
        return _sheet_page(handle, found, forms.typed(found.sheet), [])
    return _sheet_page(handle, found, kept, [here.told().say("unlock.kept")])


@blueprint.post("/<handle>/sheet")
def keep_sheet(handle: str) -> ResponseReturnValue:
    """Store the details of the case. A cleared field becomes empty."""
    place, told = here.place(), here.told()
    found = register.case(place, here.registered("case", handle))
    shown = _shown(found)
    try:
        corrections.set_sheet(place, found.reference, forms.given("case", shown), shown)
        place.change_key_if_due()
    except forms.NOT_KEPT as error:
        problems = forms.problems(told, place.machine.today(), error, "case")
        return _sheet_page(handle, found, request.form, problems), forms.status(error)
    here.page().say(told.say("case.sheet_done"))
    _say_if_closed(found, register.case(place, found.reference))
    return _back(handle)


def _say_if_closed(before: Standing, after: Standing) -> None:
    """Say that a changed mark comes too late for the report in which the situation counts."""
    if before.sheet.colleague_counts == after.sheet.colleague_counts:
        return
    place, told = here.place(), here.told()
    closed, year = joint.closed_by(place, after), str(joint.counted_year(place, after))
    if isinstance(closed, Joint):
        here.page().say(told.say("case.colleague_given", year=year, other=closed.counsellor))
    elif closed is not None:
        here.page().say(told.say("case.colleague_frozen", year=year))


@blueprint.get("/<handle>/destroy")
def last_look(handle: str) -> ResponseReturnValue:
    """Show what will be destroyed, and ask for a final confirmation."""
    found = register.case(here.place(), here.registered("case", handle))
    entries = register.of_case(here.place(), found)
    return render_template(
        "case_destroy.html", handle_here=handle, case=found, sheet=_sheet(found),
        labels=_labels(), entries=len(entries), thread=_thread(found),
    )  # fmt: skip


@blueprint.post("/<handle>/destroy")
def destroy(handle: str) -> ResponseReturnValue:
    """Destroy the case and its conversation. The database gets a new key immediately."""
    place = here.place()
    found = register.case(place, here.registered("case", handle))
    thread = _thread(found)
    if thread:
        here.page().lock.settle(here.thread_of(thread)[0])
    retention.destroy(place, found)
    place.change_key_if_due()
    here.page().say(here.told().say("destroy.done"))
    return redirect(url_for("today.today"), 303)


def _sheet_page(handle: str, found: Standing, typed: Typed, problems: list[str]) -> str:
    level = cases.level(register.sheet(here.place(), found.employer))
    return render_template(
        "case_sheet.html", handle_here=handle, case=found, typed=typed, problems=problems,
        asked=[one for name, one in forms.asked(here.told(), "case", level).items()
               if name in _shown(found)],
        level=level, groups=GROUPS,
    )  # fmt: skip


def _labels() -> dict[str, str]:
    return {name: one.label for name, one in forms.asked(here.told(), "case").items()}


def _shown(found: Standing) -> tuple[str, ...]:
    """Return the fields of the sheet's form. The joint mark is included only if needed."""
    place = here.place()
    level = cases.level(register.sheet(place, found.employer))
    needed = found.sheet.colleague_counts or joint.is_shared(place, found.employer)
    return tuple(
        name for name in forms.asked(here.told(), "case", level) if name != joint.MARK or needed
    )


def _sheet(found: Standing) -> dict[str, Json]:
    """Return the sheet's values, except those shown elsewhere on the page.

    The main group is the one in which the case is counted, even if only a contact states it.
    """
    apart = (
        "event",
        "date",
        "employer",
        "case",
        "label",
        "thread",
        "match_word",
        "phase",
        "began",
        "began_group",
        *MARKS,
    )
    shown = {name: one for name, one in form.to_json(found.sheet).items() if name not in apart}
    return {**shown, "main_group": found.group} if found.group else shown


def _marked(found: Standing, mark: str, others: list[Standing]) -> list[tuple[str, Standing]]:
    """Return the cases that a mark links to this case, whichever of the two has the mark."""
    if mark == "belongs_with":
        there = found.related
    else:
        there = {one.reference for one in others if found.reference in one.sheet.conflicts_with}
        there |= set(found.sheet.conflicts_with)
    return [
        (here.register_handle("case", one.reference), one)
        for one in others
        if one.reference in there
    ]


def _thread(found: Standing) -> str:
    """Return the handle of the case's conversation; "" if it has none."""
    if not found.sheet.thread:
        return ""
    try:
        desk, mailbox = threads.find(here.place(), found.sheet.thread)
    except NotFound:
        return ""
    return here.page().handles.of(desk.state.site, mailbox)


def _starts(today: datetime.date) -> dict[str, dict[str, str]]:
    """Return the values that forms show before anything is typed."""
    after = today + datetime.timedelta(weeks=AFTERCARE_WEEKS)
    end = due.months_after(today, DESTROY_MONTHS)
    day = {"date": today.isoformat()}
    return {
        "day": day,
        "close": day | {"aftercare_on": after.isoformat(), "destroy_on": end.isoformat()},
    }


def _back(handle: str) -> ResponseReturnValue:
    return redirect(url_for("case.show", handle=handle, _anchor="main"), 303)
