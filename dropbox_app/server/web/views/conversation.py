"""The pages of a session: the conversation, and what one can do in it (SPEC section 8).

Every post carries the token of this very session, or the code itself in the same form: a session
that is over costs nobody what was typed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from flask import Flask, Response, g, request
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]  # ships no types

from dropbox_app.protocol.encoding import Json, clean_text
from dropbox_app.protocol.messages import REPORTER
from dropbox_app.server.errors import Gone
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import Busy
from dropbox_app.server.web.error_pages import OWN_WORDS, REFUSED, Refusals, explain, own_token
from dropbox_app.server.web.forms import (
    ConsentForm,
    OtherForm,
    Problem,
    SessionForm,
    WithdrawForm,
    WriteForm,
    missing_text,
    read_code,
    shown,
)
from dropbox_app.server.web.i18n import Words, words
from dropbox_app.server.web.rendering import Pages
from dropbox_app.server.web.session import OneCookie, current
from dropbox_app.server.web.view_models.expiry import Ending
from dropbox_app.server.web.view_models.thread import Request, Teller
from dropbox_app.server.web.views.front import LANG, FrontPages, of_site, see_other


class ConversationPages:
    """The views of a session."""

    def __init__(
        self,
        pages: Pages,
        agent: ReporterAgent,
        cookie: OneCookie,
        front: FrontPages,
        refusals: Refusals,
    ) -> None:
        self._pages = pages
        self._agent = agent
        self._cookie = cookie
        self._front = front
        self._refusals = refusals

    @classmethod
    def register(cls, app: Flask, here: Callable[[], "ConversationPages"]) -> None:
        """Put the views at their addresses, as ``FrontPages`` does."""
        for path, look, act in (
            ("conversation", cls.read, cls.write),
            ("counsellor", cls.others, cls.turn),
            ("withdraw", cls.consider, cls.withdraw),
            ("consent", cls.read, cls.consent),
        ):
            rule = f"{LANG}/{path}"
            app.add_url_rule(rule, f"{path}-get", of_site(here, look), methods=["GET"])
            app.add_url_rule(rule, f"{path}-post", of_site(here, act), methods=["POST"])

    # reading

    def read(self, lang: str) -> Response:
        """The conversation. Whoever comes here from the code page has moved on from it."""
        root = current().root
        if root is None:
            return self.ask(lang)
        if current().code:
            current().move_on()
        flags = request.args
        return self._conversation(lang, root, sent="sent" in flags, again="again" in flags)

    def others(self, lang: str) -> Response:
        """Whom else one could write to."""
        root = current().root
        return self.ask(lang) if root is None else self._other_page(lang, root, {})

    def consider(self, lang: str) -> Response:
        """What taking everything back can and cannot undo."""
        root = current().root
        return self.ask(lang) if root is None else self._withdraw_page(lang, root, {})

    # writing

    def write(self, lang: str) -> Response:
        """A follow-up."""
        form = WriteForm()
        text = clean_text(form.text.data or "")
        if "switch" in request.form:
            here = current().root
            if here is None:
                return self.over(lang)
            return self._conversation(lang, here, text=text)
        root = self.entered(lang, form)
        if isinstance(root, Response):
            return root
        problems = missing_text(text)
        if problems:
            return self._conversation(lang, root, text=text, problems=problems, status=422)
        try:
            self._agent.write(root, lang=lang, kind="message", body={"text": text})
        except Gone:
            return self.gone(lang)
        except REFUSED as error:
            problem, status = explain(error)
            return self._conversation(lang, root, text=text, problems=[problem], status=status)
        return see_other(f"/{lang}/conversation?sent=1")

    def consent(self, lang: str) -> Response:
        """An answer to a consent request."""
        form = ConsentForm()
        missing = form.problems()
        told = words(lang)
        if missing:  # sent from a page without the question: that is shown first
            lead, button = told.say("again.no_answer"), "return.open"
        else:
            said = told.say(f"consent.{form.answer.data}")
            lead, button = told.say("again.answer", answer=said), "again.send"
        if "switch" in request.form:
            return self.over(lang, lead, button=button, token=own_token())
        root = self.entered(lang, form, lead, button)
        if isinstance(root, Response):
            return root
        view = self._agent.view(root)
        if view is None:
            return self.gone(lang)
        asked = Teller(view.thread, self._pages.people(), told).asked(form.request.data or "")
        if (
            asked is None
            or (missing and not asked.asks)
            or (form.answer.data == "withdrawn" and asked.said != "yes")
        ):
            missing = [Problem("", "errors.not_asked")]
        if missing:
            return self._asked_again(lang, root, form, asked, missing[0], 422)
        body: dict[str, Json] = {"request": form.request.data, "answer": form.answer.data}
        remark = clean_text(form.remark.data or "")
        if remark.strip():
            body["text"] = remark
        try:
            self._agent.write(root, lang=lang, kind="consent-answer", body=body)
        except Gone:
            return self.gone(lang)
        except REFUSED as error:
            return self._asked_again(lang, root, form, asked, *explain(error, "remark"))
        return see_other(f"/{lang}/conversation?sent=1")

    def turn(self, lang: str) -> Response:
        """A message to another counsellor, who from now on gets what the reporter writes."""
        form = OtherForm()
        if "switch" in request.form:
            here = current().root
            if here is None:
                return self.over(lang)
            return self._other_page(lang, here, {})
        root = self.entered(lang, form)
        if isinstance(root, Response):
            return root
        people = self._pages.people()
        problems = form.problems(people, self._pages.settings.limits.text)
        chosen = people.chosen(form.counsellor.data or "")
        if problems or chosen is None:
            return self._other_page(lang, root, shown(problems, words(lang)), 422)
        body: dict[str, Json] = {"text": form.text.data}
        try:
            self._agent.write(
                root,
                lang=lang,
                kind="message",
                body=body,
                wanted=(chosen.identity,),
                pass_on=form.along.data,
            )
        except Gone:
            return self.gone(lang)
        except REFUSED as error:
            problem, status = explain(error)
            return self._other_page(lang, root, shown([problem], words(lang)), status)
        return see_other(f"/{lang}/conversation?sent=1")

    def withdraw(self, lang: str) -> Response:
        """Everything back."""
        form = WithdrawForm()
        lead = words(lang).say("again.withdraw")
        if "switch" in request.form:
            here = current().root
            if here is None:
                return self.over(lang, lead)
            return self._withdraw_page(lang, here, {})
        root = self.entered(lang, form, lead, "withdraw.send")
        if isinstance(root, Response):
            return root
        problems = shown(form.problems(), words(lang))
        if problems:
            return self._withdraw_page(lang, root, problems, 422)
        try:
            self._agent.withdraw(root, lang=lang)
        except Gone:
            pass  # it is no longer here, which is what was asked for
        except REFUSED as error:
            problem, status = explain(error)
            return self._withdraw_page(lang, root, shown([problem], words(lang)), status)
        current().end()
        return see_other(f"/{lang}/withdrawn")

    # in or out of a session

    def entered(
        self, lang: str, form: SessionForm, lead: str = "", button: str = "again.send"
    ) -> bytes | Response:
        """The root: of the session the form belongs to, or of the code in the form itself."""
        session = current()
        told = words(lang)
        if not form.code.data:
            if session.root is not None and form.in_session():
                return session.root
            if session.root is not None:
                lead = told.say("errors.other_session")
            problem = {"code": told.say("errors.code_missing")} if "code" in request.form else {}
            return self.over(lang, lead, problem, button=button)
        typed, problems = read_code(form.code.data, told)
        if problems:
            return self.over(lang, lead, shown(problems, told), 422, button)
        try:
            root = self._agent.enter(typed)
        except Busy:
            return self.over(lang, lead, {"": told.say("errors.busy")}, 503, button)
        if root is None:
            wrong = {"code": told.say("errors.code_wrong")}
            return self.over(lang, lead, wrong, 422, button)
        session.become(self._cookie.fresh(root))
        g.pop("csrf_token", None)  # Flask-WTF keeps the token of the session before
        return root

    def ask(self, lang: str) -> Response:
        return self._front.ask_code(lang, {}, reason="again", cookie_came=current().arrived)

    def over(
        self,
        lang: str,
        lead: str = "",
        problems: dict[str, str] | None = None,
        status: int = 403,
        button: str = "again.send",
        token: str = "",
    ) -> Response:
        """What was typed, with a field for the code: one post opens the session and sends.

        With the ``token`` of a session that goes on, without that field.
        """
        typed = any(request.form.get(name) for name in OWN_WORDS)
        return self._refusals.again(
            lang,
            action=_own_path(lang),
            heading="again.expired_title" if typed else "return.again_title",
            lead=lead or words(lang).say("errors.expired"),
            problems=problems,
            token=token,
            button=button,
            status=status,
        )

    def _asked_again(
        self,
        lang: str,
        root: bytes,
        form: ConsentForm,
        asked: Request | None,
        problem: Problem,
        status: int,
    ) -> Response:
        """The conversation, with the answer in the form of its question: never without that."""
        remark = clean_text(form.remark.data or "")
        place = f"{problem.field}-{asked.short}" if asked and asked.asks and problem.field else ""
        problems = [replace(problem, field=place)]
        if asked is None or not asked.asks:  # its form is gone: the remark may go as a message
            return self._conversation(lang, root, text=remark, problems=problems, status=status)
        given = {"request": asked.digest, "answer": form.answer.data or "", "remark": remark}
        return self._conversation(lang, root, given=given, problems=problems, status=status)

    def gone(self, lang: str) -> Response:
        """The conversation went between two requests: the text may still go into a new one."""
        current().end()
        return self._refusals.again(
            lang,
            action=f"/{lang}/report",
            heading="again.gone_title",
            lead=words(lang).say("again.gone"),
            ask_code=False,
            button="report.send",
            only=OWN_WORDS,
            status=410,
        )

    # pages

    def _conversation(
        self,
        lang: str,
        root: bytes,
        *,
        text: str = "",
        given: Mapping[str, str] | None = None,
        sent: bool = False,
        again: bool = False,
        problems: list[Problem] | None = None,
        status: int = 200,
    ) -> Response:
        view = self._agent.view(root)
        if view is None:
            if text or given:
                return self.gone(lang)
            current().end()
            return self._front.ask_code(lang, {}, reason="wrong")
        people = self._pages.people()
        told = words(lang)
        teller = Teller(view.thread, people, told, view.items)
        open_now = {person.identity for person in people.open}
        receivers = [i for i in view.next_wanted if i in open_now]
        missing = [i for i in view.next_wanted if i not in open_now]
        help_parts = [told.say("conversation.write_help", counsellor=teller.names(receivers))]
        help_parts += [
            told.say("conversation.left_out_now", counsellor=teller.name(i)) for i in missing
        ]
        for successor in view.next_wanted:
            if successor not in view.thread.wanted:
                help_parts.insert(0, told.say("handover.now", successor=teller.name(successor)))
        newest = view.thread.newest.get(REPORTER)
        retention = self._pages.settings.retention
        ending = Ending(view, told, self._pages.today(), retention)
        others = people.without(view.next_wanted)
        absences = self._pages.availability(people, told).of_all(view.next_wanted)
        problems = [p.elsewhere() if others else p for p in problems or []]
        html = self._pages.make(
            "conversation.html",
            lang,
            title="title.read",
            here="conversation",
            people=people,
            whom=view.next_wanted,
            switch_form="main-form" if receivers or text else None,
            csrf_token=generate_csrf(),
            lines=teller.lines(),
            notes=ending.notes() + teller.notes() + absences,
            absent=bool(absences),
            others=others,
            waiting=teller.waiting(),
            waiting_for=teller.names(view.thread.wanted),
            received=newest.day if newest else self._pages.today(),
            receivers=receivers,
            write_help=" ".join(help_parts),
            text=text,
            given=given or {},
            sent=sent,
            again=again,
            left_out=[teller.name(i) for i in newest.wanted if i not in newest.to]
            if newest
            else [],
            problems=shown(problems, told),
            expiry=ending.some_day(),
            consent_answers=_consent_answers(told),
        )
        return self._pages.answer(html, status)

    def _other_page(
        self, lang: str, root: bytes, problems: Mapping[str, str], status: int = 200
    ) -> Response:
        view = self._agent.view(root)
        if view is None:
            return self.gone(lang)
        people = self._pages.people()
        # A successor who was agreed upon but not written to yet may be chosen here too: with what
        # was written so far.
        others = people.without(set(view.next_wanted) & set(view.thread.wanted))
        if problems and not others:
            problems = {"": words(lang).say("other.none")}
        html = self._pages.make(
            "counsellor.html",
            lang,
            title="title.message",
            here="counsellor",
            people=people,
            whom=view.next_wanted,
            switch_form="main-form" if others or request.form.get("text") else None,
            csrf_token=generate_csrf(),
            others=others,
            fetching=any(people.called(i) for i in (*view.thread.wanted, *view.thread.former)),
            chosen=request.form.get("counsellor", ""),
            along="along" in request.form,
            text=clean_text(request.form.get("text", "")),
            problems=problems,
        )
        return self._pages.answer(html, status)

    def _withdraw_page(
        self, lang: str, root: bytes, problems: Mapping[str, str], status: int = 200
    ) -> Response:
        view = self._agent.view(root)
        if view is None:
            current().end()
            return see_other(f"/{lang}/withdrawn")
        people = self._pages.people()
        teller = Teller(view.thread, people, words(lang))
        wanted = view.thread.wanted
        open_now = {person.identity for person in people.open}
        told = [identity for identity in wanted if identity in open_now]
        holders = (*wanted, *view.thread.former)
        html = self._pages.make(
            "withdraw.html",
            lang,
            title="title.message",
            here="withdraw",
            people=people,
            whom=wanted,
            switch_form="main-form",
            plain_enter=False,
            csrf_token=generate_csrf(),
            holders=teller.each(holders),
            told=teller.each(told),
            untold=teller.each([identity for identity in holders if identity not in told]),
            problems=problems,
        )
        return self._pages.answer(html, status)


def _consent_answers(told: Words) -> list[tuple[str, str]]:
    """What one may say to a consent request that is still open."""
    return [(answer, told.say(f"consent.{answer}")) for answer in ("yes", "no", "tell-me-more")]


def _own_path(lang: str) -> str:
    """The address this form was posted to, in the language of the page."""
    return f"/{lang}/" + request.path.split("/", 2)[2]
