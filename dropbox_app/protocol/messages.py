"""Messages: the contents of a sealed file, and their exact form (SPEC section 4).

``parse`` checks the form of one message. ``thread`` determines author, addressees and order from
the signed lines alone.
"""

import datetime
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dropbox_app.protocol.encoding import (
    Json,
    b64,
    check_day,
    check_hex,
    clean_text,
    from_line,
    sha256_hex,
    to_line,
    unb64,
)
from dropbox_app.protocol.errors import FormatError, KeyFormatError, MessageError, TooLong
from dropbox_app.protocol.fields import number_of, object_of, objects_of, one_of, text_of, texts_of
from dropbox_app.protocol.keys import Recipient, SigningKey, VerifyKey
from dropbox_app.protocol.padding import MESSAGE_SIZES

REPORTER = "reporter"
SIGNED_LABEL = b"klankbord/v1/message\n"

MAX_TEXT = 60_000  # bytes of all free text in a message, file names included
MAX_FILE_NAME = 255  # bytes
MAX_TO = 5
MAX_WANTED = 5
MAX_FORMER = 20
MAX_SEEN = 20
MAX_FILES = 10

NOTICE_STATUS = ("received", "read", "closed", "reopened")
CONSENT_ANSWERS = ("yes", "no", "tell-me-more", "withdrawn")

# The optional questions of a report: field -> (whether it may have several values, known values).
ANSWERS: Mapping[str, tuple[bool, tuple[str, ...]]] = {
    "needs": (
        True,
        (
            "be_heard",
            "think_along",
            "know_options",
            "make_it_stop",
            "help_with_complaint",
            "dont_know",
        ),
    ),
    "topics": (
        True,
        (
            "bullying",
            "sexual_harassment",
            "abuse_of_power",
            "discrimination",
            "aggression",
            "wrongdoing",
            "conflict",
            "accused",
            "other",
            "dont_know",
        ),
    ),
    "ongoing": (False, ("yes", "no", "dont_know")),
    "about": (True, ("colleague", "manager", "board_owner", "customer", "other")),
    "relation": (
        False,
        ("works_here", "worked_here", "hired", "intern_or_volunteer", "other", "rather_not"),
    ),
    "talked": (False, ("yes", "no", "rather_not")),
    "safe": (False, ("yes", "no", "dont_know")),
}

# Checking a point takes a tenth of a millisecond, and all messages of a site contain the same few
# identities, which are public anyway. A reporter's own key is not cached.
parse_identity = functools.lru_cache(maxsize=256)(VerifyKey.parse)

_SIGNATURE_TEXT = 88  # base64 of 64 bytes
_TOKEN = re.compile(r"[a-z][a-z_-]{0,39}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")


@dataclass(frozen=True)
class ReporterPublic:
    """The reporter's public keys, which every message from the reporter contains."""

    recipient_text: str
    verify: VerifyKey

    @property
    def recipient(self) -> Recipient:
        """Return the age recipient, which is parsed on first use. Raises KeyFormatError."""
        return Recipient.parse(self.recipient_text)

    @property
    def can_be_sealed_to(self) -> bool:
        """Return whether ``recipient_text`` is a recipient.

        Each recipient has only one valid text form.
        """
        try:
            Recipient.parse(self.recipient_text)
        except KeyFormatError:
            return False
        return True


@dataclass(frozen=True)
class Attachment:
    """One file of a message: the id of its sealed file, and the sender's description."""

    sha256: str
    name: str
    type: str
    size: int


@dataclass(frozen=True)
class Message:
    """One well-formed message. ``body`` contains the fields of the message's kind."""

    site: str
    mailbox: str
    by: str
    to: tuple[VerifyKey, ...]
    n: int
    prev: str | None
    seen: tuple[tuple[str, int], ...]
    day: datetime.date
    lang: str
    kind: str
    body: Mapping[str, Json]
    attachments: tuple[Attachment, ...]
    reporter: ReporterPublic | None
    wanted: tuple[VerifyKey, ...]
    former: tuple[VerifyKey, ...]
    thread: str | None
    line: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        """Return the hex SHA-256 of line 1, to which ``prev`` and ``request`` refer."""
        return sha256_hex(self.line)

    @property
    def text(self) -> str:
        """Return the free text; "" for a kind of message without free text."""
        value = self.body.get("text", "")
        return value if isinstance(value, str) else ""

    @property
    def known_kind(self) -> bool:
        """Return whether this version knows the kind; if not, a newer version made the message."""
        return self.kind in KINDS


@dataclass(frozen=True)
class Kind:
    """The authors who may write a kind of message, and the function that reads its fields."""

    by_reporter: bool
    read: Callable[[dict[str, Json]], dict[str, Json]]
    files: bool = False


