"""Valid and invalid counsellor cards (SPEC section 3)."""

import datetime
from collections.abc import Iterator, Mapping, Sequence

from dropbox_app.protocol.encoding import Json, b64, from_line, to_line
from dropbox_app.protocol.keys import SigningKey
from tests.vectors import forge
from tests.vectors.world import (
    ANNA,
    BRAM,
    DAY,
    OTHER_SITE,
    SITE,
    Vector,
    issue_card,
    months,
    pieces,
    sealing_seed,
)

LABEL = b"klankbord/v1/card\n"
GOOD = issue_card("anna", serial=7)


def card_vectors() -> list[Vector]:
    """Return all card vectors: ``accept`` is what the server knows, ``expect`` its response."""
    return [*_good(), *_wrong_here(), *_wrong_windows(), *_wrong_fields(), *_wrong_bytes()]


def fields_of(raw: bytes) -> dict[str, Json]:
    """Return the fields of a card, to be altered."""
    return from_line(raw.split(b"\n")[0])


def sign_card(fields: Mapping[str, Json], signing: SigningKey = ANNA) -> bytes:
    """Return a signed card, without checking its contents."""
    return sign_line(to_line(dict(fields)), signing)


def sign_line(line: bytes, signing: SigningKey = ANNA) -> bytes:
    """Return a signed card with a line 1 that no writer would produce."""
    return line + b"\n" + b64(signing.sign(LABEL + line)).encode() + b"\n"


def window(first: str, until: str) -> Json:
    """Return a window of Anna's, from day to day."""
    start = datetime.date.fromisoformat(first)
    recipient = str(sealing_seed("anna", start.replace(day=1)).recipient())
    return {"recipient": recipient, "from": first, "until": until}


def whole_months(first: str, count: int) -> list[Json]:
    """Return windows of whole months, from the day ``first`` on."""
    windows = months(datetime.date.fromisoformat(first), count)
    return [window(start.isoformat(), until.isoformat()) for start, until in windows]


def _good() -> Iterator[Vector]:
    base = fields_of(GOOD)
    yield _case("a good card, for a counsellor who had none", GOOD, serial=7, days=_days())
    yield _case("the same bytes again", GOOD, current=GOOD, serial=7)
    yield _case("a higher serial", sign_card({**base, "serial": 8}), current=GOOD, serial=8)
    yield _case("the highest serial", sign_card({**base, "serial": 2**53 - 1}), serial=2**53 - 1)
    yield _case("an unknown field is ignored", sign_card({**base, "motto": ["a"]}), serial=7)
    thirteen = {**base, "sealing": whole_months("2026-02-01", 13)}
    yield _case("13 windows", sign_card(thirteen), serial=7)
    yield _case(
        "windows that are no months, of one day and of 31",
        sign_card(
            {
                **base,
                "sealing": [
                    window("2026-03-08", "2026-03-08"),
                    window("2026-03-09", "2026-04-08"),
                    window("2026-04-09", "2026-05-09"),
                    window("2026-05-10", "2026-06-09"),
                    window("2026-06-10", "2026-06-10"),
                ],
            }
        ),
        serial=7,
        days={"2026-03-07": None, "2026-03-08": "2026-03-08", "2026-03-09": "2026-03-09",
              "2026-06-10": "2026-06-10", "2026-06-11": None},
    )  # fmt: skip
    yield _case(
        "away, with a stand-in",
        sign_card({**base, "away": {"until": "2026-06-29", "stand_in": str(BRAM.verify_key)}}),
        serial=7,
    )
    yield _case("away, without one", sign_card({**base, "away": {"until": "2026-06-29"}}), serial=7)
    yield _case(
        "a register number and a sentence in two languages",
        sign_card({**base, "register_number": "LVV 1234", "sentence": {"nl": "Kom.", "en": "Do."}}),
        serial=7,
    )
    most: dict[str, Json] = {
        **base,
        "register_number": "9" * 50,
        "sentence": {"uk": "\u0457" * 200},
    }
    yield _case("the longest of both, in a language of its own", sign_card(most), serial=7)
    arabic: Json = {"nl": "Kom. \u0645\u0631\u062d\u0628\u0627 <b>&amp; \u201ck\u201d"}
    yield _case("a sentence of both directions", sign_card({**base, "sentence": arabic}), serial=7)
    yield _case(
        "issued on 30 November: three months later is the last of February",
        sign_card({**base, "issued": "2026-11-30", "sealing": _until("2026-11-01", "2027-02-28")}),
        serial=7,
    )


