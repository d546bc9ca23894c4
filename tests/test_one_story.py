"""One story everywhere: how soon somebody reads, who can read, what leaving does.

A table, key by key. Every sentence of the pages on one of these subjects is in it with what it has
to say, so that a new one cannot contradict the others unseen; the documents are held to the same.
"""

import re
from pathlib import Path

import pytest

from dropbox_app.server.config.languages import ALWAYS as LANGUAGES
from tests.server.web.test_words import catalogue, texts

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
CHOSEN = {"nl": "lleen wie jij kiest, kan", "en": "nly the person you choose can"}
NAMED = {"nl": "lleen {counsellor}", "en": "nly {counsellor}"}
CODE = {"nl": "met je code", "en": "with your code"}
ALONG = {"nl": "eelezen", "en": "ead along"}
FINDER = {"nl": "kan je gesprek lezen", "en": "can read your conversation"}
NOBODY = {"nl": "Er is nu niemand die", "en": "Nobody can"}

# By subject: what a sentence on it looks like in each language, and what each has to hold.
Story = dict[str, tuple[dict[str, str], ...]]
SOON: Story = {
    "landing.time": (PROMISED,),
    "conversation.empty": (PROMISED,),
    "info.next2": (PROMISED,),
    "code.when": (AFTER,),
    # Counted from Monday to Friday, holidays too: so it does not say that they were working days.
    "person.silent": ({"nl": "minstens {days} doordeweekse", "en": "at least {days} weekdays"},),
    "safety.not_daily": ({"nl": "niet elke dag gelezen", "en": "not read every day"},),
}
READERS: Story = {
    "landing.sealed_one": (
        {"nl": "Na het versturen", "en": "Once it is sent"},
        {"nl": "alleen {counsellor}", "en": "only {counsellor}"},
        CODE,
    ),
    "landing.sealed_many": (CHOSEN, CODE),
    "code.holders": (NAMED, CODE),
    "privacy.kept_messages": ({"nl": CHOSEN["nl"], "en": CHOSEN["en"]}, CODE),
    "person.stand_in": (CHOSEN,),
    "report.wanted_help": (CHOSEN,),
    # Files are for the counsellor alone: a code opens none.
    "files.who": (NAMED, {"nl": "ook niet met je code", "en": "not even with your code"}),
    "privacy.kept_files": (CHOSEN,),
    "withdraw.cannot4": (NAMED, {"nl": "wie jouw code heeft", "en": "anyone with your code"}),
    # While a page is used, the server could; so could who takes it over.
    "landing.run_by": (ALONG, {"nl": "Terwijl je schrijft of leest", "en": "While you write or"}),
    "landing.run_by_employer": (ALONG,),
    "landing.run_by_some_employer": (ALONG,),
    "landing.run_by_unknown": (ALONG,),
    "technical.not1": (ALONG,),
    "conversation.translating": ({"nl": "meelezen", "en": "read along"},),
    # And whoever has the code.
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
         "en": r"[Oo]nly (the person you choose|\{counsellor\}).* open|ead along"
               r"|can (still )?read (your conversation|what you)"},
    ),
    "leaving": (LEAVING, {"nl": r"geschiedenis|het bezoek", "en": r"history|the visit"}),
}  # fmt: skip


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_sentence_on_a_subject_is_in_the_table_and_says_what_it_has_to(
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


# What a document may not say of how often a desk fetches or a counsellor reads, since it is
# response_days that says so.
OTHER_CLOCK = re.compile(
    r"(fetch(es|ed)?|reads?|looks?|answers?|haalt|leest|kijkt|antwoordt)\b[^.|\n]{0,60}"
    r"(once a week|every week|each week|weekly|once a day|each day|daily|per week|elke week"
    r"|elke dag|14 (days|dagen)|7 (days|dagen))",
    re.IGNORECASE,
)
NOT_OF_COUNSELLORS = ("`backup`", "24 hours", "mail")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_has_another_clock(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    found = [match[0] for match in OTHER_CLOCK.finditer(text)]
    assert [one for one in found if not any(word in one for word in NOT_OF_COUNSELLORS)] == []
    for line in text.splitlines():
        if re.search(r"working days|werkdagen", line):
            assert "response_days" in text, line


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_promises_what_the_pages_deny(document: str) -> None:
    """Nobody can read it; leaving clears the history; the code can be given back."""
    text = (ROOT / document).read_text("utf-8")
    for lie in (
        r"\b(nobody|no one) but the counsellor can (read|open)",
        r"clears? (the|your) (browser )?history",
        r"wist (de|je) (browser)?geschiedenis",
        r"(recover|restore|give back) (a|the) (lost )?code",
        r"\b100 ?%|\bfully anonymous|volledig anoniem",
    ):
        assert not re.search(lie, text, re.IGNORECASE), (document, lie)
