"""Whole mailboxes, and how a reader interprets them (SPEC section 4).

``expect`` lists every file in display order, as [item, state, reason].
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dropbox_app.protocol.encoding import Json, b64, to_line
from dropbox_app.protocol.keys import Seed, SigningKey
from dropbox_app.protocol.messages import REPORTER, SIGNED_LABEL
from tests.vectors import forge
from tests.vectors.world import (
    ANNA,
    BRAM,
    CHRIS,
    MAILBOX,
    OTHER_SITE,
    REPORTER_KEYS,
    SITE,
    Vector,
    counsellor_fields,
    digest,
    from_reporter,
    identities,
    pieces,
    reporter,
    reporter_fields,
    secret,
    signed,
)

A, B, C = (str(key.verify_key) for key in (ANNA, BRAM, CHRIS))
R1 = reporter_fields(1)
R2 = reporter_fields(2, prev=digest(R1), day="2026-03-12")
R3 = reporter_fields(3, prev=digest(R2), day="2026-03-14")
A1 = counsellor_fields(1, day="2026-03-11")
A2 = counsellor_fields(2, prev=digest(A1), day="2026-03-13", seen=[{"by": REPORTER, "n": 2}])
VERIFIED = ("verified", "")
STRANGER = reporter("stranger")


def thread_vectors() -> list[Vector]:
    """Return all mailbox vectors."""
    return [
        *_whole_threads(),
        *_wrong_authors(),
        *_wrong_places(),
        *_holes_and_conflicts(),
        *_pins(),
        *_passed_on(),
    ]


def _whole_threads() -> list[Vector]:
    r1, r2, a1, a2 = from_reporter(R1), from_reporter(R2), signed(A1, ANNA), signed(A2, ANNA)
    mine = [("r1", *VERIFIED), ("a1", *VERIFIED), ("r2", *VERIFIED), ("a2", *VERIFIED)]
    newer = reporter_fields(2, prev=digest(R1)) | {"kind": "voice"}
    late = counsellor_fields(1, day="2026-03-01")
    return [
        _case("a whole thread at a desk", [("r1", r1), ("a1", a1), ("r2", r2), ("a2", a2)], mine),
        _case(
            "the same for the reporter, and handed over in another order",
            [("a2", a2), ("r2", r2), ("a1", a1), ("r1", r1)],
            mine,
            viewer=None,
        ),
        _case(
            "a message that comes again, sealed anew, is the same message",
            [("r1", r1), ("again", r1)],
            [("r1", *VERIFIED)],
        ),
        _case(
            "a kind of a newer version",
            [("r1", r1), ("r2", from_reporter(newer))],
            [("r1", *VERIFIED), ("r2", "newer", "")],
        ),
        _case(
            "an answer is shown after what it answers, whatever days they name",
            [("a1", signed(late, ANNA)), ("r1", r1)],
            [("r1", *VERIFIED), ("a1", *VERIFIED)],
        ),
        _case("an empty mailbox", [], []),
    ]


def _wrong_authors() -> list[Vector]:
    r1, a1 = from_reporter(R1), signed(A1, ANNA)
    flipped = bytearray(a1)
    flipped[a1.index(b"Antwoord")] ^= 1
    other_text = signed({**A1, "text": "Antwoord, maar anders."}, ANNA).split(b"\n")
    replaced = b"\n".join((other_text[0], a1.split(b"\n")[1], b"")).ljust(8192, b" ")
    line = to_line(A1)
    data = SIGNED_LABEL + line
    own = to_line(R1)

    def with_signature(line: bytes, signature: bytes) -> bytes:
        return (line + b"\n" + b64(signature).encode() + b"\n").ljust(8192, b" ")

    public = ANNA.verify_key.raw
    mixed_half = forge.sign_with(ANNA.seed, public, data, torsion=forge.EIGHTH)
    no_half = forge.sign_with(ANNA.seed, public, data, torsion=forge.NEUTRAL)
    own_half = forge.sign_with(
        REPORTER_KEYS.signing.seed,
        REPORTER_KEYS.verify.raw,
        SIGNED_LABEL + own,
        torsion=forge.EIGHTH,
    )
    good = ANNA.sign(data)
    high = (int.from_bytes(good[32:], "little") + forge.ORDER).to_bytes(32, "little")
    before = [("r1", r1)]
    seen = [("r1", *VERIFIED)]
    cases = [
        ("a flipped bit in line 1", bytes(flipped)),
        ("the signature of another message", replaced),
        ("signed by a colleague in Anna's name", signed(A1, BRAM)),
        ("signed by the reporter in Anna's name", signed(A1, REPORTER_KEYS.signing)),
        ("signed without the label", with_signature(line, ANNA.sign(line))),
        ("signed over line 1 and its line end", with_signature(line, ANNA.sign(data + b"\n"))),
        ("signed as a card", with_signature(line, ANNA.sign(b"klankbord/v1/card\n" + line))),
        ("a signature whose first half is of mixed order", with_signature(line, mixed_half)),
        ("a signature whose first half is of order 1", with_signature(line, no_half)),
        ("a signature with the order of the group added", with_signature(line, good[:32] + high)),
        ("a signature of zero bytes", with_signature(line, bytes(64))),
    ]
    return [
        *(
            _case(name, [*before, ("a1", plaintext)], [*seen, ("a1", "unverified", "signature")])
            for name, plaintext in cases
        ),
        _case(
            "a counsellor whom the reporter never chose",
            [*before, ("c1", signed(counsellor_fields(1, by=CHRIS), CHRIS))],
            [*seen, ("c1", "unverified", "unknown_author")],
        ),
        _case(
            "a counsellor, without any message of the reporter",
            [("a1", a1)],
            [("a1", "unverified", "unknown_author")],
        ),
        _case(
            "a counsellor whom only a message that fails has chosen",
            [("r1", signed(R1, STRANGER.signing)), ("a1", a1)],
            [("r1", "unverified", "signature"), ("a1", "unverified", "unknown_author")],
        ),
        _case(
            "a counsellor whom the reporter chose before",
            [
                ("r1", from_reporter(reporter_fields(1, to=(ANNA, BRAM)))),
                ("r2", from_reporter(_second(reporter_fields(1, to=(ANNA, BRAM)), [BRAM]))),
                ("b1", signed(counsellor_fields(1, by=BRAM), BRAM)),
            ],
            [("r1", *VERIFIED), ("b1", *VERIFIED), ("r2", *VERIFIED)],
        ),
        _case(
            "a reporter's signature whose first half is of mixed order",
            [("r1", with_signature(own, own_half))],
            [("r1", "unverified", "signature")],
        ),
        _case(
            "a report in the name of this mailbox by another key",
            [("r1", _report_of(STRANGER.signing, verify=str(STRANGER.verify)))],
            [("r1", "unverified", "other_reporter")],
        ),
        _case(
            "a report that names the right key and is signed by another",
            [("r1", signed(R1, STRANGER.signing))],
            [("r1", "unverified", "signature")],
        ),
    ]


def _wrong_places() -> list[Vector]:
    r1 = from_reporter(R1)
    theirs = from_reporter(reporter_fields(1, keys=STRANGER), STRANGER)
    elsewhere = from_reporter({**R1, "site": OTHER_SITE})
    to_bram = reporter_fields(1, to=(BRAM,))
    both = from_reporter(reporter_fields(1, to=(ANNA, BRAM)))
    other_key = str(Seed(secret("another reply seed")).recipient())
    own = {"verify": str(REPORTER_KEYS.verify)}
    redirected = from_reporter({**R2, "reporter": {**own, "recipient": other_key}})
    useless = from_reporter({**R1, "reporter": {**own, "recipient": "age1pq1nonsense"}})
    one_more = from_reporter(R1)
    return [
        _case(
            "a message of another site", [("r1", elsewhere)], [("r1", "unverified", "other_site")]
        ),
        _case(
            "a message of another mailbox",
            [("r1", theirs)],
            [("r1", "unverified", "other_mailbox")],
        ),
        _case(
            "a counsellor's message of another mailbox",
            [("r1", r1), ("a1", signed({**A1, "mailbox": STRANGER.mailbox}, ANNA))],
            [("r1", *VERIFIED), ("a1", "unverified", "other_mailbox")],
        ),
        _case(
            "a report that is not to this counsellor",
            [("r1", from_reporter(to_bram))],
            [("r1", "not_addressed", "not_addressed")],
        ),
        _case(
            "a colleague's answer that is not to this counsellor",
            [("r1", both), ("b1", signed(counsellor_fields(1, by=BRAM, to=(BRAM,)), BRAM))],
            [("r1", *VERIFIED), ("b1", "not_addressed", "not_addressed")],
        ),
        _case(
            "her own answer, which she need not address to herself",
            [("r1", both), ("a1", signed(counsellor_fields(1, to=(BRAM,)), ANNA))],
            [("r1", *VERIFIED), ("a1", *VERIFIED)],
        ),
        _case(
            "files that did not open keep their place and say why",
            [("f1", "no_key"), ("r1", r1), ("f2", "header_mac"), ("f3", "payload")],
            [
                ("r1", *VERIFIED),
                ("f1", "unverified", "no_key"),
                ("f2", "unverified", "header_mac"),
                ("f3", "unverified", "payload"),
            ],
        ),
        _case(
            "a file that opens but is no message",
            [("f1", b"Hallo"), ("r1", r1)],
            [("r1", *VERIFIED), ("f1", "unverified", "form")],
        ),
        _case(
            "another recipient in a later message: the first one holds",
            [("r2", redirected), ("r1", one_more)],
            [("r1", *VERIFIED), ("r2", "unverified", "other_recipient")],
        ),
        _case(
            "a recipient that nobody could seal to",
            [("r1", useless)],
            [("r1", "unverified", "other_recipient")],
        ),
    ]


def _holes_and_conflicts() -> list[Vector]:
    r1, r2, r3, a1, a2 = (
        from_reporter(R1),
        from_reporter(R2),
        from_reporter(R3),
        signed(A1, ANNA),
        signed(A2, ANNA),
    )
    other = reporter_fields(2, prev=digest(R1), day="2026-03-12", text="Anders.")
    astray = reporter_fields(3, prev=digest(other), day="2026-03-14")
    hostile = reporter_fields(2**53 - 1, prev=digest(R1))
    claims = counsellor_fields(1, seen=[{"by": REPORTER, "n": 4}, {"by": B, "n": 2}])
    conflict = ("conflict", "conflict")
    return [
        _case(
            "a gap",
            [("r1", r1), ("r3", r3)],
            [("r1", *VERIFIED), ("r3", *VERIFIED)],
            gaps={REPORTER: [2]},
        ),
        _case(
            "a missing beginning",
            [("r3", r3), ("a2", a2)],
            [("a2", *VERIFIED), ("r3", *VERIFIED)],
            beginning={REPORTER: 2, A: 1},
        ),
        _case(
            "two messages under one number",
            [("x2", from_reporter(other)), ("r2", r2), ("r1", r1)],
            # With the same day, author and number, messages are ordered by line 1.
            [("r1", *VERIFIED), ("x2", *conflict), ("r2", *conflict)]
            if to_line(other) < to_line(R2)
            else [("r1", *VERIFIED), ("r2", *conflict), ("x2", *conflict)],
        ),
        _case(
            "a prev that names another message than the one at hand",
            [("r1", r1), ("r2", r2), ("x3", from_reporter(astray))],
            [("r1", *VERIFIED), ("r2", *VERIFIED), ("x3", *conflict)],
        ),
        _case(
            "a number as high as can be: only the ends of the gap are named",
            [("r1", r1), ("rx", from_reporter(hostile))],
            [("r1", *VERIFIED), ("rx", *VERIFIED)],
            gaps={REPORTER: [2, 2**53 - 2]},
        ),
        _case(
            "a newest message is withheld: somebody has seen it",
            [("r1", r1), ("a2", a2), ("a1", a1)],
            [("r1", *VERIFIED), ("a1", *VERIFIED), ("a2", *VERIFIED)],
            withheld={REPORTER: 2},
        ),
        _case(
            "somebody has seen what never came here",
            [("r1", r1), ("a1", signed(claims, ANNA))],
            [("r1", *VERIFIED), ("a1", *VERIFIED)],
            withheld={REPORTER: 4, B: 2},
        ),
        _case(
            "a message that fails fills no gap",
            [("r1", r1), ("r2", signed(R2, STRANGER.signing)), ("r3", r3)],
            [("r1", *VERIFIED), ("r3", *VERIFIED), ("r2", "unverified", "signature")],
            gaps={REPORTER: [2]},
        ),
    ]


def _pins() -> list[Vector]:
    r1, r2 = from_reporter(R1), from_reporter(R2)
    other = reporter_fields(2, prev=digest(R1), text="Anders.")
    return [
        _case(
            "a desk keeps a newer message than the server hands out",
            [("r1", r1)],
            [("r1", *VERIFIED)],
            pins={REPORTER: [2, digest(R2)]},
            withheld={REPORTER: 2},
        ),
        _case(
            "a desk keeps another message under that number",
            [("r1", r1), ("r2", r2)],
            [("r1", *VERIFIED), ("r2", "conflict", "conflict")],
            pins={REPORTER: [2, digest(other)]},
        ),
        _case(
            "a desk keeps another message before this one",
            [("r2", r2)],
            [("r2", "conflict", "conflict")],
            pins={REPORTER: [1, digest({**R1, "text": "Anders."})]},
            beginning={REPORTER: 1},
        ),
        _case(
            "a desk keeps another recipient",
            [("r1", r1)],
            [("r1", "unverified", "other_recipient")],
            pins={},
            recipient=str(Seed(secret("another reply seed")).recipient()),
        ),
        _case(
            "the reporter's own client believes only its own recipient",
            [("r1", from_reporter({**R1, "reporter": _other_recipient()})), ("r2", r2)],
            [("r2", *VERIFIED), ("r1", "unverified", "other_recipient")],
            viewer=None,
            beginning={REPORTER: 1},
        ),
    ]


def _passed_on() -> list[Vector]:
    r1, a1 = from_reporter(R1), signed(A1, ANNA)
    to_bram = reporter_fields(
        2,
        prev=digest(R1),
        to=(BRAM,),
        former=identities(ANNA),
        thread="ab" * 32,
        day="2026-03-12",
        seen=[{"by": A, "n": 1}],
    )
    here = ("r2", from_reporter(to_bram))
    forged = signed({**A1, "text": "Dit schreef Anna nooit."}, REPORTER_KEYS.signing)
    return [
        _case(
            "a thread passed on to another counsellor",
            [here, ("p1", r1, True), ("p2", a1, True)],
            [("p1", *VERIFIED), ("p2", *VERIFIED), ("r2", *VERIFIED)],
            viewer=BRAM,
        ),
        _case(
            "a passed-on answer that the reporter made up",
            [here, ("p1", r1, True), ("p2", forged, True)],
            [("p1", *VERIFIED), ("r2", *VERIFIED), ("p2", "unverified", "signature")],
            withheld={A: 1},
            viewer=BRAM,
        ),
        _case(
            "what came itself goes before what was passed on",
            [("p2", from_reporter(to_bram), True), here, ("p1", r1, True)],
            [("p1", *VERIFIED), ("r2", *VERIFIED)],
            withheld={A: 1},
            viewer=BRAM,
        ),
        _case(
            "a passed-on message of another mailbox",
            [here, ("p1", from_reporter(reporter_fields(1, keys=STRANGER), STRANGER), True)],
            [("r2", *VERIFIED), ("p1", "unverified", "other_mailbox")],
            beginning={REPORTER: 1},
            withheld={A: 1},
            viewer=BRAM,
        ),
    ]


def _case(
    comment: str,
    arrived: Sequence[tuple[Any, ...]],
    entries: Sequence[tuple[str, str, str]],
    *,
    viewer: SigningKey | None = ANNA,
    pins: Mapping[str, Json] | None = None,
    recipient: str | None = None,
    gaps: Mapping[str, Json] | None = None,
    beginning: Mapping[str, Json] | None = None,
    withheld: Mapping[str, Json] | None = None,
) -> Vector:
    """Return one mailbox: files as (item, plaintext or fault, passed on), and the expectations."""
    files: list[Vector] = []
    for item, what, *more in arrived:
        file: Vector = {"item": item, "passed_on": bool(more and more[0])}
        file |= {"plaintext": pieces(what)} if isinstance(what, bytes) else {"fault": what}
        files.append(file)
    own = {
        "recipient": recipient or str(REPORTER_KEYS.recipient),
        "verify": str(REPORTER_KEYS.verify),
    }
    return {
        "comment": comment,
        "site": SITE,
        "mailbox": MAILBOX,
        "viewer": str(viewer.verify_key) if viewer else None,
        "reporter": None if viewer else own,
        "pins": None if pins is None else {**own, "newest": dict(pins)},
        "arrived": files,
        "expect": {
            "entries": [list(entry) for entry in entries],
            "gaps": dict(gaps or {}),
            "missing_beginning": dict(beginning or {}),
            "withheld": dict(withheld or {}),
        },
    }


def _second(first: Mapping[str, Json], former: Sequence[SigningKey]) -> dict[str, Json]:
    fields = reporter_fields(2, prev=digest(first), former=identities(*former))
    return fields | {"day": "2026-03-12"}


def _report_of(signing: SigningKey, *, verify: str) -> bytes:
    own: Json = {"recipient": str(REPORTER_KEYS.recipient), "verify": verify}
    return signed({**R1, "reporter": own}, signing)


def _other_recipient() -> Json:
    recipient = Seed(secret("another reply seed")).recipient()
    return {"recipient": str(recipient), "verify": str(REPORTER_KEYS.verify)}
