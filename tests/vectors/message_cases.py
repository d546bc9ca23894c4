"""Single messages: every kind in valid form, and with one fault each (SPEC section 4)."""

from collections.abc import Iterator, Mapping

from dropbox_app.protocol.encoding import Json, b64, sha256_hex, to_line
from dropbox_app.protocol.keys import SigningKey
from dropbox_app.protocol.messages import ANSWERS, MAX_TEXT, SIGNED_LABEL
from tests.vectors import forge
from tests.vectors.world import (
    ANNA,
    BRAM,
    REPORTER_KEYS,
    Vector,
    counsellor,
    counsellor_fields,
    digest,
    from_reporter,
    identities,
    pieces,
    reporter_fields,
    sign,
    signed,
    signed_line,
)

OWN = REPORTER_KEYS.signing
PREV = digest(reporter_fields(1))
FILE: Json = {"sha256": "ab" * 32, "name": "agenda.pdf", "type": "application/pdf", "size": 12345}

LATER = {"accused"}  # answers that were added after these vectors, which do not change


def message_vectors() -> list[Vector]:
    """Return all message vectors: ``expect`` is the parsed message, or the refusal."""
    return [*_good(), *_wrong_layout(), *_wrong_json(), *_wrong_fields(), *_wrong_keys()]


def full_message(text: str, *, names: int = 0) -> dict[str, Json]:
    """Return a message with the maximum of everything besides ``text``.

    ``names``: the length in bytes of each of the ten file names, which count as text.
    """
    everybody = [counsellor(f"number {number}") for number in range(25)]
    return reporter_fields(
        2**53 - 1,
        to=everybody[:5],
        former=identities(*everybody[5:]),
        seen=[{"by": str(key.verify_key), "n": 2**53 - 1} for key in everybody[:20]],
        prev=PREV,
        thread="cd" * 32,
        lang="l" * 40,
        text=text,
        attachments=[
            {
                "sha256": f"{number:064x}",
                "name": "\\" * names,
                "type": "a" * 60 + "/" + "b" * 60,
                "size": 2**53 - 1,
            }
            for number in range(10)
        ],
    )


def _good() -> Iterator[Vector]:
    every: dict[str, Json] = {
        field: [value for value in values if value not in LATER] if several else values[0]
        for field, (several, values) in ANSWERS.items()
    }
    reporters: list[tuple[str, dict[str, Json]]] = [
        ("a report", reporter_fields(1)),
        ("a report with every answer", reporter_fields(1, answers=every, lang="en")),
        (
            "an answer of a newer version is kept, an unknown question left out",
            reporter_fields(1, answers={"safe": "new-word", "later": "yes"}),
        ),
        ("an unknown field is ignored", reporter_fields(1, zebra={"a": [1, None, True]})),
        (
            "a message with two files",
            reporter_fields(
                2, prev=PREV, attachments=[FILE, {**_object(FILE), "sha256": "cd" * 32, "size": 0}]
            ),
        ),
        (
            "a message to another counsellor, with the thread passed on",
            reporter_fields(2, prev=PREV, to=(BRAM,), former=identities(ANNA), thread="ef" * 32),
        ),
        (
            "a consent-answer",
            _kind(2, "consent-answer", request="12" * 32, answer="tell-me-more", prev=PREV),
        ),
        (
            "a consent-answer with a text",
            _kind(2, "consent-answer", request="12" * 32, answer="no", text="Nog niet.", prev=PREV),
        ),
        ("a withdrawal", _kind(2, "withdrawal", prev=PREV)),
        ("a kind of a newer version", _kind(2, "voice", prev=PREV, sound="la")),
        (
            "U+2028, U+2029 and U+0085's neighbours are text: lines end at LF only",
            reporter_fields(1, text="een\u2028twee\u2029drie\u00a0vier"),
        ),
        ("a byte order mark inside a text is text", reporter_fields(1, text="\ufeffHallo")),
        ("letters beyond the first plane", reporter_fields(1, text="😀 ḱ e\u0301")),
        ("60,000 line breaks", reporter_fields(1, text="\n" * MAX_TEXT)),
        ("an empty text", reporter_fields(1, text="")),
        ("the most of everything, at the worst escaping", full_message('"' * MAX_TEXT)),
        (
            "the same with 2,550 bytes of it in names of files",
            full_message("\\" * (MAX_TEXT - 2550), names=255),
        ),
    ]
    for size in (8192, 32768):
        fitting = size - len(to_line(reporter_fields(1, text=""))) - 90
        reporters += [
            (f"exactly {size} bytes, without any padding", reporter_fields(1, text="a" * fitting)),
            (
                f"one byte more than {size}: the next size",
                reporter_fields(1, text="a" * (fitting + 1)),
            ),
        ]
    counsellors: list[tuple[str, dict[str, Json]]] = [
        ("a reply", counsellor_fields(1)),
        ("a reply with a file", counsellor_fields(1, attachments=[FILE])),
        ("a notice", _answer("notice", status="received")),
        ("a notice with a text", _answer("notice", status="closed", text="Dank je wel.")),
        (
            "a field of another kind is unknown in this one, and ignored",
            _answer("notice", status="read", attachments=[{"name": "a" * 70000}], options=1),
        ),
        (
            "options",
            _answer(
                "options",
                text="Dit kan:",
                options=[
                    {"title": f"Stap {n}", "pro": "Het stopt.", "con": "Zij weten het."}
                    for n in range(6)
                ],
            ),
        ),
        (
            "a consent-request",
            _answer("consent-request", step="Een gesprek", **{"with": "HR"}, scope="Geen namen"),
        ),
        (
            "a consent-request for a handover",
            _answer(
                "consent-request",
                step="Overdracht",
                scope="Alles",
                successor=str(BRAM.verify_key),
                **{"with": "Bram"},
            ),
        ),
    ]
    for comment, fields in reporters:
        yield _good_vector(comment, fields, OWN)
    for comment, fields in counsellors:
        yield _good_vector(comment, fields, ANNA)


