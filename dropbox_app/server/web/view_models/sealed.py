"""The contents of a page for a browser that seals messages itself: the sentences for its script.

The script fills in the values and contains no sentences of its own.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import babel

from dropbox_app.protocol.messages import ANSWERS, CONSENT_ANSWERS, MAX_FILES, NOTICE_STATUS
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.web.assets import SealingAssets, sealing_assets
from dropbox_app.server.web.i18n import Words
from dropbox_app.server.web.view_models.counsellors import People, Person

# Sentences that do not depend on a number.
KEYS = (
    "sealed.on", "sealed.plain", "sealed.checking", "sealed.sending", "sealed.hashing",
    "sealed.unsent", "sealed.perhaps", "sealed.perhaps_title", "sealed.perhaps_message",
    "sealed.arrived", "sealed.clock", "sealed.withheld", "sealed.changed_card", "sealed.network",
    "sealed.switch", "sealed.file_part", "sealed.file_waiting", "sealed.file_stopped",
    "sealed.file_stuck", "sealed.file_comparing", "sealed.file_changed", "sealed.file_opening",
    "sealed.file_saved", "sealed.file_busy", "errors.busy", "errors.busy_read", "errors.full",
    "errors.mailbox_full", "errors.nobody",
    "errors.text_missing", "errors.text_is_code", "errors.wanted_missing", "errors.code_missing",
    "errors.code_letter", "errors.code_word", "errors.code_word_near", "errors.code_wrong",
    "errors.confirm_code", "errors.confirm_missing", "errors.answer_missing",
    "errors.typed_missing", "errors.typed_order", "errors.unsent", "again.gone_title", "again.gone",
    "code.right", "code.holders", "code.received", "conversation.by_you",
    "conversation.from_you", "conversation.line", "conversation.line_former", "conversation.to",
    "conversation.left_out", "conversation.left_out_now", "conversation.left_out_then",
    "conversation.write_help", "conversation.empty_yet", "conversation.sent", "conversation.asked",
    "conversation.removed", "conversation.withheld", "conversation.withheld_mine",
    "conversation.unverified", "conversation.conflict", "conversation.conflict_mine",
    "conversation.newer", "conversation.passed_on", "conversation.closed", "conversation.expires",
    "conversation.expires_soon", "handover.now", "files.unnamed", "files.unnamed_here",
    "files.lost", "files.download", "files.altered_theirs", "files.broken", "files.full",
    "files.check", "files.whole", "files.altered", "files.mailbox_full", "files.large",
    "files.moved", "files.none", "files.who", "options.pro", "options.con", "options.chosen",
    "consent.title", "consent.step", "consent.scope", "consent.successor",
    "consent.successor_unknown", "consent.unreachable", "consent.said", "consent.said_unknown",
    "consent.stands", "consent.stands_closed", "consent.stands_text", "consent.stands_go",
    "withdraw.nobody_told", "word.former", "word.and", "word.or", "wrong.body",
)  # fmt: skip
# Sentences that depend on a number, once for each plural form of the language.
COUNTED = (
    "files.many", "conversation.older", "errors.text_long", "errors.code_count",
    "errors.typed_wrong", "conversation.gap", "conversation.gap_mine", "withdraw.can3",
    "withdraw.can3_untold", "withdraw.cannot2", "withdraw.cannot4",
)  # fmt: skip
OPEN_ANSWERS = CONSENT_ANSWERS[:3]  # only a yes can be withdrawn
_ENOUGH = 200  # the numbers below this one include every plural form of every language


@dataclass(frozen=True)
class Sentence:
    """A sentence with its ``{names}``.

    ``plural``: its plural form, by the name that browsers use.
    """

    key: str
    text: str
    plural: str = ""


@dataclass(frozen=True)
class SealedPage:
    """The values for ``_sealed.html``."""

    assets: SealingAssets
    sentences: tuple[Sentence, ...]
    answers: tuple[tuple[str, str], ...]  # answers to an open consent request
    others: tuple[Person, ...]  # everyone who can be written to in a conversation
    everybody: tuple[Person, ...]
    earliest: datetime.date
    most: int  # how many files one message may have
    largest: str  # the size of the largest file

    @classmethod
    def of(
        cls, settings: Settings, people: People, told: Words, today: datetime.date
    ) -> "SealedPage":
        """Return the values for a page in one language."""
        return cls(
            assets=sealing_assets(),
            sentences=tuple(_sentences(told, settings)),
            answers=tuple(
                (answer, told.say(f"consent.{answer}")) for answer in CONSENT_ANSWERS[:3]
            ),
            others=tuple(person for person in people.everybody if person.open),
            everybody=people.everybody,
            earliest=today + datetime.timedelta(days=settings.retention.idle),
            most=min(settings.limits.files_per_message, MAX_FILES),
            largest=told.size(settings.limits.file),
        )


def _sentences(told: Words, settings: Settings) -> Iterator[Sentence]:
    named = [f"notice.{status}" for status in NOTICE_STATUS]
    named += [f"consent.{answer}" for answer in CONSENT_ANSWERS]
    named += [f"report.{name}" for name in ANSWERS]
    named += [f"{name}.{value}" for name, (_, values) in ANSWERS.items() for value in values]
    for key in (*KEYS, *named):
        yield Sentence(key, told.catalogue.gettext(key))
    for key in COUNTED:
        for form, number in _forms(told.lang).items():
            yield Sentence(key, told.catalogue.ngettext(key, f"{key}.many", number), form)
    days = settings.response_days
    yield Sentence("conversation.empty", told.count("conversation.empty", days, days=days))


def _forms(lang: str) -> dict[str, int]:
    """Return the plural forms of a language, each with the smallest number that has this form."""
    form_of = babel.Locale(lang).plural_form
    forms: dict[str, int] = {}
    for number in range(_ENOUGH):
        forms.setdefault(form_of(number), number)
    return forms
