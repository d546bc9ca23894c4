"""How a page is made: templates, the words of its language, what every page shares, its length.

**The pages before a session** (the choice of language, landing, safety, about, report, return, and
the one after a withdrawal) are each made once for a day and the same people to write to, and kept
as bytes, see ``stills``: every visitor gets the same, and can check that.

**Lengths** are those of ``lengths``: one for all these pages, or few.

What is left: whether an answer is one of these pages or belongs to somebody (a session, an error);
which of the lengths a long page needs; the line of the status; the length of what a browser sends
(the address asked for, a text, a code), which nothing here can fill up; an answer without a page,
such as a redirect, whose length hangs on its kind alone; the style sheet, which every page asks for
and which is the same for everybody, so that it tells that a page was opened and not which. A proxy
in front must not compress pages, nor unpack them: that would undo it.
"""

import datetime
import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from flask import Flask, Response, request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.web.assets import LEAVE_SCRIPT, Style, read_style
from dropbox_app.server.web.i18n import LANGUAGES, Words, words
from dropbox_app.server.web.padding import filled, packed
from dropbox_app.server.web.page_cache import Kept, Still
from dropbox_app.server.web.view_models.availability import Availability
from dropbox_app.server.web.view_models.contacts import Contact, contacts, contacts_of
from dropbox_app.server.web.view_models.counsellors import People

Clock = Callable[[], datetime.date]
Own = Callable[[str, str], str]

STYLE = "style"  # the endpoint of the style sheet
HTML = "text/html; charset=utf-8"
# Of a page with a field for text that goes to who has no cookie. Chromium keeps a page of status
# 200 alive behind the next one, whatever "no-store" says, until a cookie changes: then Back, after
# "leave quickly", would show what was typed. A page of another status it makes anew.
TYPING = "203 OK"


@functools.cache
def environment() -> Environment:
    """The templates; each is compiled once a process."""
    made = Environment(
        loader=PackageLoader("dropbox_app.server.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["first_upper"] = lambda text: text[:1].upper() + text[1:]
    return made


class Pages:
    """Makes the pages of one site. Safe between threads."""

    def __init__(
        self,
        settings: Settings,
        directory: Callable[[datetime.date], People],
        today: Clock,
        *,
        kept: Kept | None = None,
        own: Own = lambda _lang, _page: "",
    ) -> None:
        """``directory``: who is there on a day. ``kept``: where pages wait, which several sites
        may share. ``own``: what the site wrote itself for a page, as HTML."""
        self.settings = settings
        self.today = today
        self.style = read_style()
        self._directory = directory
        self._own = own
        self._environment = environment()
        self._stills: dict[str | None, Still] = {}
        self._kept = kept or Kept()

    def people(self) -> People:
        """Who can be written to today."""
        return self._directory(self.today())

    def make(
        self,
        template: str,
        lang: str,
        *,
        title: str,
        here: str | None = None,
        people: People | None = None,
        whom: Collection[VerifyKey] = (),
        **context: Any,  # noqa: ANN401 - what a template needs is the template's
    ) -> str:
        """Render a template.

        ``title``: the key of the neutral title. ``here``: the rest of this page's path, if the
        other language has it too; a page with a form that keeps text sets ``switch_form``.
        ``whom``: those whom the reader writes to, whose own telephones are then named.
        """
        told = words(lang)
        day = self.today()
        known = people if people is not None else self.people()
        names = [person.name for person in known.open]
        context.setdefault("switch_form", None)
        context.setdefault("lost", False)  # of a page at no site: it has no others to lead to
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
            script=Markup(LEAVE_SCRIPT),  # noqa: S704 - a file of ours
            settings=self.settings,
            own=Markup(self._own(lang, here or "")),  # noqa: S704 - of content.render
            contacts=contacts(self.settings, known, whom),
            contact_of=Contact.of,
            contacts_of=lambda one: contacts_of(self.settings, known, one),
            people=known,
            absence=self.availability(known, told).of,
            counsellor=names[0] if len(names) == 1 else told.say("word.counsellor"),
            **context,
        )

    def availability(self, people: People, told: Words) -> Availability:
        """What is said today of those who cannot be written to, are away or are silent."""
        return Availability(people, told, self.today(), self.settings.retention.silent_desk)

    def answer(self, html: str, status: int | str = 200) -> Response:
        """An HTML answer, filled up."""
        return Response(filled(html.encode()), status, content_type=HTML)

    def keep(self, stills: Sequence[Still]) -> None:
        """Name the pages that are the same for everybody."""
        self._stills = {still.here: still for still in stills}

    def still(self, here: str | None, lang: str) -> Response:
        """One of the pages that were named, as everybody gets it."""
        people = self.people().to_report
        form = packed if takes_gzip() else filled
        page = self._kept.get(
            (self, form, here, lang),
            (self.today(), people),
            lambda: form(self._make_still(here, lang, people).encode()),
        )
        headers = {"Content-Encoding": "gzip"} if form is packed else None
        status = TYPING if self._stills[here].typing else None
        return Response(page, status, headers, content_type=HTML)

    def _make_still(self, here: str | None, lang: str, people: People) -> str:
        still = self._stills[here]
        context = still.context(lang, people)
        return self.make(
            still.template, lang, title=still.title, here=here, people=people, **context
        )


def takes_gzip() -> bool:
    """Whether the client takes what is packed: every browser does."""
    return request.accept_encodings.quality("gzip") > 0


def serve_style(app: Flask, style: Style) -> None:
    """The only file under /static/."""

    @app.get(f"/static/{style.name}", endpoint=STYLE)
    def static_style() -> Response:
        kind = "text/css; charset=utf-8"
        if takes_gzip():
            return Response(style.packed, content_type=kind, headers={"Content-Encoding": "gzip"})
        return Response(style.content, content_type=kind)


def language_of(path: str) -> str | None:
    """The language that a path begins with."""
    first = path.split("/")[1] if path.startswith("/") else ""
    return first if first in LANGUAGES else None
