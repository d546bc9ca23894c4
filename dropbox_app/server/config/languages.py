"""The languages of the reporter's pages and of the other texts.

Every site has pages in Dutch and English, and in any further languages that its setting
``languages`` lists. The operator's texts, the law, the referral list and the words of a code exist
only in Dutch and English.
"""

from dropbox_app.protocol.retrieval_code import LANGUAGES as CODE_LANGUAGES

ALWAYS = CODE_LANGUAGES  # every site has these
# Translations that no native speaker has read yet.
DRAFTS = ("pl", "uk", "ar")
PAGE_LANGUAGES = (*ALWAYS, *DRAFTS)
RIGHT_TO_LEFT = ("ar",)


def in_dutch_or_english(lang: str) -> str:
    """Return the language to use for the code, the law and the operator's texts.

    Readers of the Dutch pages get Dutch. All others get English, because more people can read it.
    """
    return lang if lang in CODE_LANGUAGES else "en"
