"""The page's catalogues: equal in both languages, with exactly the used keys."""

import ast
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.catalog import Message

import dropbox_app.desk.web
from dropbox_app.desk.annual.gaps import Gap
from dropbox_app.desk.annual.render import FORMATS
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import categories, due
from dropbox_app.desk.web import forms
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import LANGUAGES, MissingWord, words
from dropbox_app.desk.web.views import case, cases, contact, entry, work
from dropbox_app.desk.web.views.threads import TURNS
from dropbox_app.protocol.errors import TooLong
from dropbox_app.protocol.messages import ANSWERS, CONSENT_ANSWERS, KINDS, NOTICE_STATUS
from tests.support.catalogues import catalogue_in, placeholders, texts

PAGE = Path(dropbox_app.desk.web.__file__).parent
KEY = re.compile(r"[a-z]+(\.[a-z0-9_-]+)+")


@functools.cache
def calls() -> list[ast.Call]:
    """Return every call in the desk's modules."""
    trees = (ast.parse(path.read_text()) for path in PAGE.parent.rglob("*.py"))
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def news_keys() -> set[str]:
    """Return the keys of all fetch messages, from the calls in the desk's modules."""
    return {
        ast.literal_eval(call.args[1])
        for call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("note", "alarm")
        and ast.unparse(call.func.value).endswith("report")
    }


def unfit_keys() -> set[str]:
    """Return the keys of all refusals that have their own sentence on the page."""
    refused = (call for call in calls() if ast.unparse(call.func) == "Unfit")
    return {ast.literal_eval(key) for call in refused for key in call.args[1:]}


def refusal_keys() -> set[str]:
    """Return the keys of all register refusals that have their own sentence on the page."""
    keys = (call.args[1] for call in calls() if ast.unparse(call.func).endswith("Sentence"))
    return {ast.literal_eval(key) for key in keys if isinstance(key, ast.Constant)}


def table_keys() -> set[str]:
    """Return the keys of all refusals that concern an entire table."""
    source = (PAGE.parent / "register" / "tables.py").read_text()
    return set(re.findall(r'_refused\(\s*"([a-z_]+)"', source))


# Kinds of entries that the pages show, each with the page that corrects it.
ENTRIES = ("contact", "consent", "step", "complaint", "close", "agreement", *work.WORK)
# Keys that are composed of a prefix and a value.
MADE = {
    *forms.keys(),
    "wrong.fixed", "wrong.fixed_until",
    *(f"contact.case_{which}" for which in contact.WHICH),
    *(f"entry.into_{which}" for which in entry.INTO),
    *(f"cases.state_{state}" for state in cases.STATES),
    *(f"case.{mark}{end}" for mark in case.MARKS for end in ("", "_help")),
    *(f"case.answer_{answer}" for answer in (*categories.ANSWERS, "open")),
    *(f"entry.kind_{kind}" for kind in ENTRIES),
    *(f"recording.{level}" for level in categories.LEVELS),
    *(f"choice.source.{source}" for source in categories.SOURCES),
    *(f"{name}.{value}" for name, (_, values) in ANSWERS.items() for value in values),
    *(f"answer.{name}" for name in ANSWERS),
    *(f"consent.{answer}" for answer in (*CONSENT_ANSWERS, "step", "with", "scope")),
    *(f"notice.{status}" for status in NOTICE_STATUS),
    *(f"threads.turn_{turn or 'all'}" for turn in TURNS),
    *(f"row.{status}" for status in ("withdrawn", "gone")),
    *(f"kind.{kind}" for kind in KINDS if kind != "notice"),
    "cards.said_changed", "cards.said_moved", "cards.said_joined",
    "settings.said_kept", "settings.said_passphrase", "settings.said_proxy",
    "snippets.said_kept", "snippets.said_back", "snippets.title", "away.title", "posters.title",
    "cards.title", "backup.title", "settings.title",
    *(f"employer.kept_{what}" for what in ("employer", "agreement", "checklist")),
    *(f"hours.{kind}" for kind in ("contact", "advice", "activity", *categories.WORK)),
    *(f"checklist.{one}" for one in categories.CHECKLIST),
    *(f"checked.{one}" for one in categories.CHECKED),
    *(f"choice.scope.{one}" for one in categories.SCOPES),
    *(f"due.{kind}" for kind in due.KINDS),
    *(f"upkeep.{kind}" for kind in categories.UPKEEP),
    *(f"agenda.{part}" for part in ("late", "soon", "later")),
    "employers.title", "more.employers", "work.title", "more.work", "check.title", "more.check",
    "more.away", "more.snippets", "more.posters", "more.cards", "more.backup", "more.settings",
    "language.nl", "language.en", "casecopy.for_reporter", "casecopy.for_employer", "casecopy.case",
    "exchange.title", "more.exchange", "field.case", "field.event",
    *(f"exchange.state_{state}" for state in ("wrong", "new", "there")),
    *(f"wrong.{key}" for key in table_keys()),
    *(f"annual.gap_{gap}" for gap in get_args(Gap)),
    *(f"annual.{part}_{kind}" for part in ("file", "for") for kind in FORMATS),
    *(f"annual.final_{part}" for part in ("text", "year", "form", "language")),
    "annual.signals", "annual.bottlenecks",
    *(f"choice.form.{form}" for form in categories.FORMS),
}  # fmt: skip


