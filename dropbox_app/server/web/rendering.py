"""Render pages: templates, texts in the language, shared parts, padding.

The pages before a session are the choice of language, landing, safety, about, report, return
and the page after a withdrawal. Each of these pages is rendered once for a day and a set of
available counsellors, and kept as bytes (see ``shared_page``). Every visitor gets the same bytes,
and can verify this.

All these pages have one of a few lengths, as ``padding`` describes.

An observer can still see the following:

- whether a response is one of these pages or is for one visitor (a session, an error);
- which of the fixed lengths a long page needs;
- the status line;
- the length of a request (with an address, a text or a code), which the server cannot pad;
- a response without a page, such as a redirect, whose length depends only on its kind;
- the style sheet, which shows that a page was opened but not which one.

A proxy in front must not compress or decompress pages, because that would undo the padding.
"""

import datetime
import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flask import Response, request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.config import response
from dropbox_app.server.config.languages import in_dutch_or_english
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.web.assets import LEAVE_SCRIPT, read_style
from dropbox_app.server.web.i18n import Words, words
from dropbox_app.server.web.padding import filled, filled_with_client, packed
from dropbox_app.server.web.page_cache import PageCache
from dropbox_app.server.web.security_headers import POLICY, SEALING_POLICY
from dropbox_app.server.web.view_models.availability import Availability
from dropbox_app.server.web.view_models.contacts import Contact, contacts, contacts_of
from dropbox_app.server.web.view_models.counsellors import People
from dropbox_app.server.web.view_models.sealed import SealedPage

Clock = Callable[[], datetime.date]
OwnText = Callable[[str, str], str]

HTML = "text/html; charset=utf-8"
# The status of a page with a text field for a browser without a cookie. Despite "no-store",
# Chromium keeps a page of status 200 in memory until a cookie changes, so Back after "leave
# quickly" would show what was typed. Chromium loads a page of any other status again.
TYPING = "203 OK"


@functools.cache
def environment() -> Environment:
    """Return the template environment. Each template is compiled once per process."""
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


class PageRenderer:
    """Renders the pages of one site. Threads can share it."""

    def __init__(
        self,
        settings: Settings,
        directory: Callable[[datetime.date], People],
        today: Clock,
        *,
        cache: PageCache | None = None,
        own_text: OwnText = lambda _lang, _page: "",
    ) -> None:
        """Create the renderer of one site.

        ``directory`` returns the site's counsellors on a day. Several sites may share ``cache``.
        ``own_text`` returns the site's own text for a page as HTML, by language and path.
        """
        self.settings = settings
        self.today = today
        self._style_name = read_style().name
        self._directory = directory
        self._own_text = own_text
        self._environment = environment()
        self._cache = cache or PageCache()

    def people(self) -> People:
        """Return the counsellors of the site, and whether each can receive messages today."""
        return self._directory(self.today())

    def render(
        self,
        template: str,
        lang: str,
        *,
        title: str,
        here: str | None = None,
        people: People | None = None,
        whom: Collection[VerifyKey] = (),
        **context: Any,  # noqa: ANN401 - each template needs its own values
    ) -> str:
        """Render a template to HTML.

        ``title`` is the key of the neutral title. ``here`` is the rest of the page's path, if the
        other languages have this page too. A page with a form that keeps text sets ``switch_form``.
        ``whom`` lists the counsellors to whom the reader writes; the page then shows their own
        telephone numbers.
        """
        told = words(lang)
        day = self.today()
        known = people if people is not None else self.people()
        names = [person.name for person in known.open]
        context.setdefault("switch_form", None)
        context.setdefault("lost", False)  # True at a host of no site: no other page to link to
        context.setdefault("plain_enter", True)
        context.setdefault("shut", False)  # True where a link to another page could lose the code
        context.setdefault("sealed", None)  # set if a browser may seal messages itself
        return self._environment.get_template(template).render(
            t=told.say,
            n=told.count,
            listed=told.listed,
            spoken=lambda person: [told.language(code) for code in person.languages],
            date=lambda value: told.date(value, day),
            lang=lang,
            plain_lang=in_dutch_or_english(lang),
            rtl=told.right_to_left,
            draft=told.draft,
            tongues=[words(one) for one in self.settings.languages],
            other=told.other,
            their=words(told.other).say,
            title=told.say(title),
            here=here,
            style=self._style_name,
            script=Markup(LEAVE_SCRIPT),  # noqa: S704 - from a file of this program
            settings=self.settings,
            own=self._own(lang, here or ""),
            contacts=contacts(self.settings, known, whom),
            contact_of=Contact.of,
            number_of=Contact.of_number,
            other_contact=Contact.of_other(self.settings.other_contact)
            if self.settings.other_contact
            else None,
            contacts_of=lambda one: contacts_of(self.settings, known, one),
            people=known,
            absence=self.availability(known, told).of,
            counsellor=names[0] if len(names) == 1 else told.say("word.counsellor"),
            **context,
        )

    def _own(self, lang: str, page: str) -> Markup:
        """Return the site's own text for a page, marked if it is in another language.

        Such a text reads from left to right, unlike an Arabic page.
        """
        plain = in_dutch_or_english(lang)
        text = Markup(self._own_text(plain, page))  # noqa: S704 - ``content.render`` generated it
        if not text or plain == lang:
            return text
        return Markup('<div lang="{}" dir="ltr">{}</div>').format(plain, text)

    def availability(self, people: People, told: Words) -> Availability:
        """Return the sentences about counsellors who are unavailable, away or silent."""
        return Availability(
            people, told, self.today(), response.quiet_for(self.settings.response_days)
        )

    def respond(self, html: str, status: int | str = 200) -> Response:
        """Return a padded HTML response for one visitor."""
        return Response(filled(html.encode()), status, content_type=HTML)

    def shared_page(
        self,
        template: str,
        lang: str,
        *,
        path: str | None,
        title: str = "title.info",
        context: Callable[[People], Mapping[str, Any]] = lambda _people: {},
        has_text_field: bool = False,
        seals: bool = False,
    ) -> Response:
        """Return a page that is the same for every visitor, rendered once a day.

        ``path`` is the rest of the page's path after the language, or None for the page without a
        language. ``context`` returns the additional values for the template. ``seals``: whether a
        browser may seal the typed text of this page, if the site allows that.
        """
        people = self.people().to_report
        seals = seals and self.settings.reporter.seal_in_browser

        def values() -> Mapping[str, Any]:
            if not seals:
                return context(people)
            page = SealedPage.of(self.settings, people, words(lang), self.today())
            return {**context(people), "sealed": page}

        pad = packed if takes_gzip() else filled_with_client if seals else filled
        page = self._cache.get(
            (self, pad, path, lang),
            (self.today(), people),
            lambda: pad(
                self.render(
                    template, lang, title=title, here=path, people=people, **values()
                ).encode()
            ),
        )
        headers = {"Content-Encoding": "gzip"} if pad is packed else {}
        if seals:
            headers[POLICY] = SEALING_POLICY
        status = TYPING if has_text_field else None
        return Response(page, status, headers, content_type=HTML)


def takes_gzip() -> bool:
    """Return whether the client accepts gzip, as every browser does."""
    return request.accept_encodings.quality("gzip") > 0
