"""The languages of the reporter's pages, and in which of them everything else is.

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
    """The language of a code, of the law and of an operator's texts on pages in this language.

    English for every reader but those of the Dutch pages: more of them can read it.
    """
    return lang if lang in CODE_LANGUAGES else "en"
