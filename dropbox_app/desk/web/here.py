"""The context of a view: the running page, and the desk of this request."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from flask import abort, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.actions import passphrase, settings
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.web.answers import Answers
from dropbox_app.desk.web.checking import Checking
from dropbox_app.desk.web.desk_lock import DeskLock
from dropbox_app.desk.web.draft import Draft, Form
from dropbox_app.desk.web.fetching import Fetching
from dropbox_app.desk.web.handles import Handles
from dropbox_app.desk.web.i18n import Words, words

EXTENSION = "klankbord"
FIRST_LANGUAGE = "nl"
WINDOW_GONE = 60  # seconds without a ping after which a window counts as closed

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])
_free: set[object] = set()


@dataclass
class Beginning:
    """The person's input so far in the first run, which is not written to disk yet."""

    invitation: bytes = b""
    profile: Profile | None = None
    proxy: str = ""


@dataclass
class Page:
    """One run of the page. ``private_window``: it has its own window, which stores nothing."""

    lock: DeskLock
    fetching: Fetching
    handles: Handles = field(default_factory=Handles)
    files: Handles = field(default_factory=Handles)  # handles of files, by thread and id
    register: Handles = field(
        default_factory=Handles
    )  # handles of cases, employers and entries, by kind and name
    language: str = FIRST_LANGUAGE
    chosen_language: str = ""  # chosen while the desk is locked
    private_window: bool = False
    clock: Callable[[], float] = time.monotonic
    last_ping: float | None = None  # None: no window has sent a ping yet
    beginning: Beginning = field(default_factory=Beginning)
    draft: Draft = field(default_factory=Draft)
    answers: Answers = field(default_factory=Answers)
    proposed: tuple[str, Form] | None = None  # a text that another page proposes for a conversation
    _proposed: str = ""
    _next: tuple[str, dict[str, str]] = ("", {})
    _said: list[str] = field(default_factory=list)
    _pressed: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.checking = Checking(self.lock)
        self.lock.when_locked = self._drop

    def _drop(self) -> None:
        """Drop everything that was read, drawn or entered while the desk was open."""
        self._said, self._proposed, self.beginning = [], "", Beginning()
        self._next = ("", {})
        self.proposed = None
        self.answers.drop()
        self.fetching.drop()
        self.checking.drop()

    def unlock(self, given: str) -> None:
        """Open the desk, and apply its settings. Raises the errors of ``DeskLock.unlock``.

        A language that was chosen while the desk was locked is stored in the desk.
        """
        self.lock.unlock(given)
        with self.lock.use() as place:
            if self.chosen_language:
                settings.choose(place, language=self.chosen_language)
                self.chosen_language = ""
            self.go_by(settings.settings(place))
            self.draft.prepare(place)

    def proposed_passphrase(self, *, again: bool) -> str:
        """Return a drawn passphrase. ``again``: the earlier one, perhaps already written down."""
        if not again or not self._proposed:
            self._proposed = passphrase.draw(self.language)
        return self._proposed

    def go_by(self, chosen: settings.Settings) -> None:
        """Apply the settings of the desk."""
        self.language = chosen.language
        self.lock.idle_minutes = chosen.lock_minutes
        self.fetching.every_minutes = chosen.fetch_minutes

    def say(self, *sentences: str) -> None:
        """Keep sentences to show on the next page."""
        self._said += [one for one in sentences if one not in self._said]

    def take_said(self) -> list[str]:
        """Return the sentences from the last request, and forget them."""
        said, self._said = self._said, []
        return said

    def offer(self, form: str, **fields: str) -> None:
        """Remember fields that the next entry in a form is likely to share.

        The fields are kept only in memory, and are filled in only on the next page with such a
        form.
        """
        self._next = (form, fields)

    def take_offered(self, *forms: str) -> tuple[str, dict[str, str]]:
        """Return the last entry's form and fields if the form is one of ``forms``; forget them."""
        offered, self._next = self._next, ("", {})
        return offered if offered[0] in forms else ("", {})

    def first_press(self, pressed: tuple[str, int]) -> bool:
        """Record that a form is being sent; return False if the same form was already sent.

        ``pressed`` is the number that the form got when it was shown, and a hash of its contents.
        """
        if pressed[0] and pressed in self._pressed:
            return False
        self._pressed.add(pressed)
        return True

    def keep_typed(self, where: str, fields: MultiDict[str, str]) -> None:
        """Seal and keep a form of the register that arrived while the desk was locked.

        ``where`` is the address of the page that shows the form again.
        """
        pairs = json.dumps([*fields.items(multi=True)])
        self.draft.keep(where, Form("", {"pairs": pairs}))

    def take_typed(self) -> MultiDict[str, str] | None:
        """Return the form that is waiting for the page of this request, and forget it."""
        waiting = self.draft.take(place(), request.script_root + request.path)
        if waiting is None:
            return None
        return MultiDict((name, value) for name, value in json.loads(waiting.fields["pairs"]))

    def take_proposed(self, handle: str) -> Form | None:
        """Return the text that is proposed for a conversation, and forget it."""
        found = self.proposed
        if found is None or found[0] != handle:
            return None
        self.proposed = None
        return found[1]

    def press_again(self, pressed: tuple[str, int]) -> None:
        """Allow a form to be sent again, because it had no effect."""
        self._pressed.discard(pressed)

    def note_window(self) -> None:
        """Record that a window of the page is open."""
        self.last_ping = self.clock()

    def window_is_gone(self) -> bool:
        """Return whether a window was open, but no window has been open for a minute."""
        return self.last_ping is not None and self.clock() - self.last_ping > WINDOW_GONE


