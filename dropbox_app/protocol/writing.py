"""Write the next message of a thread, with its number, chain and addressees (SPEC section 4)."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.protocol import age
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.encoding import Json, clean_text
from dropbox_app.protocol.errors import MessageError, NobodyToWriteTo
from dropbox_app.protocol.keys import Recipient, SigningKey, VerifyKey
from dropbox_app.protocol.messages import (
    MAX_FORMER,
    MAX_SEEN,
    REPORTER,
    Attachment,
    Message,
    lay_out,
)
from dropbox_app.protocol.retrieval_code import ReporterKeys
from dropbox_app.protocol.thread import Thread


@dataclass(frozen=True)
class Draft:
    """A signed message, ready to be sealed.

    ``left_out`` lists chosen counsellors without a valid key today.
    """

    n: int
    to: tuple[VerifyKey, ...]
    plaintext: bytes
    recipients: tuple[Recipient, ...]
    left_out: tuple[VerifyKey, ...]

    def seal(self) -> bytes:
        """Seal the draft to the reporter, then to each addressee in order, under a fresh key."""
        return age.seal(self.plaintext, self.recipients)


def from_reporter(
    keys: ReporterKeys,
    *,
    site: str,
    day: datetime.date,
    lang: str,
    kind: str,
    body: Mapping[str, Json],
    thread: Thread | None,
    wanted: Sequence[VerifyKey] | None,
    cards: Sequence[Card],
    attachments: Sequence[Attachment] = (),
    passed_on: str | None = None,
) -> Draft:
    """Return the reporter's next message, or the report if ``thread`` is None.

    If ``wanted`` is None, the addressees of the newest message are used. ``passed_on`` is the item
    id of the attachment whose contents ``thread.write_passed_on`` returned. Raises TooLong,
    FormatError, or NobodyToWriteTo.
    """
    last = thread.newest.get(REPORTER) if thread else None
    chosen = tuple(wanted) if wanted is not None else (last.wanted if last else ())
    to, keys_of, left_out = _addressees(chosen, chosen, cards, site, day)
    fields = _content(kind, body, attachments)
    fields |= _common(site, keys.mailbox, REPORTER, to, day, lang, kind, last, thread)
    recipient = keys.recipient
    fields |= {
        "reporter": {"recipient": str(recipient), "verify": str(keys.verify)},
        "wanted": _texts(chosen),
        "former": _texts(_former(last, chosen)),
    }
    if passed_on is not None:
        fields["thread"] = passed_on
    plaintext = lay_out(fields, keys.signing)
    return Draft(_next(last), to, plaintext, (recipient, *keys_of), left_out)


def from_counsellor(
    signing: SigningKey,
    *,
    site: str,
    day: datetime.date,
    lang: str,
    kind: str,
    body: Mapping[str, Json],
    thread: Thread,
    cards: Sequence[Card],
    attachments: Sequence[Attachment] = (),
) -> Draft:
    """Return a counsellor's next message, to the reporter and everyone whom the reporter chose.

    A colleague's card is used only if its identity is in both ``wanted`` and ``to`` of the
    reporter's newest message. A counsellor who was left out of that message is also left out of the
    answer, because the server accepts no other addressees (SPEC section 7). Raises TooLong,
    FormatError, NobodyToWriteTo, or MessageError if the reporter has chosen somebody else or no
    message from the reporter could be verified.
    """
    if thread.reporter is None or REPORTER not in thread.newest:
        raise MessageError("there is no message from the reporter to answer")
    if signing.verify_key not in thread.to:
        raise MessageError("the reporter now writes with another counsellor")
    by = str(signing.verify_key)
    last = thread.newest.get(by)
    to, keys_of, left_out = _addressees(thread.wanted, thread.to, cards, site, day)
    fields = _content(kind, body, attachments)
    fields |= _common(site, thread.mailbox, by, to, day, lang, kind, last, thread)
    plaintext = lay_out(fields, signing)
    recipients = (thread.reporter.recipient, *keys_of)
    return Draft(_next(last), to, plaintext, recipients, left_out)


def _addressees(
    wanted: Sequence[VerifyKey],
    among: Sequence[VerifyKey],
    cards: Iterable[Card],
    site: str,
    day: datetime.date,
) -> tuple[tuple[VerifyKey, ...], tuple[Recipient, ...], tuple[VerifyKey, ...]]:
    """Return the counsellors in ``wanted`` with a key for today, their keys, and those without.

    The message is addressed only to identities that are also in ``among``.
    """
    keys = {card.identity: card.sealing_key(day) for card in cards if card.site == site}
    valid = [(one, key) for one in wanted if one in among and (key := keys.get(one))]
    if not valid:
        raise NobodyToWriteTo("none of the chosen counsellors has a valid sealing key today")
    to = tuple(identity for identity, _ in valid)
    return to, tuple(key for _, key in valid), tuple(i for i in wanted if i not in to)


def _common(
    site: str,
    mailbox: str,
    by: str,
    to: Sequence[VerifyKey],
    day: datetime.date,
    lang: str,
    kind: str,
    last: Message | None,
    thread: Thread | None,
) -> dict[str, Json]:
    newest = thread.newest if thread else {}
    # If there are too many, current authors come first, because the others can no longer write.
    current = {REPORTER, *_texts(thread.wanted if thread else ())}
    others = sorted(newest.keys() - {by}, key=lambda author: (author not in current, author))
    seen: list[Json] = [{"by": author, "n": newest[author].n} for author in others[:MAX_SEEN]]
    fields: dict[str, Json] = {
        "v": 1,
        "site": site,
        "mailbox": mailbox,
        "by": by,
        "to": _texts(to),
        "n": _next(last),
        "seen": seen,
        "day": day.isoformat(),
        "lang": lang,
        "kind": kind,
    }
    return fields | ({"prev": last.digest} if last else {})


def _content(
    kind: str, body: Mapping[str, Json], attachments: Sequence[Attachment]
) -> dict[str, Json]:
    """Return the fields of this kind of message, with every text cleaned as in SPEC section 1."""
    cleaned = {key: _clean(member) for key, member in body.items()}
    if kind in ("report", "message", "reply"):
        cleaned["attachments"] = [
            {"sha256": f.sha256, "name": f.name, "type": f.type, "size": f.size}
            for f in attachments
        ]
    return cleaned


def _clean(value: Json) -> Json:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_clean(member) for member in value]
    if isinstance(value, dict):
        return {key: _clean(member) for key, member in value.items()}
    return value


def _former(last: Message | None, chosen: Sequence[VerifyKey]) -> tuple[VerifyKey, ...]:
    """Return the counsellors who were chosen before but no longer are, the most recent last."""
    if last is None:
        return ()
    past = dict.fromkeys((*last.former, *last.wanted))
    return tuple(identity for identity in past if identity not in chosen)[-MAX_FORMER:]


def _next(last: Message | None) -> int:
    return last.n + 1 if last else 1


def _texts(identities: Iterable[VerifyKey]) -> list[Json]:
    return [str(identity) for identity in identities]