def _wrong_here() -> Iterator[Vector]:
    base = fields_of(GOOD)
    newer = sign_card({**base, "serial": 8})
    yield _case("made for another site", issue_card("anna", site=OTHER_SITE), refused="site")
    yield _case(
        "of another counsellor than the one confirmed", issue_card("bram"), refused="counsellor"
    )
    same = sign_card({**base, "name": "Anna B"})
    yield _case("an equal serial with other bytes", same, current=GOOD, refused="older")
    yield _case("a lower serial", GOOD, current=newer, refused="older")
    yield _case(
        "Anna's identity, signed by Bram", sign_card(base, BRAM), refused="signature does not fit"
    )
    line = to_line(base)
    raw = line + b"\n" + b64(ANNA.sign(b"klankbord/v1/message\n" + line)).encode() + b"\n"
    yield _case("signed as a message", raw, refused="signature does not fit")
    altered = GOOD.replace(b'"name":"Anna"', b'"name":"Anne"')
    yield _case("a letter altered after signing", altered, refused="signature does not fit")


def _wrong_windows() -> Iterator[Vector]:
    base = fields_of(GOOD)
    whole = whole_months("2026-02-01", 5)
    for comment, sealing, refused in (
        ("no window", [], "sealing"),
        ("14 windows", whole_months("2026-02-01", 14), "sealing"),
        ("a hole of a month between windows", [*whole[:2], *whole[3:]], "a day without"),
        (
            "a hole of a day between windows",
            _windows("03-08 04-07", "04-09 05-08"),
            "a day without",
        ),
        ("one day in two windows", _windows("03-08 04-07", "04-07 05-06"), "a day without"),
        ("windows in the other order", whole[::-1], "a day without"),
        ("a window of 32 days", _windows("03-01 04-01", "04-02 05-02"), "1 to 31 days"),
        ("a window that ends before it begins", _windows("03-08 03-07"), "1 to 31 days"),
        ("a first key that begins a day before the issue", _from("2026-03-09"), "too late"),
        ("keys that end a day too soon", _until("2026-02-01", "2026-06-09"), "sooner"),
        ("keys that are over", whole_months("2025-09-01", 5), "sooner"),
    ):
        yield _case(comment, sign_card({**base, "sealing": sealing}), refused=refused)
    for comment, until in (("past the end", "2026-07-15"), ("to the very end", "2026-06-30")):
        away: Json = {"until": until}
        yield _case(
            f"away {comment} of the keys", sign_card({**base, "away": away}), refused="absence"
        )