def parse(plaintext: bytes) -> Message:
    """Parse the contents of a sealed message file. Raises FormatError or MessageError.

    ``parse`` checks the exact layout, the JSON line, every type and every limit, but not the
    signature.
    """
    line, signature = _lay_open(plaintext)
    fields = from_line(line)
    if fields.get("v") != 1 or fields["v"] is True:  # in Python, true equals 1
        raise MessageError("made by a newer version")
    by, kind = text_of(fields, "by"), text_of(fields, "kind")
    if by != REPORTER:
        parse_identity(by)
    known = KINDS.get(kind)
    if known is None and not _TOKEN.fullmatch(kind):
        raise FormatError("kind is not a word")
    mine = by == REPORTER
    message = Message(
        site=check_hex(text_of(fields, "site"), 16),
        mailbox=check_hex(text_of(fields, "mailbox"), 32),
        by=by,
        to=_identities(fields, "to", 1, MAX_TO),
        n=number_of(fields, "n", 1),
        prev=check_hex(text_of(fields, "prev"), 32) if "prev" in fields else None,
        seen=_seen(fields),
        day=check_day(text_of(fields, "day")),
        lang=_word(fields, "lang"),
        kind=kind,
        body=known.read(fields) if known else {},
        attachments=_attachments(fields) if known and known.files else (),
        reporter=_reporter(fields) if mine else None,
        wanted=_identities(fields, "wanted", 1, MAX_WANTED) if mine else (),
        former=_identities(fields, "former", 0, MAX_FORMER) if mine else (),
        thread=check_hex(text_of(fields, "thread"), 32) if "thread" in fields else None,
        line=line,
        signature=signature,
    )
    _check_whole(message)
    return message


def lay_out(fields: dict[str, Json], signing: SigningKey) -> bytes:
    """Sign and pad the fields of a message (SPEC section 4); return the bytes to seal.

    Raises TooLong, or FormatError if ``parse`` would reject the message.
    """
    line = to_line(fields)
    # This comes before padding, whose error would state the size of the whole line instead.
    if (size := free_text_size(fields)) > MAX_TEXT:
        raise TooLong(size, MAX_TEXT)
    plaintext = pad_lines(line, b64(signing.sign(SIGNED_LABEL + line)).encode("ascii"))
    parse(plaintext)
    return plaintext


def pad_lines(line: bytes, signature: bytes) -> bytes:
    """Return both lines, padded with spaces to the smallest size that fits. Raises TooLong."""
    content = line + b"\n" + signature + b"\n"
    for size in MESSAGE_SIZES:
        if len(content) <= size:
            return content.ljust(size, b" ")
    raise TooLong(len(content), MESSAGE_SIZES[-1])


def free_text_size(fields: Mapping[str, Json]) -> int:
    """Return how many bytes of free text a message's fields contain, including file names."""
    total = 0
    for key in ("text", "step", "with", "scope"):
        value = fields.get(key)
        total += len(value.encode()) if isinstance(value, str) else 0
    for key, members in (("options", ("title", "pro", "con")), ("attachments", ("name",))):
        entries = fields.get(key)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                texts = (entry.get(member) for member in members)
                total += sum(len(text.encode()) for text in texts if isinstance(text, str))
    return total


def _lay_open(plaintext: bytes) -> tuple[bytes, bytes]:
    """Return line 1 and the raw signature, if the layout is exactly that of ``pad_lines``."""
    line, _, rest = plaintext.partition(b"\n")
    if rest[_SIGNATURE_TEXT : _SIGNATURE_TEXT + 1] != b"\n":
        raise FormatError("the two lines of a message are missing")
    text = rest[:_SIGNATURE_TEXT]
    if plaintext != pad_lines(line, text):
        raise FormatError("the padding does not match the text")
    return line, unb64(text.decode("ascii", "replace"), 64)


def _check_whole(message: Message) -> None:
    """Check the rules that involve more than one field."""
    kind = KINDS.get(message.kind)
    if kind is not None and kind.by_reporter != (message.by == REPORTER):
        raise MessageError("this author may not write this kind")
    if message.by == REPORTER and (message.kind == "report") != (message.n == 1):
        raise MessageError("a report must be the first message, and the first message a report")
    if (message.prev is None) != (message.n == 1):
        raise MessageError("only an author's first message has no message before it")
    if message.thread and (message.by != REPORTER or message.n == 1):
        raise MessageError("only the reporter passes a thread on, and not in the first message")
    if set(message.wanted) & set(message.former):
        raise MessageError("a counsellor is both in wanted and in former")
    if message.by == REPORTER and not set(message.to) <= set(message.wanted):
        raise MessageError("addressed to somebody whom the reporter did not choose")


def _word(fields: Mapping[str, Json], key: str) -> str:
    value = text_of(fields, key)
    if not _TOKEN.fullmatch(value):
        raise FormatError(f"{key} is not a word")
    return value