def _wrong_layout() -> Iterator[Vector]:
    line = to_line(reporter_fields(1))
    good, signature = signed_line(line, OWN), sign(line, OWN)
    end = len(line) + 90
    yield _bad("of no size at all", b"")
    yield _bad("without padding", good[:end])
    yield _bad("padded to a size larger than needed", good.ljust(32768, b" "))
    yield _bad("one byte short", good[:-1])
    yield _bad("one byte longer", good + b" ")
    yield _bad("larger than every size", good.ljust(131073, b" "))
    yield _bad("a byte after the padding", good[:-1] + b"x")
    yield _bad("a byte within the padding", good[:end] + b" x".ljust(len(good) - end, b" "))
    yield _bad("padded with zero bytes", good[:end].ljust(len(good), b"\0"))
    yield _bad("padded with line ends", good[:end].ljust(len(good), b"\n"))
    yield _bad("CR LF", good.replace(b"\n", b"\r\n")[: len(good)])
    yield _bad("no end after the signature", (line + b"\n" + signature).ljust(len(good), b" "))
    yield _bad("no signature", (line + b"\n").ljust(len(good), b" "))
    yield _bad("a third line", (good[:end] + signature + b"\n").ljust(len(good), b" "))
    short = (line + b"\n" + signature[:-4] + b"\n").ljust(len(good), b" ")
    yield _bad("a signature of 63 bytes", short)
    # 64 bytes leave 4 spare bits in base64: one signature has 16 encodings, one canonical.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = signature[:-3] + letters[letters.index(chr(signature[-3])) + 1].encode() + b"=="
    yield _bad("base64 of the signature not canonical", good.replace(signature, loose))
    spoilt = signature[:40] + b"\xff" + signature[41:]
    yield _bad("a byte that no base64 has", good.replace(signature, spoilt))
    web = signature.replace(b"+", b"-").replace(b"/", b"_")
    yield _bad("base64 of the other alphabet", good.replace(signature, web))