def _wrong_fields() -> Iterator[Vector]:
    base = fields_of(GOOD)
    first = whole_months("2026-02-01", 5)
    spoilt = dict(first[0]) if isinstance(first[0], dict) else {}
    changes: Sequence[tuple[str, dict[str, Json], str]] = (
        ("version 2", {"v": 2}, "newer version"),
        ("a version that is true", {"v": True}, "newer version"),
        ("serial 0", {"serial": 0}, "serial"),
        ("a serial that is text", {"serial": "8"}, "serial"),
        ("a site in capitals", {"site": "AB" * 16}, "hex"),
        ("no name", {"name": ""}, "name"),
        ("a name of two lines", {"name": "Anna\nBram"}, "name"),
        ("a name with a control character", {"name": "Anna\u001b[2J"}, "name"),
        ("a name that turns the letters around", {"name": "Anna\u202eannA"}, "cannot be seen"),
        ("a name with a space of no width", {"name": "An\u200bna"}, "cannot be seen"),
        ("a name of two lines by another sign", {"name": "Anna\u2028Bram"}, "cannot be seen"),
        ("a name with a letter of nobody's", {"name": "Anna\ue000"}, "cannot be seen"),
        ("a name of 101 letters", {"name": "a" * 101}, "name"),
        ("another kind", {"kind": "robot"}, "kind"),
        ("another scope", {"scope": "all"}, "scope"),
        ("no language", {"languages": []}, "languages"),
        ("a language twice", {"languages": ["nl", "nl"]}, "languages"),
        ("a language that is no code", {"languages": ["Nederlands"]}, "languages"),
        ("a register number that is empty", {"register_number": ""}, "register_number"),
        ("a register number of 51 letters", {"register_number": "9" * 51}, "register_number"),
        ("a register number of two lines", {"register_number": "1\n2"}, "register_number"),
        ("a register number that is a number", {"register_number": 1234}, "register_number"),
        ("no sentence in any language", {"sentence": {}}, "sentence"),
        ("a sentence in no language", {"sentence": "Kom."}, "sentence"),
        ("a sentence in a language that is no code", {"sentence": {"dutch": "Kom."}}, "sentence"),
        ("sentences in 11 languages", {"sentence": _in_languages(11)}, "sentence"),
        ("an empty sentence", {"sentence": {"nl": ""}}, "nl is no line"),
        ("a sentence of 201 letters", {"sentence": {"nl": "a" * 201}}, "nl is no line"),
        ("a sentence of two lines", {"sentence": {"nl": "Kom.\nNu."}}, "nl is no line"),
        ("a sentence with a space before it", {"sentence": {"nl": " Kom."}}, "nl is no line"),
        ("a sentence with a control character", {"sentence": {"nl": "K\u001b[2J"}}, "nl is no"),
        ("a sentence that turns the letters around", {"sentence": {"nl": "\u202ekom"}}, "be seen"),
        ("a sentence that isolates no end", {"sentence": {"nl": "kom\u2067"}}, "be seen"),
        ("away that is null", {"away": None}, "away"),
        ("away until no day", {"away": {"until": "2026-02-30"}}, "no such day"),
        ("a stand-in by name", {"away": {"until": "2026-05-01", "stand_in": "Bram"}}, "base64"),
        ("issued in another millennium", {"issued": "1999-12-31"}, "day"),
        ("a window with a classic key", _first(spoilt, recipient="age1abc"), "age1pq1"),
        ("a recipient in capitals", _first(spoilt, recipient=_upper(spoilt)), "age1pq1"),
        ("a recipient with a letter altered", _first(spoilt, recipient=_typo(spoilt)), "checksum"),
        ("an identity of order 8", {"identity": b64(forge.EIGHTH)}, "prime order"),
    )
    for comment, change, refused in changes:
        yield _case(comment, sign_card({**base, **change}), refused=refused)
    mixed = forge.mixed_key(ANNA.seed)
    line = to_line({**base, "identity": b64(mixed)})
    signature = forge.sign_with(ANNA.seed, mixed, LABEL + line)
    raw = line + b"\n" + b64(signature).encode() + b"\n"
    yield _case("an identity of mixed order, and its signature", raw, refused="prime order")
    line = to_line(base)
    public = ANNA.verify_key.raw
    signature = forge.sign_with(ANNA.seed, public, LABEL + line, torsion=forge.EIGHTH)
    raw = line + b"\n" + b64(signature).encode() + b"\n"
    yield _case("a signature of mixed order", raw, refused="signature does not fit")


