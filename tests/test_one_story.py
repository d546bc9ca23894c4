# ruff: noqa: RUF001 - what looks like a Latin letter is one of the Ukrainian words
"""Consistent statements: how soon somebody reads, who can read, and what leaving does.

The table has every sentence of the pages on one of these subjects, by key, with what it must say.
So no new sentence can contradict the others unnoticed; the documents are checked against the same
table.
"""

import re
import tomllib
from pathlib import Path

import pytest

from dropbox_app.server.config.languages import ALWAYS as LANGUAGES
from dropbox_app.server.config.languages import DRAFTS
from tests.server.web.test_words import catalogue
from tests.support.catalogues import catalogue_in, texts

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    "SECURITY.md",
    "deploy/README.md",
    "deploy/reference.md",
    *(f"deploy/guide/{path.name}" for path in sorted((ROOT / "deploy" / "guide").glob("[!c]*.md"))),
    *(f"deploy/papers/{path.relative_to(ROOT / 'deploy/papers')}"
      for path in sorted((ROOT / "deploy" / "papers").rglob("*.md"))),
)  # fmt: skip

PROMISED = {"nl": "binnen {days} werkdag", "en": "within {days} working day"}
AFTER = {"nl": "na {days} werkdag", "en": "after {days} working day"}
CHOSEN = {"nl": "lleen wie jij kiest, kan", "en": "nly the person you choose"}
NAMED = {"nl": "lleen {counsellor}", "en": "nly {counsellor}"}
CODE = {"nl": "met je code", "en": "with your code"}
ALONG = {"nl": "eelezen", "en": "read them too"}
FINDER = {"nl": "kan je gesprek lezen", "en": "can read your conversation"}
NOBODY = {"nl": "Er is nu niemand die", "en": "Nobody can"}

