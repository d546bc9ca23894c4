"""The forms and their possible problems, with texts from the catalogues.

The fields are WTForms fields, which the templates render. The report form and the code form have no
CSRF token, because there is no session before a submission and every visitor gets the same bytes.
Instead the server checks the origin that the browser states in the post (Hosts.is_own_post).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as later

from flask_wtf import FlaskForm  # type: ignore[import-untyped]  # Flask-WTF ships no types
from werkzeug.datastructures import MultiDict
from wtforms import (  # type: ignore[import-untyped]  # WTForms ships no types
    BooleanField,
    HiddenField,
    RadioField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)

from dropbox_app.protocol.encoding import Json, clean_text, with_line_ends
from dropbox_app.protocol.errors import (
    CodeError,
    TooLong,
    UnknownLetter,
    UnknownWord,
    WrongWordCount,
)
from dropbox_app.protocol.messages import ANSWERS, CONSENT_ANSWERS
from dropbox_app.protocol.retrieval_code import read_typed, split_typed
from dropbox_app.server.web.i18n import Words
from dropbox_app.server.web.view_models.counsellors import People

# All fields of this site's forms, except the token and the language button.
_MANY = frozenset(name for name, (several, _) in ANSWERS.items() if several)
_FIELDS = ("text", "remark", "counsellor", "request", "answer", "along", "sure", "code", *ANSWERS)


def _pasted(text: str | None) -> str | None:
    return text and with_line_ends(text)


@dataclass(frozen=True)
class Problem:
    """A problem that a person can correct: the field, if any, and what to do."""

    field: str
    key: str
    values: Mapping[str, object] = later(default_factory=dict)
    number: int | None = None  # for a sentence with a plural

    def elsewhere(self) -> "Problem":
        """Return this problem, reworded if necessary for a page that offers other counsellors.

        On such a page, "nobody can open your message" would be untrue: it is only the chosen
        counsellors who cannot open it.
        """
        return replace(self, key="errors.not_yours") if self.key == "errors.nobody" else self

    def say(self, told: Words) -> str:
        """Return the problem as a sentence."""
        if self.number is not None:
            return told.count(self.key, self.number, **self.values)
        return told.say(self.key, **self.values)


class _Open(FlaskForm):  # type: ignore[misc]  # the base has no types
    """A form outside a session, which therefore has no token."""

    class Meta:
        csrf = False


class ReportForm(_Open):
    """The nine questions. ``text`` is required, and ``counsellor`` too if several are available."""

    text = TextAreaField(filters=[_pasted])
    counsellor = StringField()
    needs = SelectMultipleField(choices=ANSWERS["needs"][1])
    topics = SelectMultipleField(choices=ANSWERS["topics"][1])
    ongoing = RadioField(choices=ANSWERS["ongoing"][1], validate_choice=False)
    about = SelectMultipleField(choices=ANSWERS["about"][1])
    relation = RadioField(choices=ANSWERS["relation"][1], validate_choice=False)
    talked = RadioField(choices=ANSWERS["talked"][1], validate_choice=False)
    safe = RadioField(choices=ANSWERS["safe"][1], validate_choice=False)

    def answers(self) -> dict[str, Json]:
        """Return the answers to the optional questions that were answered."""
        given: dict[str, Json] = {}
        for name in ANSWERS:
            value = self[name].data
            if value:
                given[name] = list(dict.fromkeys(value)) if isinstance(value, list) else value
        return given

    def problems(self, people: People, limit: int) -> list[Problem]:
        """Return all problems to correct before the report can be sent."""
        found = _only_a_code(self.text.data) or wrong_text(self.text.data, limit)
        # Even if the page named only one counsellor: it may be a different one by now.
        if len(people.open) > 1 or self.counsellor.raw_data:
            person = people.chosen(self.counsellor.data or "")
            if person is None:
                found.append(Problem("counsellor", "errors.wanted_missing"))
            elif not person.open:
                found.append(Problem("counsellor", "errors.wanted_closed"))
        for name, (several, known) in ANSWERS.items():
            value = self[name].data or []
            if not set(value if several else [value] if value else []) <= set(known):
                found.append(Problem(name, "errors.choice"))
        return found


class CodeForm(_Open):
    """The form that asks for the code, to return to a conversation."""

    code = StringField()


class CodeCheckForm(_Open):
    """The form of the code page: the retyped words, and a box to confirm that they are kept."""

    typed = StringField()
    kept = BooleanField()

    def problems(self, code: Sequence[str], told: Words) -> list[Problem]:
        """Compare the typed words with ``code``, the words of the session. No key is derived."""
        if not (self.typed.data or "").strip():
            return [Problem("typed", "errors.typed_missing")]
        try:
            found = split_typed(self.typed.data or "")
        except (WrongWordCount, UnknownLetter) as error:
            return [_not_seven_words("typed", error)]
        pairs = enumerate(zip(found, code, strict=True), start=1)
        wrong = [str(position) for position, (word, own) in pairs if word != own]
        if wrong and sorted(found) == sorted(code):
            return [Problem("typed", "errors.typed_order")]
        which = {"which": told.listed(wrong)}
        return [Problem("typed", "errors.typed_wrong", which, len(wrong))] if wrong else []


class SessionForm(FlaskForm):  # type: ignore[misc]  # the base has no types
    """A form inside a session. ``code`` is filled in if the session has ended."""

    code = StringField()

    def in_session(self) -> bool:
        """Return whether the token belongs to the current session."""
        return bool(self.csrf_token.validate(self))


class WriteForm(SessionForm):
    """The form for a further message."""

    text = TextAreaField(filters=[_pasted])


class ConsentForm(SessionForm):
    """The form for an answer to a consent request."""

    request = StringField()
    answer = RadioField(choices=CONSENT_ANSWERS, validate_choice=False)
    remark = TextAreaField(filters=[_pasted])

    def problems(self) -> list[Problem]:
        """Return the problems to correct before the answer can be sent."""
        if self.answer.data not in CONSENT_ANSWERS:
            return [Problem("answer", "errors.answer_missing")]
        return []


class OtherForm(SessionForm):
    """The form for a message to another counsellor."""

    text = TextAreaField(filters=[_pasted])
    counsellor = StringField()
    along = BooleanField()  # whether to send the conversation so far with it

    def problems(self, people: People, limit: int) -> list[Problem]:
        """Return the problems to correct before the message can be sent."""
        found = []
        person = people.chosen(self.counsellor.data or "")
        if person is None:
            found.append(Problem("counsellor", "errors.wanted_missing"))
        elif not person.open:
            found.append(Problem("counsellor", "errors.wanted_closed"))
        return found + wrong_text(self.text.data, limit)


class WithdrawForm(SessionForm):
    """The form that deletes the conversation."""

    sure = BooleanField()
    untold = HiddenField()  # set if the page said that nobody is told

    def problems(self) -> list[Problem]:
        """Return the problems to correct before the conversation is deleted."""
        return [] if self.sure.data else [Problem("sure", "errors.confirm_missing")]


def typed(given: MultiDict[str, str]) -> list[tuple[str, str]]:
    """Return the posted fields that this site's forms have, to show them again.

    If a field was sent twice, the first value counts, as when the form is read.
    """
    held = []
    for name in _FIELDS:
        values = list(dict.fromkeys(given.getlist(name)))
        held += [(name, clean_text(value)) for value in (values if name in _MANY else values[:1])]
    return held


def _only_a_code(text: str | None) -> list[Problem]:
    """Refuse a text that is only a code, because it was typed into the wrong field."""
    try:
        read_typed(text or "")
    except CodeError:
        return []
    return [Problem("text", "errors.text_is_code")]


def missing_text(text: str | None) -> list[Problem]:
    """Return a problem if the text is missing."""
    return [] if clean_text(text or "").strip() else [Problem("text", "errors.text_missing")]


def wrong_text(text: str | None, limit: int) -> list[Problem]:
    """Return a problem if the text is missing or longer than ``limit`` bytes."""
    size = len(clean_text(text or "").encode())
    return [too_long(TooLong(size, limit))] if size > limit else missing_text(text)


def too_long(error: TooLong, name: str = "text") -> Problem:
    """Return the problem for a text that is too long, with the excess in letters.

    The limit is in bytes. A text that is N bytes too long is at most N letters too long.
    """
    over = error.size - error.limit
    return Problem(name, "errors.text_long", {"over": over}, over)


def read_code(text: str | None, told: Words) -> tuple[tuple[str, ...], list[Problem]]:
    """Return the seven typed words, or the problem with them."""
    if not (text or "").strip():
        return (), [Problem("code", "errors.code_missing")]
    try:
        return read_typed(text or ""), []
    except (WrongWordCount, UnknownLetter) as error:
        return (), [_not_seven_words("code", error)]
    except UnknownWord as error:
        if not error.suggestions:
            return (), [Problem("code", "errors.code_word", {"position": error.position})]
        near = told.listed(error.suggestions, "word.or")
        values = {"position": error.position, "suggestions": near}
        return (), [Problem("code", "errors.code_word_near", values)]


def _not_seven_words(name: str, error: WrongWordCount | UnknownLetter) -> Problem:
    """Return the problem with a text that cannot be read as seven words."""
    if isinstance(error, UnknownLetter):
        return Problem(name, "errors.code_letter", {"letter": error.letter})
    return Problem(name, "errors.code_count", {"count": error.count}, error.count)


def shown(problems: Sequence[Problem], told: Words) -> dict[str, str]:
    """Return a sentence for each field that has a problem, in the order of the page."""
    return {problem.field: problem.say(told) for problem in problems}
