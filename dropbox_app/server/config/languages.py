"""The languages of the reporter's pages, and the language of everything else.

The pages of a site are in Dutch and English, and in each further language that its setting
``languages`` names. The operator's texts, the law, the referral list and the words of a code are
only in Dutch or English.
"""

from dropbox_app.protocol.retrieval_code import LANGUAGES as CODE_LANGUAGES

ALWAYS = CODE_LANGUAGES  # at every site
# Translations that no native speaker has read yet.
DRAFTS = ("pl", "uk", "ar")
PAGE_LANGUAGES = (*ALWAYS, *DRAFTS)
RIGHT_TO_LEFT = ("ar",)


def in_dutch_or_english(lang: str) -> str:
    """Return the language of the code, the law and the operator's texts on these pages.

    It is English for everyone except readers of the Dutch pages, since more people can read it.
    """
    return lang if lang in CODE_LANGUAGES else "en"