def _wrong_json() -> Iterator[Vector]:
    line = to_line(reporter_fields(1))
    changes: list[tuple[str, bytes, bytes]] = [
        ("a doubled key", b'"n":1,', b'"n":1,"n":1,'),
        ("a doubled key with another value first", b'"n":1,', b'"n":2,"n":1,'),
        ("a lone surrogate, escaped", b"maart", b"\\ud800"),
        ("a pair of surrogates, escaped", b"maart", b"\\ud83d\\ude00"),
        ("a lone surrogate in bytes", b"maart", b"\xed\xa0\x80"),
        ("a byte that is not UTF-8", b"maart", b"\xff"),
        ("an overlong writing of a letter", b"maart", b"\xc1\x81"),
        ("an escape that need not be", b"maart", b"\\u0041"),
        ("a slash escaped", b"maart", b"a\\/b"),
        ("U+2028 escaped", b"maart", b"\\u2028"),
        ("an escape in capitals", b"maart", b"\\u001F"),
        ("a space after a colon", b'"n":1', b'"n": 1'),
        ("a space at the end", line, line + b" "),
        ("a byte order mark", line, b"\xef\xbb\xbf" + line),
        ("keys out of order", b'"seen":[],"site":"', b'"site":"'),
        ("a fraction", b'"n":1,', b'"n":1.0,'),
        ("an exponent", b'"n":1,', b'"n":1e0,'),
        ("minus zero", b'"size":0', b'"size":-0'),
        ("a negative number", b'"n":1,', b'"n":-1,'),
        ("a number that JavaScript cannot count", b'"n":1,', b'"n":9007199254740992,'),
        ("a number of 5,000 digits", b'"n":1,', b'"n":' + b"9" * 5000 + b","),
        ("a leading zero", b'"n":1,', b'"n":01,'),
        ("NaN", b'"n":1,', b'"n":NaN,'),
        ("infinity", b'"n":1,', b'"n":-Infinity,'),
        ("a key that begins with a digit", b'{"answers"', b'{"1a":1,"answers"'),
        ("a key of digits", b'{"answers"', b'{"0":1,"answers"'),
        ("a key with a capital", b'"answers"', b'"Answers":{},"answers"'),
        ("an empty key", b'{"answers"', b'{"":1,"answers"'),
        ("a key that JavaScript treats apart", b'{"answers"', b'{"__proto__":{},"answers"'),
        ("depth 5", b'"v":1', b'"v":1,"w":[[[[1]]]]'),
        ("nested as deeply as fits", b'"v":1', b'"v":1,"w":' + b"[" * 60000 + b"]" * 60000),
        ("a string full of quotes that never ends", line, b'{"a":"' + b'\\"' * 65000),
        ("nothing but opening brackets", line, b"[" * 130900),
        ("a list instead of an object", line, b"[]"),
        ("a string instead of an object", line, b'"text"'),
        ("an empty line", line, b""),
    ]
    for comment, old, new in changes:
        base = line
        if b"size" in old:
            base = to_line(reporter_fields(1, attachments=[{**_object(FILE), "size": 0}]))
        altered = base.replace(old, new, 1)
        if comment == "keys out of order":
            altered = base.replace(b'"seen":[],', b"", 1).replace(b'"v":1', b'"v":1,"seen":[]', 1)
        if altered == base:
            raise AssertionError(comment)
        yield _bad(comment, signed_line(altered, OWN))