def catalogue(lang: str) -> Mapping[str, Message]:
    return catalogue_in(PAGE, lang)


def used() -> set[str]:
    """Return every key that a template or a module names."""
    prefixes = {key.split(".")[0] for key in catalogue("nl")}
    endpoints = {path.stem for path in (PAGE / "views").glob("*.py")}
    found = set(MADE)
    for prefix, keys in (("wrong", refusal_keys()), ("unfit", unfit_keys()), ("news", news_keys())):
        found |= {f"{prefix}.{key}" for key in keys}
    for path in [*(PAGE / "templates").glob("*.html"), *PAGE.rglob("*.py")]:
        text = re.sub(r'url_for\("[^"]*"|endpoint == "[^"]*"', "", path.read_text())
        literals = re.findall(r'"([a-z0-9_.-]+)"', text)
        found |= {one for one in literals if KEY.fullmatch(one) and one.split(".")[0] in prefixes}
        found = {one for one in found if not one.endswith("_")}  # the first part of a key
    views = {f"{module}.{view}" for module in endpoints for view in _views(module)}
    return {name for name in found - views if not name.endswith((".html", ".css", ".js", ".svg"))}


def _views(module: str) -> list[str]:
    return re.findall(r"^def ([a-z_]+)", (PAGE / "views" / f"{module}.py").read_text(), re.M)


def test_both_languages_have_the_same_keys_and_every_key_has_text() -> None:
    nl, en = catalogue("nl"), catalogue("en")
    assert nl.keys() == en.keys()
    for message in (*nl.values(), *en.values()):
        assert all(text.strip() for text in texts(message)), message.id
        assert not message.fuzzy, message.id
        assert len(texts(message)) == (1 if isinstance(message.id, str) else 2), message.id


def test_placeholders_match_in_both_languages_and_plural_forms() -> None:
    nl, en = catalogue("nl"), catalogue("en")
    for key in nl:
        wanted = placeholders(texts(nl[key])[0])
        for text in (*texts(nl[key]), *texts(en[key])):
            assert placeholders(text) == wanted, key


def test_every_text_key_is_used_and_every_used_key_exists() -> None:
    assert used() == set(catalogue("nl"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_missing_text_key_raises_an_error(lang: str) -> None:
    with pytest.raises(MissingWord):
        words(lang).say("no.such_key")


@pytest.mark.parametrize(
    "word", ["item", "mailbox", "seal", "hex", "thread", "verzegel", "sleutelbos"]
)
def test_no_text_contains_a_technical_term(word: str) -> None:
    for lang in LANGUAGES:
        for key, message in catalogue(lang).items():
            for text in texts(message):
                assert not re.search(rf"\b{word}", text, re.I), key


def test_every_fetch_message_has_a_translation() -> None:
    assert len(news_keys()) > 20
    assert {f"news.{key}" for key in news_keys()} <= catalogue("nl").keys()


def test_titles_do_not_reveal_the_purpose_of_the_page() -> None:
    assert texts(catalogue("nl")["title.page"]) == ["Bericht"]
    assert texts(catalogue("en")["title.page"]) == ["Message"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_limits_are_stated_in_letters_or_megabytes_and_never_in_bytes(lang: str) -> None:
    told = words(lang)
    large = Unfit("-", "large_file", name="foto.jpg", most=100 * 1024 * 1024)
    assert "100 MB" in sentence(told, large)
    assert "100 MB" in sentence(told, Unfit("-", "large_shown", most=100 * 1024 * 1024))
    said = sentence(told, TooLong(70_000, 60_000))
    assert {"nl": "10.000 letters te veel", "en": "10,000 characters too many"}[lang] in said
    assert not any(
        "bytes" in text for message in catalogue(lang).values() for text in texts(message)
    )
