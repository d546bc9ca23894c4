"""The texts of the pages, from gettext catalogues that are read once from their sources.

The sources in ``translations/*/LC_MESSAGES/messages.po`` are read directly, so no compiled file can
be out of date. The msgids are keys, such as ``landing.title``. A missing key is an error; a key is
never shown to a person.
"""

import datetime
import functools
import gettext
import importlib.resources
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import babel
import babel.dates
import babel.numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from dropbox_app.server.config.languages import DRAFTS, PAGE_LANGUAGES, RIGHT_TO_LEFT

__all__ = ["PAGE_LANGUAGES", "MissingWord", "Words", "words"]


class MissingWord(LookupError):
    """Raised if a catalogue has no text for a key."""


class _Nothing(gettext.NullTranslations):
    """A gettext fallback that raises MissingWord, because there is no fallback text."""

    def gettext(self, message: str) -> NoReturn:
        raise MissingWord(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> NoReturn:
        raise MissingWord(msgid1)


@dataclass(frozen=True)
class Words:
    """The texts of one language, with its formats for dates, sizes and lists."""

    lang: str
    catalogue: gettext.GNUTranslations

    @property
    def other(self) -> str:
        """Return the second language of an error page, which shows its text in two languages."""
        return "nl" if self.lang == "en" else "en"

    @property
    def right_to_left(self) -> bool:
        """Return whether the language is written from right to left."""
        return self.lang in RIGHT_TO_LEFT

    @property
    def draft(self) -> bool:
        """Return whether no native speaker has read this catalogue yet."""
        return self.lang in DRAFTS

    def say(self, key: str, **values: object) -> str:
        """Return the text of a key, with its ``{names}`` filled in. Raises MissingWord."""
        text = self.catalogue.gettext(key)
        return text.format(**self._written(values)) if values else text

    def count(self, key: str, number: int, **values: object) -> str:
        """Return the plural form of a text for ``number``; ``values`` must include the number."""
        text = self.catalogue.ngettext(key, f"{key}.many", number)
        return text.format(**self._written(values))

    def date(self, day: datetime.date, today: datetime.date) -> str:
        """Return a day as a date, with the year unless it is the current one.

        The result is never "today": days are in UTC, and the reader's next day may already have
        begun.
        """
        pattern = "d\u00a0MMMM" if day.year == today.year else "d\u00a0MMMM y"
        return babel.dates.format_date(day, pattern, locale=self._locale)

    def language(self, code: str) -> str:
        """Return a language's name, or its code if it has no name here."""
        return str(babel.Locale(self.lang).languages.get(code, code))

    def size(self, size: int) -> str:
        """Return a number of bytes as file managers show it: 3.4 MB."""
        units = ((1024 * 1024, "MB"), (1024, "kB"), (0, "bytes"))
        least, unit = next(pair for pair in units if size >= pair[0])
        shown = babel.numbers.format_decimal(size / (least or 1), "#,##0.#", self._locale)
        return f"{shown} {unit}"

    def _written(self, values: Mapping[str, object]) -> dict[str, object]:
        """Format the values of a sentence, with thousands separators: 12.000 or 12,000."""
        return {name: self._value(value) for name, value in values.items()}

    def _value(self, value: object) -> object:
        if isinstance(value, int):
            return babel.numbers.format_decimal(value, locale=self._locale)
        # Names and telephone numbers keep their own direction. Otherwise 0800-0113 becomes
        # 0113-0800.
        return f"\u2068{value}\u2069" if self.right_to_left else value

    @property
    def _locale(self) -> str:
        return "en_GB" if self.lang == "en" else self.lang

    def listed(self, names: Sequence[str], last: str = "word.and") -> str:
        """Return names as a list in a sentence: A, B and C."""
        if len(names) < 2:
            return "".join(names)
        if self.right_to_left:
            # In Arabic, "and" is joined to the next word and "or" is a separate word.
            gap = "" if last == "word.and" else " "
            return f"{'، '.join(names[:-1])} {self.say(last)}{gap}{names[-1]}"
        return f"{', '.join(names[:-1])} {self.say(last)} {names[-1]}"


@functools.cache
def words(lang: str) -> Words:
    """Return the texts of a language in PAGE_LANGUAGES."""
    folder = importlib.resources.files("dropbox_app.server.web") / "translations"
    source = folder / lang / "LC_MESSAGES" / "messages.po"
    with source.open("rb") as file:
        catalogue = read_po(file, locale=lang, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    translations = gettext.GNUTranslations(compiled)
    translations.add_fallback(_Nothing())
    return Words(lang, translations)
