"""The pages of a release: each page's template, and the values that do not depend on the site."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dropbox_app.desk.site_check import values
from dropbox_app.desk.site_check.matching import Matcher
from dropbox_app.desk.site_check.release import Release
from dropbox_app.desk.site_check.shapes import Reader
from dropbox_app.desk.site_check.values import Known, Text, Unknown
from dropbox_app.protocol.messages import ANSWERS, CONSENT_ANSWERS

CHOICE = ""  # the page on which a visitor chooses a language
# The paths of all other pages after the language, in the order in which a visitor may read them.
PATHS = (
    "", "safety", "report", "return", "about", "what", "help", "options", "role", "exceptions",
    "address", "real", "privacy", "accessibility", "technical", "more", "withdrawn",
)  # fmt: skip
FORMS = ("report", "return")  # pages that may load the client
_TEMPLATES = {"": "landing", "withdrawn": "done"}
_TITLES = {"report": "title.message", "return": "title.read"}
RIGHT_TO_LEFT = ("ar",)
DRAFTS = ("pl", "uk", "ar")
PLAIN = ("nl", "en")  # the languages of the code and of the operator's own texts
LANGUAGES = (*PLAIN, *DRAFTS)  # in the order of the choice of a language


@dataclass(frozen=True)
class Mode:
    """The settings that decide which sentences a page has.

    ``languages``: the languages of the pages. ``seals``: whether browsers may seal messages.
    """

    languages: tuple[str, ...]
    seals: bool


@dataclass
class Pages:
    """The matchers of a release's pages; each matcher is created on first use."""

    release: Release
    _made: dict[tuple[str, str, Mode, bool], Matcher] = field(default_factory=dict)

    def matcher(self, lang: str, path: str, mode: Mode, client: bool) -> Matcher:
        """Return the matcher of a page; ``lang`` is "" for the page with the choice of a language.

        ``client``: whether the page loads the client script.
        """
        key = lang, path, mode, client
        if key not in self._made:
            self._made[key] = Matcher(_Page(self.release, lang, path, mode, client).shape())
        return self._made[key]


