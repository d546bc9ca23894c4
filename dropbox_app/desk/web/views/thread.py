"""The page of a conversation ("Gesprek"): read it, answer it, and all other actions on it."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from dropbox_app.desk.actions import files, matching, notes, snippets, threads, writing
from dropbox_app.desk.errors import Kept, Unfit
from dropbox_app.desk.session import Desk
from dropbox_app.desk.threads.attachments import Source
from dropbox_app.desk.web import here
from dropbox_app.desk.web.draft import Form
from dropbox_app.desk.web.errors import news, sentence
from dropbox_app.desk.web.reading import conversation, is_formal
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.retrieval_code import LANGUAGES

blueprint = Blueprint("thread", __name__, url_prefix="/t/<handle>")

OPTIONS = 6  # the maximum according to SPEC section 4
LEAST_ROWS, ROW = 10, 55  # of the field for an answer: rows, and the characters that fit in a row
_OPTION_PARTS = ("title", "pro", "con")
_FILES = "files"  # the field with the files of an answer


@dataclass(frozen=True)
class Typed:
    """The values typed into a form and the problem with them, kept until the form is sent."""

    form: str = ""  # the name of the form: reply, consent, options, notice, own
    problem: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    def of(self, form: str, name: str, usual: str = "") -> str:
        """Return the value that the field of a form shows."""
        return self.fields.get(name, usual) if self.form == form else usual

    def wrong(self, form: str) -> str:
        """Return the problem with a form; "" if there is none."""
        return self.problem if self.form == form else ""


@blueprint.get("/")
def thread(handle: str) -> ResponseReturnValue:
    """Show the conversation, and then mark new messages as seen."""
    waiting = here.page().draft.take(here.place(), handle)
    proposed = here.page().take_proposed(handle)
    if waiting is None:
        return _page(handle, Typed(proposed.name, "", proposed.fields) if proposed else Typed())
    told = here.told().say("unlock.kept")
    if _FILES in waiting.fields:
        told += " " + here.told().say("reply.files_again")
    return _page(handle, Typed(waiting.name, told, waiting.fields))


def _page(handle: str, typed: Typed, status: int = 200) -> ResponseReturnValue:
    site, mailbox = here.thread_of(handle)
    page, place, told = here.page(), here.place(), here.told()
    opened = threads.read(place, mailbox, site)
    shown = conversation(opened.case, told)
    language = writing.language(opened.desk, mailbox)
    match = matching.proposed(place, opened)
    html = render_template(
        "thread.html",
        handle_here=handle,
        listed=opened.listed,
        conversation=shown,
        typed=typed,
        match=match,
        match_handle=here.register_handle("case", match.reference) if match else "",
        note=notes.note(place, mailbox, site),
        snippets=snippets.snippets(place, language),
        language=language,
        pages_in=_pages_in(opened.desk, mailbox),
        away=opened.desk.state.away,
        is_being_fetched=page.lock.is_away(site),
        options=range(1, OPTIONS + 1),
        rows=_rows(typed.of("reply", "text")),
        once=secrets.token_urlsafe(12),
        said=page.take_said(),
    )
    if not page.lock.is_away(site):  # otherwise a fetch is using the site's state
        threads.mark_seen(opened)
    return html, status


def _rows(text: str) -> int:
    """Return the number of rows that a text needs, for browsers that cannot resize the field.

    In other browsers, the style sheet fits the field to the text, even on a narrow screen.
    """
    return max(LEAST_ROWS, sum(len(line) // ROW + 1 for line in text.split("\n")))


def _pages_in(desk: Desk, mailbox: str) -> str:
    """Return the language of the reporter's pages, or "" if the desk has texts in that language."""
    spoken = writing.pages_language(desk, mailbox)
    return "" if spoken in ("", *LANGUAGES) else here.told().language(spoken)


