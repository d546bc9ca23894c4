"""The counts that one counsellor gives another for a joint report (SPEC section 12).

The counts are signed by the counsellor who gives them, and sealed for one colleague. If anyone
could forge counts, an employer could choose numbers and infer the other counsellor's from the band.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import MAIN_GROUPS
from dropbox_app.desk.register.fields import MAX_NAME, YEARS
from dropbox_app.protocol import age
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.encoding import Json, b64, from_line, to_line, unb64
from dropbox_app.protocol.errors import FormatError, KlankbordError
from dropbox_app.protocol.fields import number_of, object_of, text_of
from dropbox_app.protocol.keys import Recipient, Seed, SigningKey, VerifyKey
from dropbox_app.protocol.padding import MESSAGE_SIZES

SIZE = MESSAGE_SIZES[0]  # bytes before sealing, regardless of the counts
MAX_FILE = SIZE + age.sealed_length(SIZE, 1)
MAX_COUNT = 1_000_000

_LABEL = b"klankbord/v1/counts\n"
_VERSION = 1


@dataclass(frozen=True)
class Counts:
    """Situations at one employer in the given calendar years, by main group.

    ``by`` is the identity of the counsellor who gives the counts, and ``name`` is that counsellor's
    name.
    """

    site: str
    by: VerifyKey
    name: str
    employer: str
    years: range
    situations: Mapping[str, int]


def recipient(card: Card, day: datetime.date) -> Recipient:
    """Return the key on a colleague's card to which counts are sealed on ``day``.

    Raises Unfit if the card is too old to have a key for that day.
    """
    found = card.sealing_key(day)
    if found is None:
        raise Unfit(
            f"The card of {card.name} has no key for {day}: it is an old one. Ask for a new card.",
            "joint_old_card",
            name=card.name,
        )
    return found


def seal(given: Counts, card: Card, signing: SigningKey, day: datetime.date) -> bytes:
    """Sign counts and seal them for a colleague's card.

    Raises Unfit if the card has no sealing key on ``day``.
    """
    to = recipient(card, day)
    line = to_line(
        {
            "v": _VERSION,
            "site": given.site,
            "from": str(given.by),
            "to": str(card.identity),
            "name": given.name,
            "employer": given.employer,
            "first_year": given.years[0],
            "last_year": given.years[-1],
            "situations": {group: given.situations.get(group, 0) for group in MAIN_GROUPS},
        }
    )
    signature = b64(signing.sign(_LABEL + line)).encode("ascii")
    return age.seal(b"\n".join((line, signature, b"")).ljust(SIZE), [to])


def read(sealed: bytes, seeds: Sequence[Seed], site: str, identity: VerifyKey) -> Counts:
    """Open counts that were sealed for this desk's identity at a site.

    Raises Unfit if the counts are damaged, not signed by the stated counsellor, or meant for
    somebody else. The user must confirm the signer's identity.
    """
    try:
        line, signature, rest = age.open_sealed(sealed, seeds).split(b"\n", 2)
        fields = from_line(line)
        by = VerifyKey.parse(text_of(fields, "from"))
        if not by.verify(unb64(signature.decode("ascii", "replace"), 64), _LABEL + line):
            raise FormatError("its signature is wrong")
        if rest.strip(b" ") or number_of(fields, "v") != _VERSION:
            raise FormatError("it was made by another version of this program")
        if (text_of(fields, "site"), text_of(fields, "to")) != (site, str(identity)):
            raise FormatError("it is meant for somebody else")
        return Counts(
            site=site,
            by=by,
            name=_short(text_of(fields, "name")),
            employer=_short(text_of(fields, "employer")),
            years=_years(number_of(fields, "first_year"), number_of(fields, "last_year")),
            situations=_situations(object_of(fields, "situations")),
        )
    except (KlankbordError, ValueError) as error:
        raise Unfit(
            "This file holds no counts for this desk, or it is damaged"
            f"{f' ({error})' if isinstance(error, FormatError) else ''}. Ask your colleague to"
            " make it again for your newest card.",
            "joint_unopened",
        ) from None


def _short(text: str) -> str:
    if not 1 <= len(text) <= MAX_NAME:
        raise FormatError("a name is empty or too long")
    return text


def _years(first: int, last: int) -> range:
    if first not in YEARS or last not in YEARS or last < first:
        raise FormatError("its years are wrong")
    return range(first, last + 1)


def _situations(given: Mapping[str, Json]) -> Mapping[str, int]:
    if sorted(given) != sorted(MAIN_GROUPS):
        raise FormatError("it does not name every main group")
    found = {group: number_of(given, group) for group in MAIN_GROUPS}
    if max(found.values()) > MAX_COUNT:
        raise FormatError("a count is too large")
    return found