class _Page:
    """One page in one language."""

    def __init__(self, release: Release, lang: str, path: str, mode: Mode, client: bool) -> None:
        self._release = release
        self._path = path
        self._mode = mode
        self._client = client
        self._choosing = lang == ""
        self._lang = lang or PLAIN[0]

    def shape(self) -> values.Shape:
        name = "choose" if self._choosing else _TEMPLATES.get(self._path, self._path)
        reader = Reader(self._release.templates, self._given(), self._special())
        return reader.read(f"{name}.html")

    def _given(self) -> dict[str, Any]:
        lang, path, release = self._lang, self._path, self._release
        plain = lang if lang in PLAIN else "en"
        given: dict[str, Any] = {
            "lang": lang,
            "plain_lang": plain,
            "rtl": lang in RIGHT_TO_LEFT,
            "draft": lang in DRAFTS,
            "tongues": [self._tongue(one) for one in self._mode.languages],
            "title": self._say(lang, _TITLES.get(path, "title.info")),
            "here": None if self._choosing else path,
            "style": release.file_name("style"),
            "script": Text((release.script,), safe=True),
            "switch_form": None,
            "lost": False,
            "shut": False,
            "plain_enter": True,
            "sealed": self._sealed() if self._client else None,
            "settings": _Settings(self._mode.seals),
        }
        if path == "report":
            given |= {
                "switch_form": values.choice(["main-form", ""]),
                "plain_enter": False,
                "problems": {},
                "posted": _NOTHING_POSTED,
                "questions": self._questions(),
            }
        if path == "return":
            given |= {
                "switch_form": "main-form", "problems": {}, "code": "", "reason": "",
                "showing": False,
            }  # fmt: skip
        return given

    def _special(self) -> dict[str, Callable[..., object]]:
        lang = self._lang
        return {
            "t": lambda key, **given: self._say(lang, key, **given),
            "n": lambda key, _number, **given: self._count(lang, key, **given),
            "their": lambda key: self._say("en" if lang == "nl" else "nl", key),
            "absence": self._absence,
            "contact_of": lambda _person: Unknown("contact"),
            "number_of": lambda value: Unknown(f"{values.name_of(value)}"),
            "date": lambda _day: Unknown("date"),
            "listed": lambda _names: Unknown("listed"),
        }

    def _say(self, lang: str, key: object, **given: object) -> object:
        texts = self._release.texts[lang]
        if isinstance(key, values.Choice):
            return values.choice(self._say(lang, one, **given) for one in key.options)
        if isinstance(key, Unknown):
            return values.choice(self._say(lang, one, **given) for one in _open(texts, given))
        if isinstance(key, Text):
            known = values.keys_like(key, _open(texts, given))
            return values.choice(self._say(lang, one, **given) for one in known)
        if str(key) not in texts:  # in a branch that no site takes
            return values.NEVER
        (text,) = texts[str(key)]
        return values.filled(text, given, lang in RIGHT_TO_LEFT) if given else text

    def _count(self, lang: str, key: object, **given: object) -> object:
        forms = self._release.texts[lang][str(key)]
        return values.choice(values.filled(one, given, lang in RIGHT_TO_LEFT) for one in forms)

    def _absence(self, _person: object, **_options: object) -> object:
        """Return the possible texts about an unavailable counsellor, including no text."""

        def said(key: str) -> object:
            slots = {name: Unknown(name) for name in ("counsellor", "days", "backup", "date")}
            return self._say(self._lang, key, **slots)

        others = values.choice(["", values.added([" ", said("person.others")])])
        stand_in = values.added([" ", said("person.stand_in")])
        away = values.choice([others, stand_in])
        return values.choice(
            [
                "",
                values.added([said("person.closed"), others]),
                values.added([said("person.away"), away]),
                values.added([said("person.silent"), others]),
            ]
        )

    def _tongue(self, lang: str) -> Known:
        return Known(
            {"lang": lang, "right_to_left": lang in RIGHT_TO_LEFT},
            {"say": lambda key: self._say(lang, key)},
        )

    def _questions(self) -> list[Known]:
        found = []
        for name, (many, known) in ANSWERS.items():
            options = [[one, self._say(self._lang, f"{name}.{one}")] for one in known]
            if not many:
                options.append(["", self._say(self._lang, "report.skip")])
            found.append(Known({"name": name, "many": many, "options": options}))
        return found

    def _sealed(self) -> Known:
        names = ("client", "worker", "words_nl", "words_en", "not_dealt_nl", "not_dealt_en")
        assets = {
            one: Known({"name": self._release.file_name(one.replace("_", "-"))}) for one in names
        }
        answers = [[one, self._say(self._lang, f"consent.{one}")] for one in CONSENT_ANSWERS[:3]]
        sentences = Known({"each": [*self._sentences()]})
        unknown = ("others", "everybody", "earliest", "most", "largest")
        return Known(
            {name: Unknown(f"sealed.{name}") for name in unknown}
            | {"assets": Known(assets), "answers": answers, "sentences": sentences}
        )

    def _sentences(self) -> list[Known]:
        """Return the sentences that the client may get, each with its key."""
        found = []
        for key, forms in self._release.texts[self._lang].items():
            for form in forms:
                plural = Unknown("plural") if len(forms) > 1 else ""
                found.append(Known({"key": key, "text": form, "plural": plural}))
        days = self._count(self._lang, "conversation.empty", days=Unknown("days"))
        found.append(Known({"key": "conversation.empty", "text": days, "plural": ""}))
        return found


def _open(texts: Mapping[str, tuple[str, ...]], given: Mapping[str, object]) -> list[str]:
    """Return the keys of the sentences that need only the ``given`` values."""
    return [
        key
        for key, forms in texts.items()
        if len(forms) == 1 and (not given or "{" in forms[0]) and _fits(forms[0], given)
    ]


def _fits(text: str, given: Mapping[str, object]) -> bool:
    try:
        values.filled(text, given, isolated=False)
    except LookupError:
        return False
    return True


class _Settings(Known):
    """The site's settings: unknown, except those that decide which sentences a page has."""

    def __init__(self, seals: bool) -> None:
        super().__init__(_AnySetting(seals))


class _AnySetting(dict[str, object]):
    """Gives an unknown value for every setting, by its name."""

    def __init__(self, seals: bool) -> None:
        super().__init__(reporter=Known({"seal_in_browser": seals}))

    def __missing__(self, name: str) -> Unknown:
        return Unknown(f"settings.{name}")


_NOTHING_POSTED = Known(
    {"text": "", "counsellor": "", "answered": False, "answers": {key: [] for key in ANSWERS}}
)
