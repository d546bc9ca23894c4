"""The words allowed in a table's headers and cells: those of the pages, in both languages."""

from dropbox_app.desk.register import form
from dropbox_app.desk.register.earlier import TAKEN, Vocabulary
from dropbox_app.desk.register.events import KINDS
from dropbox_app.desk.web import forms
from dropbox_app.desk.web.i18n import LANGUAGES, Words, words

# Common words in a counsellor's own table, besides those of the pages.
_USUAL = {
    "datum": "date", "organisatie": "employer", "duur": "minutes", "zaak": "case",
    "casus": "case", "soort": "event", "opmerking": "notes", "notitie": "notes",
    "aantekening": "notes", "hulp": "help", "contact": "how", "kanaal": "channel",
    "organisation": "employer", "duration": "minutes", "note": "notes",
    "hoe kwam het bij je": "channel", "how did it reach you": "channel",
}  # fmt: skip
# Usual words in the cells, by field.
_USUAL_CELLS = {
    "channel": {"telefoon": "telephone", "telefonisch": "telephone", "e-mail": "email",
                "mail": "email"},
}  # fmt: skip
# If a word is the label of several fields, it means this one.
_FIRST = ("date", "employer", "minutes", "how", "channel", "topic", "help", "notes", "with_whom")


def vocabulary(told: Words) -> Vocabulary:
    """Return the words of both languages; those shown on a page are in the language of ``told``."""
    spoken = [words(language) for language in LANGUAGES]
    fields: dict[str, str] = {}
    shown: dict[tuple[str, str], list[str]] = {("", "event"): []}
    allowed: dict[tuple[str, str], dict[str, str]] = {}
    kinds: dict[str, str] = {}
    for kind in TAKEN:
        label = "casecopy.case" if kind == "case" else f"entry.kind_{kind}"
        kinds |= {each.say(label).casefold(): kind for each in spoken}
        shown["", "event"].append(told.say(label))
        asked = [forms.asked(each, kind) for each in spoken]
        for name, reader in form.readers(KINDS[kind]).items():
            allowed[kind, name] = {
                label.casefold(): code
                for each in asked if name in each
                for code, label in each[name].options
            } | _USUAL_CELLS.get(name, {})  # fmt: skip
            mine = forms.asked(told, kind).get(name)
            options = mine.options if mine else ()
            shown[kind, name] = [one for _, one in options] or list(reader.allowed)
            for each in asked:
                if name in each:
                    fields.setdefault(_small(each[name].label), name)
    first = {_small(each.say(f"field.{name}")): name for name in _FIRST for each in spoken}
    return Vocabulary(fields | first | _USUAL, kinds, allowed, shown)


def _small(label: str) -> str:
    return " ".join(label.split()).casefold().rstrip(" ?:…")