@blueprint.post("/reply")
def reply(handle: str) -> ResponseReturnValue:
    """Send an answer; if ``insert`` is set or no text was typed, insert the snippet instead."""
    text = request.form.get("text", "")
    name = request.form.get("snippet", "")
    if "insert" in request.form and not name:
        return _page(handle, _typed("reply", here.told().say("reply.snippet_missing")), 409)
    if name and ("insert" in request.form or not text.strip()):
        return _with_snippet(handle, name, text)
    return _send(handle, "reply", lambda: writing.reply(_needed(text, "reply.empty"), _uploaded()))


def _with_snippet(handle: str, name: str, text: str) -> ResponseReturnValue:
    site, mailbox = here.thread_of(handle)
    opened = threads.read(here.place(), mailbox, site)
    found = snippets.snippet(here.place(), name, writing.language(opened.desk, mailbox))
    filled = f"{text.rstrip()}\n\n{found.text}" if text.strip() else found.text
    return _page(handle, Typed("reply", _files_again(), {"text": filled, "snippet": name}))


@blueprint.post("/consent")
def consent(handle: str) -> ResponseReturnValue:
    """Ask for consent to a step. For a formal step, first ask for confirmation."""
    step, with_whom, scope = (request.form.get(name, "") for name in ("step", "with", "scope"))
    successor = request.form.get("successor", "").strip()
    if is_formal(step, with_whom) and "formal" not in request.form:
        return _page(handle, _typed("consent", here.told().say("consent.formal")), 409)
    return _send(
        handle,
        "consent",
        lambda: writing.question(
            *(_needed(one, "consent.empty") for one in (step, with_whom, scope))
        ),
        successor,
    )


@blueprint.post("/options")
def options(handle: str) -> ResponseReturnValue:
    """Offer the reporter a choice of options."""
    return _send(handle, "options", _options)


def _options() -> writing.Message:
    """Return the options of the form, without empty ones. Raises Unfit."""
    told = here.told()
    rows = [
        {part: request.form.get(f"{part}{number}", "").strip() for part in _OPTION_PARTS}
        for number in range(1, OPTIONS + 1)
    ]
    given = [row for row in rows if any(row.values())]
    if len(given) < 2 or not all(all(row.values()) for row in given):
        raise Incomplete(told.say("options.incomplete"))
    body = {"text": request.form.get("text", "").strip(), "options": given}
    return writing.options(json.dumps(body).encode())


@blueprint.post("/notice")
def notice(handle: str) -> ResponseReturnValue:
    """Tell the reporter the status of the conversation: closed, or open again."""
    status, text = request.form.get("status", ""), request.form.get("text", "").strip()
    if status == "longer":
        return _sending(handle, "notice", lambda site, box: _extend(site, box))
    return _send(handle, "notice", lambda: writing.notice(status, text))


def _extend(site: str, mailbox: str) -> None:
    desk, box = threads.find(here.place(), mailbox, site)
    writing.extend(here.place(), desk, box)


@blueprint.post("/own")
def own(handle: str) -> ResponseReturnValue:
    """Store the counsellor's own name for the conversation and the private note, in one step."""
    return _locally(handle, "own", "own.done", _keep_own)


def _keep_own(site: str, mailbox: str) -> None:
    """Store the fields that were sent. A missing field keeps its earlier value."""
    place, given = here.place(), request.form
    if "label" in given:
        threads.label(place, mailbox, given["label"], site)
    if "note" in given:
        notes.write_note(place, mailbox, given["note"], site)


@blueprint.get("/forget")
def last_look(handle: str) -> ResponseReturnValue:
    """Show what will be permanently deleted, and ask for a final confirmation."""
    site, mailbox = here.thread_of(handle)
    opened = threads.read(here.place(), mailbox, site)
    return render_template(
        "forget.html",
        handle_here=handle,
        listed=opened.listed,
        conversation=conversation(opened.case, here.told()),
        note=notes.note(here.place(), mailbox, site),
        problem="",
    )


@blueprint.post("/forget")
def forget(handle: str) -> ResponseReturnValue:
    """Delete the conversation from this computer. The database gets a new key immediately."""
    site, mailbox = here.thread_of(handle)
    here.page().lock.settle(site)
    threads.forget(here.place(), mailbox, site)
    here.place().change_key_if_due()
    here.page().say(here.told().say("forget.done"))
    return redirect(url_for("today.today"), 303)


