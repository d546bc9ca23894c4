"""Counsellor cards: a counsellor's identity, profile and dated sealing keys (SPEC section 3)."""

import datetime
import itertools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, cast, get_args

from dropbox_app.protocol.encoding import (
    Json,
    b64,
    check_day,
    check_hex,
    clean_text,
    from_line,
    to_line,
    unb64,
)
from dropbox_app.protocol.errors import CardError, FormatError
from dropbox_app.protocol.fields import number_of, object_of, objects_of, one_of, text_of, texts_of
from dropbox_app.protocol.keys import Recipient, SigningKey, VerifyKey

Kind = Literal["internal", "external"]
Scope = Literal["unwanted_behaviour", "integrity", "both"]

MAX_BYTES = 64 * 1024
MAX_WINDOWS = 13
MAX_WINDOW_DAYS = 31
MONTHS_AHEAD = 3
MAX_NAME = 100  # characters
MAX_REGISTER_NUMBER = 50  # characters
MAX_SENTENCE = 200  # characters, in each language
MAX_LANGUAGES = 10

_LABEL = b"klankbord/v1/card\n"
_LANGUAGE = re.compile(r"[a-z]{2,3}")
# Unicode categories: format, line and paragraph separators, private, unassigned, surrogates.
_UNSEEN = frozenset({"Cf", "Zl", "Zp", "Co", "Cn", "Cs"})
_ONE_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """A sealing key, and the first and the last day on which it may be used for sealing."""

    recipient: Recipient
    first: datetime.date
    until: datetime.date


@dataclass(frozen=True)
class Away:
    """An announced absence, and the stand-in, if any."""

    until: datetime.date
    stand_in: VerifyKey | None


@dataclass(frozen=True)
class Card:
    """A card whose signature and contents are valid. Only pinning proves to whom the card belongs.

    ``register_number`` is the counsellor's number in the register of a professional body, as stated
    by the counsellor, or "". ``sentence`` is the counsellor's own text for reporters, by language
    code.
    """

    site: str
    serial: int
    issued: datetime.date
    name: str
    kind: Kind
    scope: Scope
    languages: tuple[str, ...]
    identity: VerifyKey
    sealing: tuple[Window, ...]
    away: Away | None
    raw: bytes
    register_number: str = ""
    sentence: Mapping[str, str] = field(default_factory=dict, hash=False)

    def sealing_key(self, day: datetime.date) -> Recipient | None:
        """Return the key to which data is sealed on ``day``; None if no window includes it."""
        for window in self.sealing:
            if window.first <= day <= window.until:
                return window.recipient
        return None

    def over(self, day: datetime.date) -> bool:
        """Return whether the last key window ended before ``day``."""
        return day > self.sealing[-1].until

    @property
    def tells_more(self) -> bool:
        """Return whether the card contains a register number or a sentence."""
        return bool(self.register_number or self.sentence)

    def words_in(self, lang: str) -> tuple[str, str] | None:
        """Return the language and the sentence for a page in ``lang``; None if the card has none.

        If the sentence does not exist in ``lang``, the first of ``languages`` is used.
        """
        for code in (lang, *self.languages, *sorted(self.sentence)):
            if code in self.sentence:
                return code, self.sentence[code]
        return None


def unseen(text: str) -> bool:
    """Return whether a text contains invisible or direction-changing characters."""
    return any(unicodedata.category(letter) in _UNSEEN for letter in text)


def month_window(day: datetime.date) -> tuple[datetime.date, datetime.date]:
    """Return the first and the last day of the UTC month that includes ``day``."""
    first = day.replace(day=1)
    return first, _months_later(first, 1) - _ONE_DAY


