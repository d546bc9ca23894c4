"""The protocol's fixed words in the form shown to people. ``--json`` keeps the original words."""

from collections.abc import Mapping

from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.storage.state import Profile

PERSON: Mapping[str, str] = {
    "internal": "works at the organisation",
    "external": "does not work at the organisation",
}
SCOPE: Mapping[str, str] = {
    "unwanted_behaviour": "unwanted behaviour",
    "integrity": "things that are dishonest or unsafe",
    "both": "unwanted behaviour, and things that are dishonest or unsafe",
}
LANGUAGE: Mapping[str, str] = {"nl": "Dutch", "en": "English"}
KIND: Mapping[str, str] = {
    "options": "possible next steps",
    "consent-request": "question for consent",
    "consent-answer": "answer about consent",
}
STATUS: Mapping[str, str] = {
    "withdrawn": "withdrawn by the reporter",
    "gone": "no longer at the server",
}
LABEL: Mapping[str, str] = {
    "with": "with whom",
    "scope": "what will be shared",
    "needs": "what would help",
    "topics": "what it is about",
    "ongoing": "still going on",
    "about": "who it is about",
    "relation": "works there",
    "talked": "talked to somebody",
    "safe": "feels safe now",
}
_CONSENT: Mapping[str, str] = {
    "yes": "yes",
    "no": "no",
    "tell-me-more": "wants to know more first",
    "withdrawn": "withdraws their consent",
}
# Words without an entry here are shown with spaces: "dont_know", "abuse_of_power".
_ANSWER: Mapping[str, Mapping[str, str]] = {
    "answer": _CONSENT,
    "needs": {
        "be_heard": "someone to listen",
        "think_along": "someone to think it through with",
        "know_options": "to know what can be done",
        "make_it_stop": "for it to stop",
        "dont_know": "does not know yet",
    },
    "topics": {
        "sexual_harassment": "sexual harassment or sexual violence",
        "wrongdoing": "something dishonest or unsafe",
        "conflict": "a conflict at work",
        "accused": "is accused of something (if you counsel the other side too: find somebody else "
        "for one of the two)",
    },
    "about": {"board_owner": "the board or the owner"},
    "relation": {
        "works_here": "yes",
        "worked_here": "not any more",
        "hired": "through another company",
        "intern_or_volunteer": "as an intern or a volunteer",
    },
}


def answer(field: str, value: str) -> str:
    """Return one of a report's fixed answers in words.

    An answer from a newer version is returned unchanged.
    """
    plain = {"dont_know": "does not know", "rather_not": "would rather not say"}
    known = _ANSWER.get(field, {}).get(value) or plain.get(value)
    return known or value.replace("_", " ")


def profile(given: Profile) -> str:
    """Return the information that reporters see about a counsellor besides the name."""
    languages = ", ".join(LANGUAGE.get(code, code) for code in given.languages)
    number = f"; register number {given.register_number}" if given.register_number else ""
    said = "".join(f" {code}: \u201c{text}\u201d" for code, text in sorted(given.sentence.items()))
    return visible(
        f"{given.name}; {PERSON[given.kind]}; for {SCOPE[given.scope]}; reads and writes "
        f"{languages}{number}.{said}"
    )
