"""All errors of the protocol, grouped by cause.

The docstring of each concrete error is a sentence that may be shown to a person, and ``str(error)``
adds the details. No error contains the text, code or key that was being processed.
"""


class KlankbordError(Exception):
    """Something went wrong in Klankbord."""


class FormatError(KlankbordError):
    """The bytes do not have the form that the protocol requires."""


class KeyFormatError(FormatError):
    """This is not a key of the right kind."""


# Sealed files (age). The classes are those of age's published test vectors.


class AgeError(KlankbordError):
    """The sealed file could not be opened."""


class HeaderFailure(AgeError):
    """The beginning of the sealed file is damaged, or it is not an age file."""


class NoMatch(AgeError):
    """The sealed file appears intact, but none of the keys fits it."""


class HmacFailure(AgeError):
    """A key fits, but the beginning of the sealed file was altered."""


class PayloadFailure(AgeError):
    """The contents of the sealed file were altered or cut off."""


class WrongPassphrase(NoMatch):
    """The passphrase is incorrect."""


# Retrieval codes, as typed by a person.


class CodeError(KlankbordError):
    """The typed text is not a code of seven words."""


class WrongWordCount(CodeError):
    """A code has seven words."""

    def __init__(self, count: int) -> None:
        super().__init__(f"a code has 7 words; {count} were read")
        self.count = count


class UnknownLetter(CodeError):
    """A code contains only the letters a to z."""

    def __init__(self, letter: str) -> None:
        # A person typed the letter. Like the words, it is left out of the message.
        super().__init__("a letter that no code holds was read")
        self.letter = letter


class UnknownWord(CodeError):
    """A word of the code is not in the lists."""

    def __init__(self, position: int, suggestions: tuple[str, ...]) -> None:
        # The word itself is left out of the message, because an exception may end up in a log.
        super().__init__(f"word {position} of the code stands in no list")
        self.position = position
        self.suggestions = suggestions


# Cards, messages, desk requests.


class CardError(KlankbordError):
    """The counsellor card is refused."""


class MessageError(KlankbordError):
    """The message could not be verified."""


class TooLong(MessageError):
    """The text is too long."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the text is {size} bytes; the limit is {limit}")
        self.size = size
        self.limit = limit


class NobodyToWriteTo(MessageError):
    """None of the chosen counsellors can receive messages today."""


class RequestError(KlankbordError):
    """The desk's request is refused."""