def issue(
    *,
    site: str,
    serial: int,
    issued: datetime.date,
    name: str,
    kind: Kind,
    scope: Scope,
    languages: Sequence[str],
    sealing: Sequence[Window],
    away: Away | None,
    signing: SigningKey,
    register_number: str = "",
    sentence: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Write and sign a card file. Raises CardError if ``parse`` would reject it.

    An empty ``register_number`` or ``sentence`` is omitted from the card.
    """
    fields: dict[str, Json] = {
        "v": 1,
        "site": site,
        "serial": serial,
        "issued": issued.isoformat(),
        "name": name,
        "kind": kind,
        "scope": scope,
        "languages": list(languages),
        "identity": str(signing.verify_key),
        "sealing": [
            {
                "recipient": str(window.recipient),
                "from": window.first.isoformat(),
                "until": window.until.isoformat(),
            }
            for window in sealing
        ],
    }
    if away is not None:
        absence: dict[str, Json] = {"until": away.until.isoformat()}
        if away.stand_in is not None:
            absence["stand_in"] = str(away.stand_in)
        fields["away"] = absence
    if register_number:
        fields["register_number"] = register_number
    if sentence:
        fields["sentence"] = dict(sentence)
    line = to_line(fields)
    raw = line + b"\n" + b64(signing.sign(_LABEL + line)).encode("ascii") + b"\n"
    parse(raw)
    return raw


def parse(raw: bytes) -> Card:
    """Parse a card file and run every check that needs only the card. Raises CardError."""
    if len(raw) > MAX_BYTES:
        raise CardError(f"the card is {len(raw)} bytes; the limit is {MAX_BYTES}")
    lines = raw.split(b"\n")
    if len(lines) != 3 or lines[2] != b"":
        raise CardError("a card must have two lines")
    try:
        fields = from_line(lines[0])
        card = _read(fields, raw)
        signature = unb64(lines[1].decode("ascii", "replace"), 64)
    except FormatError as error:
        raise CardError(str(error)) from None
    if not card.identity.verify(signature, _LABEL + lines[0]):
        raise CardError("the signature does not fit the card")
    _check_windows(card)
    return card


def accept(raw: bytes, *, site: str, pinned: VerifyKey, current: Card | None) -> Card:
    """Apply the server's rule for a card from the API (SPEC section 3). Raises CardError.

    The current card is accepted again if its bytes are the same. ``pinned`` is the identity that
    the operator confirmed.
    """
    card = parse(raw)
    if card.site != site:
        raise CardError("the card was made for another site")
    if card.identity != pinned:
        raise CardError("the card belongs to another counsellor than the one confirmed here")
    if current is not None and raw != current.raw and card.serial <= current.serial:
        raise CardError("the card is older than the one in use")
    return card


def _read(fields: dict[str, Json], raw: bytes) -> Card:
    if fields.get("v") != 1 or fields["v"] is True:  # in Python, true equals 1
        raise CardError("the card was made by a newer version")
    site, identity = text_of(fields, "site"), text_of(fields, "identity")
    return Card(
        site=check_hex(site, 16),
        serial=number_of(fields, "serial", 1),
        issued=check_day(text_of(fields, "issued")),
        name=_line(fields, "name", MAX_NAME),
        kind=cast(Kind, one_of(fields, "kind", get_args(Kind))),
        scope=cast(Scope, one_of(fields, "scope", get_args(Scope))),
        languages=_languages(fields),
        identity=VerifyKey.parse(identity),
        sealing=_sealing(fields),
        away=_away(fields),
        raw=raw,
        register_number=_register_number(fields),
        sentence=_sentence(fields),
    )


def _check_windows(card: Card) -> None:
    """Check that the windows of the keys agree with each other and with the card's other dates."""
    for window in card.sealing:
        if not 1 <= (window.until - window.first).days + 1 <= MAX_WINDOW_DAYS:
            raise CardError(f"a sealing key must be for 1 to {MAX_WINDOW_DAYS} days")
    for earlier, later in itertools.pairwise(card.sealing):
        if later.first != earlier.until + _ONE_DAY:
            raise CardError("between two sealing keys there is a day without one, or with two")
    # Allow two days of difference between the clocks of desk, server and reporter.
    if card.sealing[0].first > card.issued - 2 * _ONE_DAY:
        raise CardError("the first sealing key begins too late")
    last = card.sealing[-1].until
    if last < _months_later(card.issued, MONTHS_AHEAD):
        raise CardError(f"the sealing keys end sooner than {MONTHS_AHEAD} months ahead")
    if card.away is not None and last <= card.away.until:
        raise CardError("the sealing keys end before the announced absence does")


def _months_later(day: datetime.date, months: int) -> datetime.date:
    """Return the same day some months later, or the last day of that month if it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return datetime.date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise CardError("a day outside the calendar")


def _line(fields: Mapping[str, Json], key: str, most: int) -> str:
    """Return a one-line text of 1 to ``most`` characters, none of them invisible."""
    text = text_of(fields, key)
    if not 1 <= len(text) <= most or text != clean_text(text).strip() or "\n" in text:
        raise CardError(f"{key} is no line of 1 to {most} characters")
    if unseen(text):
        raise CardError(f"{key} holds a character that cannot be seen, or that is none")
    return text


def _register_number(fields: Mapping[str, Json]) -> str:
    if "register_number" not in fields:
        return ""
    return _line(fields, "register_number", MAX_REGISTER_NUMBER)


def _sentence(fields: Mapping[str, Json]) -> dict[str, str]:
    if "sentence" not in fields:
        return {}
    said = object_of(fields, "sentence")
    if not 1 <= len(said) <= MAX_LANGUAGES or not all(map(_LANGUAGE.fullmatch, said)):
        raise CardError(
            f"sentence needs 1 to {MAX_LANGUAGES} language codes of two or three letters"
        )
    return {code: _line(said, code, MAX_SENTENCE) for code in said}


def _languages(fields: dict[str, Json]) -> tuple[str, ...]:
    values = texts_of(fields, "languages", MAX_LANGUAGES, 1)
    if not all(_LANGUAGE.fullmatch(value) for value in values):
        raise CardError("languages must be codes of two or three letters")
    return tuple(values)


def _sealing(fields: dict[str, Json]) -> tuple[Window, ...]:
    return tuple(
        Window(
            Recipient.parse(text_of(value, "recipient")),
            check_day(text_of(value, "from")),
            check_day(text_of(value, "until")),
        )
        for value in objects_of(fields, "sealing", MAX_WINDOWS, 1)
    )


def _away(fields: dict[str, Json]) -> Away | None:
    if "away" not in fields:
        return None
    value = object_of(fields, "away")
    stand_in = VerifyKey.parse(text_of(value, "stand_in")) if "stand_in" in value else None
    return Away(check_day(text_of(value, "until")), stand_in)