def _wrong_fields() -> Iterator[Vector]:
    second: dict[str, Json] = reporter_fields(2, prev=PREV)
    own: list[tuple[str, dict[str, Json]]] = [
        ("version 2", reporter_fields(1, v=2)),
        ("a version that is true, which Python takes for 1", reporter_fields(1, v=True)),
        ("a number that is true", reporter_fields(1) | {"n": True}),
        ("n = 0", reporter_fields(1) | {"n": 0}),
        ("n as text", reporter_fields(1) | {"n": "1"}),
        ("prev in a first message", reporter_fields(1, prev=PREV)),
        ("no prev in a second message", reporter_fields(2)),
        ("prev that is null", reporter_fields(1, prev=None)),
        ("prev in capitals", reporter_fields(2, prev=PREV.upper())),
        ("a first message that is no report", reporter_fields(1, kind="message")),
        ("a second report", reporter_fields(2, prev=PREV, kind="report", answers={})),
        ("a reply by the reporter", reporter_fields(2, prev=PREV, kind="reply")),
        ("a notice by the reporter", _kind(2, "notice", prev=PREV, status="read")),
        ("a kind that is no word", _kind(2, "Report", prev=PREV)),
        ("a kind that is no text", second | {"kind": 1}),
        ("a site in capitals", reporter_fields(1, site="AA" * 16)),
        ("a site one digit short", reporter_fields(1, site="a" * 31)),
        ("a mailbox of another length", reporter_fields(1, mailbox="ab" * 16)),
        ("a day that is not", reporter_fields(1, day="2026-02-29")),
        ("a day written otherwise", reporter_fields(1, day="20260310")),
        ("a day with a time", reporter_fields(1, day="2026-03-10T09:00:00Z")),
        ("a day in other digits", reporter_fields(1, day="2026-03-1\u0661")),
        ("a language that is no word", reporter_fields(1, lang="NL")),
        ("to nobody", reporter_fields(1) | {"to": []}),
        ("to six", _to(6)),
        ("to one of them twice", reporter_fields(1, to=(ANNA, ANNA))),
        ("to somebody who is not wanted", reporter_fields(1) | {"to": identities(BRAM)}),
        ("wanted by nobody", reporter_fields(1) | {"wanted": []}),
        ("wanted and former", reporter_fields(1, former=identities(ANNA))),
        ("21 former", reporter_fields(1, former=_many(21))),
        ("21 seen", reporter_fields(1, seen=[{"by": by, "n": 1} for by in _many(21)])),
        (
            "one author seen twice",
            reporter_fields(1, seen=[{"by": by, "n": 1} for by in _many(1) * 2]),
        ),
        ("seen by name", reporter_fields(1, seen=[{"by": "anna", "n": 1}])),
        ("seen in another form", reporter_fields(1, seen={"by": "reporter", "n": 1})),
        ("no reporter", {k: v for k, v in reporter_fields(1).items() if k != "reporter"}),
        ("no former", {k: v for k, v in reporter_fields(1).items() if k != "former"}),
        (
            "a recipient of the classic kind",
            reporter_fields(
                1, reporter={"recipient": "age1zvk", "verify": str(REPORTER_KEYS.verify)}
            ),
        ),
        ("a text that is no text", reporter_fields(1, text=["Hallo"])),
        ("no text", {k: v for k, v in reporter_fields(1).items() if k != "text"}),
        ("CR in a text", reporter_fields(1, text="een\r\ntwee")),
        ("an escape sequence in a text", reporter_fields(1, text="\u001b[2J")),
        ("DEL in a text", reporter_fields(1, text="\u007f")),
        ("a C1 control in a text", reporter_fields(1, text="\u0085")),
        ("60,001 bytes of text", reporter_fields(1, text="a" * 60001)),
        ("60,001 bytes in fewer letters", reporter_fields(1, text="é" * 30000 + "a")),
        (
            "60,001 bytes with the name of a file",
            reporter_fields(2, prev=PREV, text="a" * 59991, attachments=[FILE]),
        ),
        ("no answers", {k: v for k, v in reporter_fields(1).items() if k != "answers"}),
        ("answers that are a list", reporter_fields(1, answers=[])),
        ("one answer where a list belongs", reporter_fields(1, answers={"needs": "be_heard"})),
        ("a list where one answer belongs", reporter_fields(1, answers={"safe": ["yes"]})),
        ("an answer twice", reporter_fields(1, answers={"needs": ["be_heard", "be_heard"]})),
        ("an answer that is no word", reporter_fields(1, answers={"safe": "Ja, denk ik"})),
        ("no list of files", {k: v for k, v in reporter_fields(1).items() if k != "attachments"}),
        ("eleven files", second | {"attachments": [_file(number) for number in range(11)]}),
        ("one file twice", second | {"attachments": [FILE, FILE]}),
        ("a name of 256 bytes", second | {"attachments": [{**_object(FILE), "name": "é" * 128}]}),
        ("a name of two lines", second | {"attachments": [{**_object(FILE), "name": "a\nb"}]}),
        ("a size that is negative", second | {"attachments": [{**_object(FILE), "size": True}]}),
        ("a type of another form", second | {"attachments": [{**_object(FILE), "type": "PDF"}]}),
        ("the thread passed on in a first message", reporter_fields(1, thread="ab" * 32)),
        ("a thread that is no id", second | {"thread": "ab"}),
        ("an answer that is none of the four", _answer_to("maybe")),
        (
            "an answer to no request",
            _kind(2, "consent-answer", prev=PREV, request="ab", answer="yes"),
        ),
    ]
    theirs: list[tuple[str, dict[str, Json]]] = [
        ("a report by a counsellor", counsellor_fields(1) | {"kind": "report", "answers": {}}),
        ("a withdrawal by a counsellor", _answer("withdrawal")),
        ("a consent-answer by a counsellor", counsellor_fields(1) | _answer_to("yes")
         | {"by": str(ANNA.verify_key), "n": 1}),
        ("a thread passed on by a counsellor", counsellor_fields(2, prev=PREV, thread="ab" * 32)),
        ("a status that is none of the four", _answer("notice", status="lost")),
        ("one option", _answer("options", text="", options=[_option()])),
        ("seven options", _answer("options", text="", options=[_option() for _ in range(7)])),
        (
            "60,001 bytes over several options",
            _answer("options", text="", options=[_option("a" * 20000), _option("b" * 39997)]),
        ),
        ("a step without a scope", _answer("consent-request", step="a", **{"with": "b"})),
        (
            "a successor by name",
            _answer("consent-request", step="a", scope="c", successor="Bram", **{"with": "b"}),
        ),
    ]  # fmt: skip
    for comment, fields in own:
        yield _bad(comment, signed(fields, OWN))
    for comment, fields in theirs:
        yield _bad(comment, signed(fields, ANNA))


