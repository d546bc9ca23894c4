"""How a page is made: templates, the words of its language, what every page shares, its length.

**The pages before a session** (the choice of language, landing, safety, about, report, return, and
the one after a withdrawal) are made once for a day and the same people to write to, all of them in
both languages together, and kept as bytes: every visitor gets the same, and can check that. Only
the newest such set is kept.

**Lengths.** Who sees the encrypted connection sees how long an answer is. So each of these pages
is filled up with spaces to one length, the smallest multiple of STEP that holds the longest of them
in either language: the site's *floor*. Every other page, errors and answers to a code included, is
filled up to the floor, or to the first of its doubles that holds it; beyond COARSE in steps of the
first double that is no smaller.

What is left: which of these lengths a long page needs; the line of the status; the length of what a
browser sends (the address asked for, a text, a code), which nothing here can fill up; an answer
without a page, such as a redirect, whose length hangs on its kind alone; the style sheet, which
every page asks for and which is the same for everybody, so that it tells that a page was opened and
not which. A proxy in front must not compress pages: that would undo it.
"""

import datetime
import functools
import importlib.resources
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.sites import Site
from dropbox_app.server.web.availability import Availability
from dropbox_app.server.web.languages import LANGUAGES, Words, words
from dropbox_app.server.web.people import Directory, People

Clock = Callable[[], datetime.date]

HTML = "text/html; charset=utf-8"
NO_BREAK = "\u00a0"  # a space at which no line ends
STEP = 4096  # bytes; the floor is a multiple of it
COARSE = 1024 * 1024  # bytes; from here on lengths no longer double


@dataclass(frozen=True)
class Style:
    """The one style sheet, under a name that changes with its content."""

    name: str
    content: bytes


def read_style() -> Style:
    """The style sheet, from the package."""
    folder = importlib.resources.files("dropbox_app.server") / "static"
    content = (folder / "style.css").read_bytes()
    return Style(f"style-{sha256_hex(content)[:16]}.css", content)


@functools.cache
def environment() -> Environment:
    """The templates; each is compiled once a process."""
    made = Environment(
        loader=PackageLoader("dropbox_app.server"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["first_upper"] = lambda text: text[:1].upper() + text[1:]
    return made


@dataclass(frozen=True)
class Still:
    """A page that hangs on nothing but the day, the language and the people.

    ``here``: the rest of its path; None for the one page without a language. ``context``: what its
    template needs beside what all get, by language and people.
    """

    template: str
    here: str | None
    title: str = "title.info"
    context: Callable[[str, People], dict[str, Any]] = lambda _lang, _people: {}


@dataclass(frozen=True)
class _Set:
    """All still pages of one state of the site, filled up, by rest of path and language."""

    state: object
    floor: int
    pages: dict[tuple[str | None, str], bytes]


class Pages:
    """Makes the pages of one site. Safe between threads."""

    def __init__(self, site: Site, directory: Directory, today: Clock) -> None:
        self.site = site
        self.settings = site.settings
        self.today = today
        self.style = read_style()
        self._directory = directory
        self._environment = environment()
        self._stills: Sequence[Still] = ()
        self._kept: _Set | None = None

    def people(self) -> People:
        """Who can be written to today."""
        return self._directory.on(self.today())

    def make(
        self,
        template: str,
        lang: str,
        *,
        title: str,
        here: str | None = None,
        people: People | None = None,
        **context: Any,  # noqa: ANN401 - what a template needs is the template's
    ) -> str:
        """Render a template.

        ``title``: the key of the neutral title. ``here``: the rest of this page's path, if the
        other language has it too; a page with a form that keeps text sets ``switch_form``.
        """
        told = words(lang)
        day = self.today()
        known = people if people is not None else self.people()
        names = [person.name for person in known.open]
        context.setdefault("switch_form", None)
        context.setdefault("plain_enter", True)
        return self._environment.get_template(template).render(
            t=told.say,
            n=told.count,
            listed=told.listed,
            spoken=lambda person: [told.language(code) for code in person.languages],
            day=lambda value: told.day(value, day),
            date=lambda value: told.date(value, day),
            lang=lang,
            other=told.other,
            their=words(told.other).say,
            title=told.say(title),
            here=here,
            style=self.style.name,
            settings=self.settings,
            phone=self.settings.phone.replace(" ", NO_BREAK),
            people=known,
            absence=self.availability(known, told).of,
            counsellor=names[0] if len(names) == 1 else told.say("word.counsellor"),
            **context,
        )

    def availability(self, people: People, told: Words) -> Availability:
        """What is said today of those who cannot be written to, are away or are silent."""
        return Availability(people, told, self.today(), self.settings.retention.silent_desk)

    def answer(self, html: str, status: int = 200) -> Response:
        """An HTML answer, filled up."""
        body = html.encode()
        filled = body.ljust(_length(len(body), self._set().floor))
        return Response(filled, status, content_type=HTML)

    def keep(self, stills: Sequence[Still]) -> None:
        """Name the pages that are the same for everybody."""
        self._stills = tuple(stills)

    def still(self, here: str | None, lang: str) -> Response:
        """One of the pages that were named, as everybody gets it."""
        return Response(self._set().pages[here, lang], content_type=HTML)

    def _set(self) -> _Set:
        people = self.people()
        state = (self.today(), people)
        # Held here: another thread may begin anew between one line and the next.
        kept = self._kept
        if kept is None or kept.state != state:
            kept = self._kept = self._make_all(state, people)
        return kept

    def _make_all(self, state: object, people: People) -> _Set:
        made = {}
        for still in self._stills:
            for lang in LANGUAGES if still.here is not None else LANGUAGES[:1]:
                made[still.here, lang] = self.make(
                    still.template,
                    lang,
                    title=still.title,
                    here=still.here,
                    people=people,
                    **still.context(lang, people),
                ).encode()
        longest = max((len(page) for page in made.values()), default=1)
        floor = -(-longest // STEP) * STEP
        return _Set(state, floor, {key: page.ljust(floor) for key, page in made.items()})


def _length(length: int, floor: int) -> int:
    """The length to which a page of ``length`` bytes is filled up."""
    step = floor
    while step < min(length, COARSE):
        step *= 2
    return -(-length // step) * step


def serve_style(app: Flask, style: Style) -> None:
    """The only file under /static/."""

    @app.get(f"/static/{style.name}")
    def static_style() -> Response:
        return Response(style.content, content_type="text/css; charset=utf-8")


def language_of(path: str) -> str | None:
    """The language that a path begins with."""
    first = path.split("/")[1] if path.startswith("/") else ""
    return first if first in LANGUAGES else None
