"""Whether a text tells a retrieval code."""


def tells(text: str, code: str) -> bool:
    """A page that shows a code shows all seven words of it.

    One or two words prove nothing: the list's words are everyday words, and a page holds dozens
    of them by itself. Three by chance is less than once in 100,000 pages.
    """
    return len(set(code.split()) & set(text.split())) >= 3