def _wrong_bytes() -> Iterator[Vector]:
    base = fields_of(GOOD)
    line = to_line(base)
    lines = GOOD.split(b"\n")
    # A long unknown field gives a card any size.
    room = 65536 - len(sign_card({**base, "motto": ""}))
    yield _case("exactly 64 KiB", sign_card({**base, "motto": "a" * room}), serial=7)
    large = sign_card({**base, "motto": "a" * (room + 1)})
    yield _case("64 KiB and one byte", large, refused="65537 bytes")
    yield _case("a key twice", sign_line(line.replace(b'"v":1', b'"v":1,"v":1')), refused="twice")
    spaced = sign_line(line.replace(b'"v":1', b'"v": 1'))
    yield _case("JSON with a space", spaced, refused="one way of writing")
    escaped = sign_line(line.replace(b"Anna", b"\\u0041nna"))
    yield _case("JSON with an escape that need not be", escaped, refused="one way of writing")
    fraction = sign_line(line.replace(b'"serial":7', b'"serial":7.0'))
    yield _case("a fraction", fraction, refused="whole numbers")
    yield _case("nothing", b"", refused="two lines")
    yield _case("no line end at the end", GOOD[:-1], refused="two lines")
    yield _case("an empty third line", GOOD + b"\n", refused="two lines")
    yield _case("CR LF", GOOD.replace(b"\n", b"\r\n"), refused="one way of")
    yield _case("a byte order mark", b"\xef\xbb\xbf" + GOOD, refused="not a JSON line")
    short = b"\n".join((lines[0], lines[1][:-4], b""))
    yield _case("a signature cut off", short, refused="64 bytes in base64")
    spoilt = b"\n".join((lines[0], b"\xff" * 88, b""))
    yield _case("a signature that is no text", spoilt, refused="base64")


def _case(
    comment: str,
    raw: bytes,
    *,
    current: bytes | None = None,
    serial: int = 0,
    days: Mapping[str, str | None] | None = None,
    refused: str | None = None,
) -> Vector:
    """Return a case; ``refused``: words of this implementation's reason."""
    expect: Vector = {"accepted": refused is None}
    if refused is None:
        # day -> the first day of the window whose key is to be taken on it
        expect |= {"serial": serial, "sealing_on": dict(days or {})}
    else:
        expect["reason"] = refused
    return {
        "comment": comment,
        "card": pieces(raw),
        "accept": {
            "site": SITE,
            "pinned": str(ANNA.verify_key),
            "current": None if current is None else pieces(current),
        },
        "expect": expect,
    }


def _days() -> dict[str, str | None]:
    """Return the first and last days of the valid card's windows, and the days around them."""
    return {
        "2026-01-31": None,
        "2026-02-01": "2026-02-01",
        "2026-02-28": "2026-02-01",
        "2026-03-01": "2026-03-01",
        DAY.isoformat(): "2026-03-01",
        "2026-06-30": "2026-06-01",
        "2026-07-01": None,
    }


def _in_languages(number: int) -> Json:
    """Return the same sentence under this many codes."""
    return {f"a{chr(ord('a') + one)}": "Kom." for one in range(number)}


def _windows(*spans: str) -> list[Json]:
    windows = [window(f"2026-{span[:5]}", f"2026-{span[6:]}") for span in spans]
    return windows


def _from(first: str) -> list[Json]:
    return [window(first, "2026-03-31"), *whole_months("2026-04-01", 4)]


def _until(first: str, until: str) -> list[Json]:
    """Return whole months, except the last, which ends on ``until``."""
    spans = months(datetime.date.fromisoformat(first), 5)
    last = datetime.date.fromisoformat(until)
    return [
        window(start.isoformat(), min(end, last).isoformat())
        for start, end in spans
        if start <= last
    ]


def _first(spoilt: Mapping[str, Json], *, recipient: str) -> dict[str, Json]:
    rest = whole_months("2026-02-01", 5)[1:]
    return {"sealing": [{**spoilt, "recipient": recipient}, *rest]}


def _upper(spoilt: Mapping[str, Json]) -> str:
    return str(spoilt["recipient"]).upper()


def _typo(spoilt: Mapping[str, Json]) -> str:
    text = str(spoilt["recipient"])
    return text[:-1] + ("q" if text[-1] != "q" else "p")