def _free(fields: Mapping[str, Json], key: str) -> str:
    """Return a text that a person typed. Raises FormatError if it contains control characters."""
    value = text_of(fields, key)
    if value != clean_text(value):
        raise FormatError(f"{key} holds control characters")
    return value


def _identities(
    fields: Mapping[str, Json], key: str, least: int, most: int
) -> tuple[VerifyKey, ...]:
    return tuple(parse_identity(text) for text in texts_of(fields, key, most, least))


def _seen(fields: Mapping[str, Json]) -> tuple[tuple[str, int], ...]:
    seen = []
    for entry in objects_of(fields, "seen", MAX_SEEN):
        by = text_of(entry, "by")
        if by != REPORTER:
            parse_identity(by)
        seen.append((by, number_of(entry, "n", 1)))
    if len({by for by, _ in seen}) != len(seen):
        raise FormatError("seen names an author twice")
    return tuple(seen)


def _reporter(fields: Mapping[str, Json]) -> ReporterPublic:
    value = object_of(fields, "reporter")
    recipient = text_of(value, "recipient")
    if not recipient.startswith("age1pq1"):
        raise KeyFormatError("the reporter's recipient is of the wrong kind")
    return ReporterPublic(recipient, VerifyKey.parse(text_of(value, "verify")))


def _attachments(fields: Mapping[str, Json]) -> tuple[Attachment, ...]:
    files = []
    for entry in objects_of(fields, "attachments", MAX_FILES):
        name, media_type = _free(entry, "name"), text_of(entry, "type")
        if len(name.encode()) > MAX_FILE_NAME or "\n" in name:
            raise FormatError(f"a file name must be a line of at most {MAX_FILE_NAME} bytes")
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise FormatError("the type of a file has the wrong form")
        sha256 = check_hex(text_of(entry, "sha256"), 32)
        files.append(Attachment(sha256, name, media_type, number_of(entry, "size", 0)))
    if len({file.sha256 for file in files}) != len(files):
        raise FormatError("a message names a file twice")
    return tuple(files)


def _limited(body: dict[str, Json]) -> dict[str, Json]:
    if (size := free_text_size(body)) > MAX_TEXT:
        raise TooLong(size, MAX_TEXT)
    return body


def _read_text(fields: dict[str, Json]) -> dict[str, Json]:
    body: dict[str, Json] = {"text": _free(fields, "text")}
    # File names count here. In a kind without files the field would be unknown.
    _limited(body | {"attachments": fields.get("attachments")})
    return body


def _read_report(fields: dict[str, Json]) -> dict[str, Json]:
    given = object_of(fields, "answers")
    answers: dict[str, Json] = {}
    for field, (several, _) in ANSWERS.items():
        if field in given:
            value = given[field]
            entries = value if several and isinstance(value, list) else [value]
            words = [e for e in entries if isinstance(e, str) and _TOKEN.fullmatch(e)]
            if len(set(words)) != len(entries) or (several and not isinstance(value, list)):
                raise FormatError(f"the answer {field} is of the wrong type")
            answers[field] = value
    return _read_text(fields) | {"answers": answers}


def _read_notice(fields: dict[str, Json]) -> dict[str, Json]:
    body: dict[str, Json] = {"status": one_of(fields, "status", NOTICE_STATUS)}
    return _limited(body | _optional_text(fields))


def _read_options(fields: dict[str, Json]) -> dict[str, Json]:
    entries = objects_of(fields, "options", 6, 2)
    options: list[Json] = [
        {member: _free(entry, member) for member in ("title", "pro", "con")} for entry in entries
    ]
    return _limited({"text": _free(fields, "text"), "options": options})


def _read_consent_request(fields: dict[str, Json]) -> dict[str, Json]:
    body: dict[str, Json] = {key: _free(fields, key) for key in ("step", "with", "scope")}
    if "successor" in fields:
        body["successor"] = str(parse_identity(text_of(fields, "successor")))
    return _limited(body)


def _read_consent_answer(fields: dict[str, Json]) -> dict[str, Json]:
    body: dict[str, Json] = {
        "request": check_hex(text_of(fields, "request"), 32),
        "answer": one_of(fields, "answer", CONSENT_ANSWERS),
    }
    return _limited(body | _optional_text(fields))


def _read_nothing(_: dict[str, Json]) -> dict[str, Json]:
    return {}


def _optional_text(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {"text": _free(fields, "text")} if "text" in fields else {}


KINDS: Mapping[str, Kind] = {
    "report": Kind(True, _read_report, files=True),
    "message": Kind(True, _read_text, files=True),
    "reply": Kind(False, _read_text, files=True),
    "notice": Kind(False, _read_notice),
    "options": Kind(False, _read_options),
    "consent-request": Kind(False, _read_consent_request),
    "consent-answer": Kind(True, _read_consent_answer),
    "withdrawal": Kind(True, _read_nothing),
}
