"""The code page: the seven words, until the person says that they are written down.

The words stand in the session while its page is open (SPEC section 8), so what somebody typed over
is compared with them there: nothing is stretched, looked up or sent again.
"""

import datetime
from collections.abc import Mapping, Sequence

from flask import Response

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.web.forms import CodeCheckForm, shown
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.rendering import Pages
from dropbox_app.server.web.session import ReporterSession
from dropbox_app.server.web.view_models.counsellors import People, Person


class CodePage:
    """Makes the code page of one site."""

    def __init__(self, pages: Pages, agent: ReporterAgent) -> None:
        self._pages = pages
        self._agent = agent

    def show(
        self,
        lang: str,
        people: People,
        code: Sequence[str],
        person: Person | None,
        *,
        again: bool = False,
        day: datetime.date | None = None,
        here: str | None = None,
        typed: str = "",
        right: bool = False,
        problems: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        """The page. ``day``: that of the report, if not today. ``again``: it was sent before.

        ``here`` is set once the browser has shown that it keeps the cookie: only then do a link to
        the other language, and a look at what was typed, lead back to this page.
        """
        told = words(lang)
        day = day or self._pages.today()
        html = self._pages.make(
            "code.html",
            lang,
            title="title.message",
            here=here,
            switch_form="main-form" if here else None,
            people=people,
            whom=(person.identity,) if person else (),
            code=code,
            again=again,
            person=person,
            holders=person.name if person else told.say("word.counsellor"),
            received=day,
            earliest=day + datetime.timedelta(days=self._pages.settings.retention.idle),
            typed=clean_text(typed),
            right=right,
            problems=problems or {},
        )
        return self._pages.answer(html, status)

    def of_session(
        self,
        lang: str,
        session: ReporterSession,
        *,
        typed: str = "",
        right: bool = False,
        problems: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> Response:
        """The page again, for a browser that keeps its cookie."""
        people = self._pages.people()
        view = self._agent.view(session.root) if session.root else None
        chosen = view.next_wanted if view else ()
        return self.show(
            lang,
            people,
            session.code,
            next((person for person in people.everybody if person.identity in chosen), None),
            day=view.last_added if view else None,
            here="code",
            typed=typed,
            right=right,
            problems=problems,
            status=status,
        )

    def tried(self, lang: str, session: ReporterSession, form: CodeCheckForm) -> Response:
        """What somebody typed over from paper: right, or which words are not."""
        told = words(lang)
        problems = form.problems(session.code, told)
        if not problems:
            return self.of_session(lang, session, right=True)
        typed = form.typed.data or ""
        said = shown(problems, told)
        return self.of_session(lang, session, typed=typed, problems=said, status=422)
