"""How a page is made: templates, the words of its language, and what every page shares."""

import datetime
import functools
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.sites import Site
from dropbox_app.server.web.languages import LANGUAGES, words
from dropbox_app.server.web.people import Directory, People

Clock = Callable[[], datetime.date]

HTML = "text/html; charset=utf-8"


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


class Pages:
    """Makes the pages of one site. Safe between threads."""

    def __init__(self, site: Site, directory: Directory, today: Clock) -> None:
        self.site = site
        self.settings = site.settings
        self.today = today
        self.style = read_style()
        self._directory = directory
        self._environment = environment()

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
            day=lambda value: told.day(value, day),
            date=lambda value: told.date(value, day),
            lang=lang,
            other=told.other,
            their=words(told.other).say,
            title=told.say(title),
            here=here,
            style=self.style.name,
            settings=self.settings,
            people=known,
            counsellor=names[0] if len(names) == 1 else told.say("word.counsellor"),
            **context,
        )

    def answer(self, html: str | bytes, status: int = 200) -> Response:
        """An HTML answer."""
        return Response(html, status, content_type=HTML)


def serve_style(app: Flask, style: Style) -> None:
    """The only file under /static/."""

    @app.get(f"/static/{style.name}")
    def static_style() -> Response:
        return Response(style.content, content_type="text/css; charset=utf-8")


def language_of(path: str) -> str | None:
    """The language that a path begins with."""
    first = path.split("/")[1] if path.startswith("/") else ""
    return first if first in LANGUAGES else None
