"""The texts of the pages, from gettext catalogues that are read once from their sources.

``translations/{nl,en}/LC_MESSAGES/messages.po`` are read directly, so no compiled file can be out
of date. The msgids are keys, such as ``today.title``. A missing key is an error; a key is never
shown to a person.
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

from dropbox_app.protocol.retrieval_code import LANGUAGES

__all__ = ["LANGUAGES", "MissingWord", "Words", "words"]


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

    def say(self, key: str, **values: object) -> str:
        """Return the text of a key, with its ``{names}`` filled in. Raises MissingWord."""
        text = self.catalogue.gettext(key)
        return text.format(**self._written(values)) if values else text

    def count(self, key: str, number: int, **values: object) -> str:
        """Return a key's text in the form for ``number``, which the text shows as ``{number}``."""
        text = self.catalogue.ngettext(key, f"{key}.many", number)
        return text.format(**self._written({"number": number, **values}))

    def day(self, day: datetime.date, today: datetime.date) -> str:
        """Return a day in words: today, yesterday, 3 November; in another year, 3 November 2025."""
        if day == today:
            return self.say("day.today")
        if day == today - datetime.timedelta(days=1):
            return self.say("day.yesterday")
        return self.date(day, today)

    def date(self, day: datetime.date, today: datetime.date) -> str:
        """Return a day as a date, with the year only if it is not the current one."""
        pattern = "d\u00a0MMMM" if day.year == today.year else "d\u00a0MMMM y"
        return babel.dates.format_date(day, pattern, locale=self._locale)

    def language(self, code: str) -> str:
        """Return the name of a language, or its code if it has no name here."""
        return str(babel.Locale(self.lang).languages.get(code, code))

    def size(self, size: int) -> str:
        """Return a number of bytes as file managers show it: 3.4 MB."""
        units = ((1024 * 1024, "MB"), (1024, "kB"), (0, "bytes"))
        least, unit = next(pair for pair in units if size >= pair[0])
        shown = babel.numbers.format_decimal(size / (least or 1), "#,##0.#", self._locale)
        return f"{shown} {unit}"

    def _written(self, values: Mapping[str, object]) -> dict[str, object]:
        """Format the values of a sentence, with thousands separators: 12.000 or 12,000."""
        return {
            name: babel.numbers.format_decimal(value, locale=self._locale)
            if isinstance(value, int | float)
            else value
            for name, value in values.items()
        }

    @property
    def _locale(self) -> str:
        return "en_GB" if self.lang == "en" else self.lang

    def listed(self, names: Sequence[str], last: str = "word.and") -> str:
        """Return names as a list in a sentence: A, B and C."""
        if len(names) < 2:
            return "".join(names)
        return f"{', '.join(names[:-1])} {self.say(last)} {names[-1]}"


@functools.cache
def words(lang: str) -> Words:
    """Return the texts of a language in LANGUAGES."""
    folder = importlib.resources.files("dropbox_app.desk.web") / "translations"
    source = folder / lang / "LC_MESSAGES" / "messages.po"
    with source.open("rb") as file:
        catalogue = read_po(file, locale=lang, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    translations = gettext.GNUTranslations(compiled)
    translations.add_fallback(_Nothing())
    return Words(lang, translations)