def _back(handle: str) -> ResponseReturnValue:
    """Redirect to the top of the page, where the result is shown.

    If the new address had no fragment (the part after #), a browser would keep the old fragment.
    """
    return redirect(url_for("thread.thread", handle=handle, _anchor="main"), 303)


class Incomplete(Unfit):
    """A field was left empty; the message of the error is already in the person's language."""


def _needed(text: str, key: str) -> str:
    if not text.strip():
        raise Incomplete(here.told().say(key))
    return text


def _uploaded() -> list[Source]:
    """Return the files of the form, from memory."""
    return [files.source(one.filename or "", one.stream.read()) for one in _chosen()]


def _chosen() -> list[FileStorage]:
    return [one for one in request.files.getlist(_FILES) if one.filename]


def _files_again() -> str:
    """Return a note to choose any files again, because no page can fill in a file field."""
    return here.told().say("reply.files_again") if _chosen() else ""


def locked(handle: str, form: str) -> ResponseReturnValue:
    """Ask for the passphrase, and keep the form sealed until the desk is open again."""
    fields = dict(request.form.items()) | ({_FILES: ""} if _chosen() else {})
    here.page().draft.keep(handle, Form(form, fields))
    return here.locked_out("unlock.meanwhile")


def _typed(form: str, problem: str) -> Typed:
    return Typed(form, f"{problem} {_files_again()}".strip(), dict(request.form.items()))


def _send(
    handle: str, form: str, made: Callable[[], writing.Message], successor: str = ""
) -> ResponseReturnValue:
    """Send the message that ``made`` returns.

    ``successor`` is the fingerprint of a colleague who takes over, in ten groups.
    """

    def send(site: str, mailbox: str, message: writing.Message) -> None:
        place, page = here.place(), here.page()
        desk, box = threads.find(place, mailbox, site)
        try:
            writing.send(place, desk, box, message, successor=successor)
        finally:
            page.say(*(news(here.told(), one) for one in desk.report.news))

    try:
        message = made()
    except KlankbordError as error:
        return _refused(handle, form, error)
    return _sending(handle, form, lambda site, box: send(site, box, message))


def _sending(handle: str, form: str, work: Callable[[str, str], object]) -> ResponseReturnValue:
    """Run ``work``, which communicates with the server.

    While ``work`` runs, other requests may read the site's data, but not change it.
    """
    site, mailbox = here.thread_of(handle)
    page, told = here.page(), here.told()
    # A second click sends the same form again while the first request is still running.
    pressed = (request.form.get("once", ""), hash((form, *sorted(request.form.items()))))
    if not page.first_press(pressed):
        return _back(handle)
    try:
        with page.lock.send_away([site]):
            work(site, mailbox)
    except Kept as error:
        page.press_again(pressed)  # a waiting message is recognised by its text
        page.say(sentence(told, error))
    except KlankbordError as error:
        page.press_again(pressed)
        return _refused(handle, form, error)
    except BaseException:
        page.press_again(pressed)
        raise
    else:
        page.say(told.say("sent.done"))
    return _back(handle)


def _locally(
    handle: str, form: str, done: str, work: Callable[[str, str], object]
) -> ResponseReturnValue:
    """Run ``work`` on this computer only."""
    site, mailbox = here.thread_of(handle)
    page = here.page()
    try:
        page.lock.settle(site)
        work(site, mailbox)
    except KlankbordError as error:
        return _refused(handle, form, error)
    page.say(here.told().say(done))
    return _back(handle)


def _refused(handle: str, form: str, error: KlankbordError) -> ResponseReturnValue:
    """Show the form again, with everything that was typed, and the reason."""
    if not here.page().lock.holds(here.place()):
        return locked(handle, form)
    problem = str(error) if isinstance(error, Incomplete) else sentence(here.told(), error)
    return _page(handle, _typed(form, problem), 409)
