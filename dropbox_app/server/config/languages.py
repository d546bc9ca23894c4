"""The languages of the reporter's pages, and which language everything else is in.

The pages of a site are in Dutch and English, and in each further language that its setting
``languages`` names. What an operator writes, the law, the list of where people can turn and the
words of a code are in Dutch or English alone.
"""

from dropbox_app.protocol.retrieval_code import LANGUAGES as CODE_LANGUAGES

ALWAYS = CODE_LANGUAGES  # at every site
# Translations that nobody has read yet whose own language it is.
DRAFTS = ("pl", "uk", "ar")
PAGE_LANGUAGES = (*ALWAYS, *DRAFTS)
RIGHT_TO_LEFT = ("ar",)


def in_dutch_or_english(lang: str) -> str:
    """Return the language of a code, of the law and of the operator's texts on these pages.

    It is English for everyone except readers of the Dutch pages, since more people can read it.
    """
    return lang if lang in CODE_LANGUAGES else "en"