# By subject: a pattern for sentences about it in each language, and what each must contain.
Story = dict[str, tuple[dict[str, str], ...]]
SOON: Story = {
    "landing.time": (PROMISED,),
    "conversation.empty": (PROMISED,),
    "info.next2": (PROMISED,),
    "code.when": (AFTER,),
    # Days are counted from Monday to Friday, even holidays, so no page calls them working days.
    "person.silent": ({"nl": "minstens {days} doordeweekse", "en": "at least {days} weekdays"},),
    "safety.not_daily": ({"nl": "niet elke dag gelezen", "en": "not read every day"},),
}
READERS: Story = {
    "landing.sealed_one": (
        {"nl": "Na het versturen", "en": "After you send your message"},
        {"nl": "alleen {counsellor}", "en": "only {counsellor}"},
        CODE,
    ),
    "landing.sealed_many": (CHOSEN, CODE),
    "code.holders": (NAMED, CODE),
    "privacy.kept_messages": ({"nl": CHOSEN["nl"], "en": CHOSEN["en"]}, CODE),
    "person.stand_in": (CHOSEN,),
    "report.wanted_help": (CHOSEN,),
    # Files are for the counsellor only: a code opens none.
    "files.who": (NAMED, {"nl": "ook niet met je code", "en": "not even with your code"}),
    "privacy.kept_files": (CHOSEN,),
    "withdraw.cannot4": (NAMED, {"nl": "wie jouw code heeft", "en": "anyone with your code"}),
    # While a page is in use, the server could read it, and so could an attacker who controls it.
    "landing.run_by": (ALONG, {"nl": "Terwijl je schrijft of leest", "en": "While you write or"}),
    "landing.run_by_employer": (ALONG,),
    "landing.run_by_some_employer": (ALONG,),
    "landing.run_by_unknown": (ALONG,),
    "technical.not1": (ALONG,),
    # A browser that seals prevents that, unless its code is altered; other browsers say so.
    "sealed.on": (
        {"nl": "kan zo niet meelezen. Behalve als", "en": "cannot read your messages, unless"},
    ),
    "sealed.plain": (ALONG, {"nl": "zodra je het verstuurt", "en": "as soon as you send it"}),
    "conversation.translating": ({"nl": "meelezen", "en": "be able to read it"},),
    # Anyone who has the code can read it too.
    "code.finder": (FINDER,),
    "info.cannot3": (FINDER,),
    "technical.not3": (FINDER,),
    "other.before": ({"nl": "De vorige kan nog lezen", "en": "can still read"},),
}
LEAVING: Story = {
    "frame.leave_help": (
        {"nl": "gaat verloren", "en": "is lost"},
        {"nl": "geschiedenis wordt niet gewist", "en": "history is not cleared"},
    ),
    "safety.private": (
        {"nl": "onthoudt het bezoek dan meestal niet", "en": "usually does not remember"},
    ),
}
# The counsellor tells nobody without consent, except peers and in the listed exceptions.
TELLING: Story = {
    # These three sentences always appear together, in this order: see test_before.
    "landing.control": ({"nl": "behalve als jij dat goedvindt", "en": "unless you agree"},),
    "landing.peers": ({"nl": "met een vakgenoot", "en": "with a fellow counsellor"},),
    "landing.not_always": (
        {"nl": "Er zijn een paar uitzonderingen", "en": "There are a few exceptions"},
    ),
    "info.exceptions_short": (
        {"nl": "waaraan je te herkennen bent", "en": "that could identify you"},
        {"nl": "behalve als jij dat goedvindt", "en": "unless you agree"},
        {"nl": "Heel soms moet het toch", "en": "Very rarely, {counsellor} has to tell someone"},
    ),
}
SUBJECTS = {
    "soon": (
        SOON,
        {"nl": r"\{days\} (werkdag|doordeweekse)|elke dag (ge)?lezen|elke dag gelezen",
         "en": r"\{days\} (working day|weekday)|every day"},
    ),
    "readers": (
        READERS,
        {"nl": r"[Aa]lleen (wie jij kiest|\{counsellor\}).*openen|meelezen"
               r"|kan (je gesprek|nog) lezen",
         "en": r"[Oo]nly (the person you choose|\{counsellor\}).* open|read them too"
               r"|able to read it|can (still )?read (your conversation|what you)|cannot read your"},
    ),
    "leaving": (LEAVING, {"nl": r"geschiedenis|het bezoek", "en": r"history|the visit"}),
    "telling": (
        TELLING,
        {"nl": r"met niemand over|vertelt niemand|vakgenoot|paar uitzonderingen",
         "en": r"with anyone|tell anyone|fellow counsellor|few exceptions"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_text_on_a_listed_subject_is_in_the_table_and_matches_its_entry(
    subject: str, lang: str
) -> None:
    story, looks = SUBJECTS[subject]
    known = {key: texts(message) for key, message in catalogue(lang).items()}
    found = {key for key, each in known.items() if any(re.search(looks[lang], t) for t in each)}
    assert found - set(story) == set()
    for key, wanted in story.items():
        for text in known[key]:
            for one in wanted:
                assert one[lang] in text, (key, one[lang], text)


# The same for the draft translations: what each key must contain, in the order of DRAFTS.
TOLD_BY_DRAFTS = {
    ("landing.time", "conversation.empty", "info.next2"): (
        "zwykle w ciągu", "протягом {days} робоч", "عادة خلال",
    ),
    ("code.when",): ("Wróć po", "Поверніться через", "عُد بعد"),
    ("person.silent",): (
        "od co najmniej {days} dni powszednich", "протягом щонайменше {days} будніх днів",
        "{days} من الأيام على الأقل، من دون حساب عطلة نهاية الأسبوع",
    ),
    ("safety.not_daily",): (
        "nie czyta się codziennie", "читають не щодня", "لا تُقرأ الرسائل هنا كل يوم",
    ),
    ("landing.sealed_one",): ("Po wysłaniu", "Після надсилання", "بعد الإرسال"),
    ("landing.sealed_one", "code.holders", "files.who", "withdraw.cannot4"): (
        "ylko {counsellor}", "ільки {counsellor}", "إلا {counsellor}",
    ),
    ("landing.sealed_many", "privacy.kept_messages", "person.stand_in", "report.wanted_help",
     "privacy.kept_files"): (
        "Tylko wybrana osoba może", "Тільки той, кого ви виберете, може", "إلا من تختاره",
    ),
    ("landing.sealed_one", "landing.sealed_many", "code.holders", "privacy.kept_messages"): (
        "I ty, ze swoim kodem.", "І ви, зі своїм кодом.", "وأنت، برمزك.",
    ),
    ("files.who",): ("nawet ze swoim kodem", "навіть зі своїм кодом", "ولا حتى برمزك"),
    ("withdraw.cannot4",): ("każdy, kto ma twój kod", "той, хто має ваш код", "ومن عنده رمزك"),
    ("landing.run_by", "landing.run_by_employer", "landing.run_by_some_employer",
     "landing.run_by_unknown", "technical.not1", "conversation.translating", "sealed.on",
     "sealed.plain"): (
        "razem z tobą", "разом із вами", "على ما تكتبه وتقرؤه",
    ),
    ("landing.run_by", "technical.not1"): (
        "iedy piszesz lub czytasz", "оки ви пишете чи читаєте", "بينما تكتب أو تقرأ",
    ),
    ("code.finder", "info.cannot3", "technical.not3"): (
        "może przeczytać twoją rozmowę", "може прочитати вашу розмову", "يستطيع قراءة محادثتك",
    ),
    ("other.before",): (
        "Poprzednia osoba może nadal czytać", "Попередня особа ще може читати",
        "الشخص السابق ما زال يستطيع قراءة",
    ),
    ("landing.control",): (
        "nie rozmawia o tym z nikim, chyba że", "ні з ким про це не говорить, хіба що",
        "لا يتحدث عن ذلك مع أحد، إلا",
    ),
    ("landing.not_always",): ("Jest kilka wyjątków", "Є кілька винятків", "هناك بعض الاستثناءات"),
    ("landing.peers",): (
        "z inną osobą z tego samego zawodu", "з колегою за фахом", "مع زميل في المهنة",
    ),
    ("info.exceptions_short",): (
        "po czym można cię rozpoznać", "за чим вас можна впізнати", "شيئًا يدل عليك",
    ),
    ("frame.leave_help",): (
        "Historia przeglądarki nie jest usuwana", "Історія браузера не стирається",
        "سجل المتصفح لا يُمحى",
    ),
    ("safety.private",): (
        "zwykle nie zapamiętuje wtedy tej wizyty", "зазвичай не запам’ятовує відвідування",
        "لا يحتفظ المتصفح عادة بالزيارة",
    ),
}  # fmt: skip
LOOKS_IN_DRAFTS = {
    "soon": (r"\{days\}|codziennie", r"\{days\}|щодня", r"\{days\}|كل يوم"),
    "readers": (
        r"[Tt]ylko (wybrana osoba|\{counsellor\}).*otworzyć|czyta\w+ razem z tobą"
        r"|może przeczytać twoją rozmowę|może nadal czytać",
        r"[Тт]ільки (той, кого|\{counsellor\}).*відкри|відкри.*тільки \{counsellor\}"
        r"|читати разом із вами|може прочитати вашу розмову|ще може читати",
        r"فتح.*إلا (من تختاره|\{counsellor\})|على ما تكتبه وتقرؤه|يستطيع قراءة (محادثتك|ما أرسلته)",
    ),
    "leaving": ("Historia przeglądarki|wizyty", "Історія браузера|відвідування",
                "سجل المتصفح|بالزيارة"),
    "telling": (
        "nie rozmawia o tym z nikim|nie mówi nikomu|tego samego zawodu|kilka wyjątków",
        "ні з ким про це|не розповідає нікому|колегою за фахом|кілька винятків",
        "مع أحد، إلا|لا يقول لأحد|زميل في المهنة|بعض الاستثناءات",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lang", DRAFTS)
def test_draft_translations_agree_with_the_pages(lang: str) -> None:
    """Each draft has every key of the table, and no other key is on one of its subjects."""
    number = DRAFTS.index(lang)
    known = {key: texts(message) for key, message in catalogue(lang).items()}
    for keys, told in TOLD_BY_DRAFTS.items():
        for key in keys:
            assert all(told[number] in text for text in known[key]), (key, known[key])
    covered = {key for keys in TOLD_BY_DRAFTS for key in keys}
    for subject, (story, _) in SUBJECTS.items():
        assert set(story) <= covered
        looks = LOOKS_IN_DRAFTS[subject][number]
        found = {key for key, each in known.items() if any(re.search(looks, t) for t in each)}
        assert found == set(story), subject


# The desk's texts on the same subjects: its pages, its printed texts, and the opening texts for
# answers. On its own page they are about the counsellor's reading, not a reporter's.
NOT_DAILY = {"nl": "Ik lees hier niet elke dag", "en": "do not read messages here every day"}
DESK: dict[str, tuple[dict[str, str], Story]] = {
    "soon": (
        {"nl": r"werkdag|doordeweekse|\belke dag|noodnummer",
         "en": r"working day|weekday|every day|emergency"},
        {
            "today.read_late": (
                {"nl": "binnen {number} werkdag", "en": "within {number} working day"},
            ),
            "poster.urgent": (
                {"nl": "Berichten worden niet elke dag gelezen. Dit is geen noodnummer.",
                 "en": "Messages are not read every day. This is not an emergency service."},
            ),
            "card.urgent": ({"nl": "Geen noodnummer.", "en": "Not an emergency service."},),
            "not_safe.text": (NOT_DAILY,),
            "does_not_want_to_live.text": (NOT_DAILY,),
        },
    ),
    "readers": (
        {"nl": r"meelezen|kan.*gesprek lezen|[Aa]lleen wie jij",
         "en": r"read along|can read (your|the) conversation|[Oo]nly the person you"},
        {
            "frame.browser": (
                {"nl": "Uitbreidingen van die browser kunnen meelezen",
                 "en": "Extensions in that browser can read this page"},
            ),
            "who.sentence_help": (
                {"nl": "Beloof niet hoe snel je antwoordt of wie er meeleest",
                 "en": "how soon you will answer or who can read messages"},
            ),
        },
    ),
    "leaving": (
        {"nl": r"geschiedenis|Snel weg", "en": r"history|Leave quickly"},
        {
            "frame.browser": (
                {"nl": "blijft in de geschiedenis", "en": "stays in the browser’s history"},
            ),
        },
    ),
    "telling": (
        {"nl": r"hier met niemand over|vertelt niemand",
         "en": r"with anyone|tell anyone|fellow counsellor"},
        {
            "listening.text": (
                {"nl": "behalve als jij dat goedvindt", "en": "unless you agree"},
                {"nl": "met een vakgenoot", "en": "with a fellow counsellor"},
                {"nl": "Er zijn een paar uitzonderingen", "en": "There are a few exceptions"},
            ),
        },
    ),
}  # fmt: skip
PACKAGE = ROOT / "dropbox_app" / "desk"


def desk_texts(lang: str) -> dict[str, list[str]]:
    """Return every text of the desk by key, and of printables and snippets by table and key."""
    found = {key: texts(one) for key, one in catalogue_in(PACKAGE / "web", lang).items()}
    for folder in ("printables", "snippets"):
        tables = tomllib.loads((PACKAGE / folder / f"{lang}.toml").read_text("utf-8"))
        for name, table in tables.items():
            for each, value in table.items():
                found[f"{name}.{each}"] = [value] if isinstance(value, str) else list(value)
    return found


@pytest.mark.parametrize("subject", DESK)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_desk_and_its_printed_texts_agree_with_the_pages(subject: str, lang: str) -> None:
    looks, story = DESK[subject]
    known = desk_texts(lang)
    found = {one for one, each in known.items() if any(re.search(looks[lang], t) for t in each)}
    assert found - set(story) == set()
    for one, wanted in story.items():
        for text in known[one]:
            assert all(each[lang] in text for each in wanted), (one, text)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_counsellor_reads_the_topic_that_the_reporter_ticked(lang: str) -> None:
    """The topic about the reporter is an exception."""
    site, desk = catalogue(lang), desk_texts(lang)
    ticked = {one for one in site if one.startswith("topics.")}
    for one in ticked - {"topics.accused", "topics.dont_know"}:
        said = texts(site[one])[0].lower().partition(" (")[0]
        assert desk[one] == [said], one


@pytest.mark.parametrize("lang", LANGUAGES)
def test_counsellors_guide_states_the_sites_response_time(lang: str) -> None:
    text = " ".join((ROOT / f"deploy/guide/counsellor.{lang}.md").read_text("utf-8").split())
    sentences = re.findall(r"[^.]*(?:werkdag|working day)[^.]*\.", text)
    assert sentences
    said = {
        "nl": "vaak genoeg om te antwoorden binnen de tijd die de site belooft",
        "en": "often enough to answer within the time that the site promises",
    }
    for one in sentences:
        assert said[lang] in one


# Statements that no document may make about how often a desk fetches or a counsellor reads, because
# response_days determines that.
OTHER_CLOCK = re.compile(
    r"(fetch(es|ed)?|reads?|looks?|answers?|haalt|leest|kijkt|antwoordt)\b[^.|\n]{0,60}"
    r"(once a week|every week|each week|weekly|once a day|each day|daily|per week|elke week"
    r"|elke dag|14 (days|dagen)|7 (days|dagen))",
    re.IGNORECASE,
)
NOT_OF_COUNSELLORS = ("`backup`", "24 hours", "mail")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_states_a_different_response_time(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    found = [match[0] for match in OTHER_CLOCK.finditer(text)]
    assert [one for one in found if not any(word in one for word in NOT_OF_COUNSELLORS)] == []
    for line in text.splitlines():
        if re.search(r"working days|werkdagen", line):
            assert "response_days" in text, line


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_promises_anything_that_the_pages_deny(document: str) -> None:
    """Examples: nobody can read it, leaving clears the history, a code can be recovered."""
    text = (ROOT / document).read_text("utf-8")
    for lie in (
        r"\b(nobody|no one) but the counsellor can (read|open)",
        r"clears? (the|your) (browser )?history",
        r"wist (de|je) (browser)?geschiedenis",
        r"(recover|restore|give back) (a|the) (lost )?code",
        r"\b100 ?%|\bfully anonymous|volledig anoniem",
        # Texts stay in memory for minutes; fetched messages stay with the counsellor.
        r"memory for a moment|heel even door het geheugen",
        r"(withdraw|delete|take back) everything at any time|altijd alles (terugnemen|wissen)",
        r"(build|version) makes no report|versie maakt geen verslag",
    ):
        assert not re.search(lie, text, re.IGNORECASE), (document, lie)