def page() -> Page:
    """Return the running page."""
    return cast(Page, current_app.extensions[EXTENSION])


def place() -> Workplace:
    """Return the open desk of this request."""
    return cast(Workplace, g.place)


def told() -> Words:
    """Return the texts in the person's language."""
    return words(page().language)


def thread_of(handle: str) -> tuple[str, str]:
    """Return the site and mailbox of a handle in an address; abort with 404 if it is unknown."""
    found = page().handles.thread(handle)
    if found is None:
        abort(404)
    return found


def file_of(handle: str) -> str:
    """Return the id of a file by its handle in an address; abort with 404 if it is unknown."""
    found = page().files.thread(handle)
    if found is None:
        abort(404)
    return found[1]


def register_handle(kind: str, name: str) -> str:
    """Return the handle of a case, an employer or an entry of the register, for addresses.

    For a case or an employer, the handle stands for the number of the first entry, or for the site
    if there is no entry, because a locked desk has no names.
    """
    book = place().book()
    firsts = {"case": book.first_of_case, "employer": book.first_of_employer}
    if kind == "entry":
        known = name
    elif name in firsts[kind]:
        known = str(firsts[kind][name])
    else:  # an employer with a site here but without entries
        known = next(site for site, called in place().names().items() if called == name)
    return page().register.of(kind, known)


def registered(kind: str, handle: str) -> str:
    """Return what a register handle stands for; abort with 404 if it is unknown."""
    found = page().register.thread(handle)
    if found is None or found[0] != kind:
        abort(404)
    if kind == "entry":
        return found[1]
    event = place().book().event(int(found[1])) if found[1].isdecimal() else None
    name = getattr(event, kind, "") or place().names().get(found[1], "")
    return str(name) or abort(404)


def locked_out(key: str) -> ResponseReturnValue:
    """Return the passphrase page. ``key`` is the key of a sentence about the form."""
    g.locked_out = True
    return render_template("unlock.html", problem=told().say(key)), 403


def was_locked_meanwhile() -> bool:
    """Return whether the desk was locked while this request waited for a server."""
    return "place" in g and "locked_out" not in g and not page().lock.holds(place())


def without_desk(view: View) -> View:
    """Mark a view that works while the desk is locked, or without a desk."""
    _free.add(view)
    return view


def needs_desk(endpoint: str | None) -> bool:
    """Return whether an endpoint's view requires the desk to be open."""
    return endpoint is not None and current_app.view_functions[endpoint] not in _free