def _wrong_keys() -> Iterator[Vector]:
    public = ANNA.verify_key.raw
    mixed = forge.mixed_key(ANNA.seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = b64(public)
    loose = text[:-2] + letters[letters.index(text[-2]) + 1] + "="
    beyond = (2**255 - 18).to_bytes(32, "little")  # 1 + p: another encoding of the neutral point
    for comment, identity in (
        ("an identity in base64 that is not canonical", loose),
        ("an identity without its padding", text[:-1]),
        ("an identity of 31 bytes", b64(public[:31])),
        ("an identity of order 1", b64(forge.NEUTRAL)),
        ("an identity of order 8", b64(forge.EIGHTH)),
        ("an identity of mixed order", b64(mixed)),
        ("an identity that is no canonical point", b64(beyond)),
        ("an identity that is no point", b64((2).to_bytes(32, "little"))),
    ):
        wanted = reporter_fields(1) | {"wanted": [identity, *identities(ANNA)]}
        yield _bad(f"wanted: {comment}", from_reporter(wanted))
        line = to_line(counsellor_fields(1) | {"by": identity})
        data = SIGNED_LABEL + line
        key = mixed if identity == b64(mixed) else forge.NEUTRAL
        signature = forge.sign_with(ANNA.seed, key, data, torsion=forge.NEUTRAL)
        padded = (line + b"\n" + b64(signature).encode() + b"\n").ljust(8192, b" ")
        yield _bad(f"by: {comment}", padded)
    for comment, key in (("order 1", forge.NEUTRAL), ("mixed order", mixed)):
        own: Json = {"recipient": str(REPORTER_KEYS.recipient), "verify": b64(key)}
        yield _bad(
            f"the reporter's own key is of {comment}",
            from_reporter(reporter_fields(1, reporter=own)),
        )


def _good_vector(comment: str, fields: Mapping[str, Json], signing: SigningKey) -> Vector:
    plaintext = signed(fields, signing)
    text = fields.get("text", "") if fields["kind"] != "voice" else ""
    return {
        "comment": comment,
        "plaintext": pieces(plaintext),
        "expect": {
            "read": True,
            "size": len(plaintext),
            "by": fields["by"],
            "n": fields["n"],
            "kind": fields["kind"],
            "text_sha256": sha256_hex(str(text).encode()),
            "digest": sha256_hex(to_line(dict(fields))),
        },
    }


def _bad(comment: str, plaintext: bytes) -> Vector:
    return {
        "comment": comment,
        "plaintext": pieces(plaintext),
        "expect": {"read": False, "reason": "form"},
    }


def _kind(n: int, kind: str, **own: Json) -> dict[str, Json]:
    """Return a reporter's message of the given kind, without text or files."""
    fields = reporter_fields(n)
    del fields["text"], fields["attachments"]
    return fields | {"kind": kind} | own


def _answer(kind: str, **own: Json) -> dict[str, Json]:
    """Return a counsellor's message of the given kind, without text or files."""
    fields = counsellor_fields(1)
    del fields["text"], fields["attachments"]
    return fields | {"kind": kind} | own


def _answer_to(answer: str) -> dict[str, Json]:
    return _kind(2, "consent-answer", prev=PREV, request="12" * 32, answer=answer)


def _object(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, dict) else {}


def _file(number: int) -> Json:
    return {**_object(FILE), "sha256": f"{number:064x}"}


def _option(text: str = "a") -> Json:
    return {"title": text, "pro": "b", "con": "c"}


def _many(count: int) -> list[Json]:
    return identities(*(counsellor(f"number {number}") for number in range(count)))


def _to(count: int) -> dict[str, Json]:
    return reporter_fields(1, to=[counsellor(f"number {number}") for number in range(count)])
