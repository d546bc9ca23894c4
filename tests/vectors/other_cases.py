"""Codes, desk requests, lines, texts, sizes, batches, second seals (SPEC 1, 2, 4 to 7)."""

from collections.abc import Sequence

from dropbox_app.protocol.batch import pack
from dropbox_app.protocol.desk_request import header
from dropbox_app.protocol.encoding import b64, sha256_hex
from dropbox_app.protocol.retrieval_code import derive_root, reporter_keys
from dropbox_app.protocol.stream import CHUNK, NONCE, PayloadWriter
from tests.vectors import forge
from tests.vectors.world import ANNA, BRAM, OTHER_SITE, SITE, Vector, pieces, secret

DUTCH = ("fles", "vlieg", "boom", "water", "koffie", "appel", "tafel")
ENGLISH = ("flame", "afford", "affix", "waffle", "cactus", "abacus", "zoom")
ORIGIN = "https://vp.example.org"
BATCH = 50  # items
TOKEN = "InRva2VuIg.abcdef.0123456789-_"


def code_vectors() -> list[Vector]:
    """Return typed codes with their keys and ids, or their refusal."""
    nl, en = " ".join(DUTCH), " ".join(ENGLISH)
    mixed, numbered = (*DUTCH[:3], *ENGLISH[3:]), enumerate(DUTCH)
    return [
        _code("seven Dutch words", nl, DUTCH),
        _code("seven English words", en, ENGLISH),
        _code("the same words at another site", nl, DUTCH, site=OTHER_SITE),
        _code("words of both lists", " ".join(mixed), mixed),
        _code("one word seven times", "water " * 7, ("water",) * 7),
        _code("odd spacing", "\t\u00a0fles\r\nvlieg  boom\u2003water,koffie;appel-tafel.\n", DUTCH),
        _code("numbered, one to a line", "\n".join(f"{n}. {w}" for n, w in numbered), DUTCH),
        _code("capitals", nl.upper(), DUTCH),
        _code("ligatures", "\ufb02ame a\ufb00ord a\ufb03x wa\ufb04e cactus abacus zoom", ENGLISH),
        _code("full width", "".join(_wide(letter) for letter in nl), DUTCH),
        _code("letters of a formula", "".join(_bold(letter) for letter in en), ENGLISH),
        _code(
            "accents, joined and apart",
            "fl\u00e9s vlie\u0301g b\u00f6om w\u0302ater koffi\u00eb appel t\u00e0fel",
            DUTCH,
        ),
        _code(
            "soft hyphens, zero width and a byte order mark",
            "\ufefffl\u00ades vl\u200bieg b\u200coom wa\u200dter koffie ap\ufeffpel tafel",
            DUTCH,
        ),
        _code("the Kelvin sign is a k", nl.replace("k", "\u212a"), DUTCH),
        _code("word joiners", nl.replace("i", "i\u2060"), DUTCH),
        _code("a dotless i is an i", nl.replace("vlieg", "vl\u0131eg"), DUTCH),
        _code("marks of direction", f"\u200e{nl}\u200f".replace("a", "\u2068a\u2069"), DUTCH),
        _code("a label before the words", f"Mijn code: {nl}", DUTCH),
        _refused("six words", " ".join(DUTCH[:6]), words=6),
        _refused("eight words", nl + " boom", words=8),
        _refused("nothing", "", words=0),
        _refused("no letters", "1 2 3 4 5 6 7", words=0),
        _refused("a letter of another alphabet", nl.replace("w", "\u0432"), letter="\u0432"),
        _refused("a letter with a stroke", nl.replace("boom", "b\u00f8om"), letter="\u00f8"),
        _refused("a long s is an s", nl.replace("fles", "fle\u017fs"), position=1),
        _refused("a mistyped word", nl.replace("koffie", "kofie"), position=5, near="koffie"),
        _refused("two letters swapped", en.replace("cactus", "catcus"), position=5, near="cactus"),
        _refused("a word of no list", nl.replace("boom", "xxxxxx"), position=3),
    ]  # fmt: skip


def request_vectors() -> list[Vector]:
    """Return Authorization headers; the server checks the token's age."""
    target, body_hash = "/api/desk/inbox?after=17", sha256_hex(b"")
    good = header(
        ANNA,
        origin=ORIGIN,
        site=SITE,
        token=TOKEN,
        method="GET",
        target=target,
        body_hash=body_hash,
    )
    scheme, _, identity, token, _, signature = good.split(" ")

    raw = forge.sign_with(
        ANNA.seed,
        ANNA.verify_key.raw,
        "\n".join(
            ("klankbord/v1/desk", ORIGIN, SITE, TOKEN, "GET", target, body_hash, "")
        ).encode(),
        torsion=forge.EIGHTH,
    )
    return [
        _request("a good request", good, good=True),
        _request("another origin of this server", good.replace(".org", ".net"), refused="fit"),
        _request("an origin of another server", good, origins=["https://x.nl"], refused="other"),
        _request("of this server, but on another site", good, site=OTHER_SITE, refused="fit"),
        _request("another method", good, method="POST", refused="fit"),
        _request("another target", good, target=target + "1", refused="fit"),
        _request("the same target without its query", good, target=target[:15], refused="fit"),
        _request(
            "the hash of another body",
            good.replace(body_hash, sha256_hex(b"another")),
            refused="fit",
        ),
        _request("another token", good.replace(TOKEN, TOKEN[:-1] + "x"), refused="fit"),
        _request(
            "another identity", good.replace(identity, str(BRAM.verify_key)), refused="fit"
        ),
        _request(
            "a signature whose first half is of mixed order",
            good.replace(signature, b64(raw)),
            refused="fit",
        ),
        _request("an identity of no use", good.replace(identity, b64(bytes(32))), refused="key"),
        _request("another scheme", good.replace(scheme, "Bearer"), refused="authorization"),
        _request("the scheme in capitals", good.replace(scheme, scheme.upper()), refused="author"),
        _request("two spaces", good.replace(" ", "  ", 1), refused="authorization"),
        _request("a tab", good.replace(" ", "\t", 1), refused="authorization"),
        _request("a space at the end", good + " ", refused="authorization"),
        _request("nothing", "", refused="authorization"),
        _request("no token", good.replace(token + " ", ""), refused="desk"),
        _request("a token of 201 letters", good.replace(token, "a" * 201), refused="token"),
        _request("a hash in capitals", good.replace(body_hash, body_hash.upper()), refused="hex"),
        _request("an origin in capitals", good.replace("vp.", "VP."), refused="origin"),
        _request("an origin with a path", good.replace(".org", ".org/"), refused="origin"),
        _request("an origin of two lines", good.replace(".org", ".org\nx"), refused="origin"),
        *(
            _request(f"a target with {name}", good, target=bad, refused="form")
            for name, bad in (
                ("a fragment", "/api/site#x"),
                ("an escape", "/api/%73ite"),
                ("two slashes", "/api//site"),
                ("two dots", "/api/../site"),
                ("a space", "/api/site x"),
                ("a line end", "/api/site\n"),
                ("a backslash", "/api\\site"),
                ("a semicolon", "/api/site;x"),
                ("a plus", "/api/site?a=1+1"),
                ("another alphabet", "/api/s\u0456te"),
                ("no slash first", "api/site"),
                ("a whole address", "https://vp.example.org/api/site"),
                ("nothing", ""),
            )
        ),
    ]  # fmt: skip


def line_vectors() -> list[Vector]:
    """Return JSON lines, each rewritten byte for byte or refused."""
    good: Sequence[tuple[str, str]] = (
        ("nothing in it", "{}"),
        ("every type", '{"a":[],"b":{},"c":null,"d":true,"e":false,"f":"","g":0}'),
        ("the largest number", '{"a":9007199254740991}'),
        ("keys in byte order", '{"a":1,"a_b":2,"aa":3,"b":4,"sha256":5}'),
        ("a key that objects of JavaScript have of themselves", '{"constructor":1}'),
        ("depth 4", '{"a":[[[1]]]}'),
        ("escapes that must be", '{"a":"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f"}'),
        ("what need not be escaped", '{"a":"/\u007f\u0080\u2028\u2029\ufeff\uffff\U0010ffff"}'),
        ("brackets and quotes in a string", '{"a":"[[[[[[{\\"{{{{"}'),
    )
    bad: Sequence[tuple[str, str]] = (
        ("two keys out of order", '{"b":1,"a":2}'),
        ("keys out of order deeper in", '{"a":{"b":1,"a":2}}'),
        ("a doubled key", '{"a":1,"a":1}'),
        ("a doubled key deeper in", '{"a":[{"b":1,"b":1}]}'),
        ("a doubled key, once escaped", '{"a":1,"\\u0061":1}'),
        ("depth 5 by lists", '{"a":[[[[1]]]]}'),
        ("depth 5 by objects", '{"a":{"a":{"a":{"a":{}}}}}'),
        ("1.0", '{"a":1.0}'),
        ("1e3", '{"a":1e3}'),
        ("1E0", '{"a":1E0}'),
        ("-0", '{"a":-0}'),
        ("-1", '{"a":-1}'),
        ("2^53", '{"a":9007199254740992}'),
        ("a huge number", '{"a":' + "9" * 4000 + "}"),
        ("a huge exponent", '{"a":1e400}'),
        ("+1", '{"a":+1}'),
        ("01", '{"a":01}'),
        ("0x1", '{"a":0x1}'),
        ("1_0", '{"a":1_0}'),
        ("digits of another alphabet", '{"a":\u0661}'),
        ("NaN", '{"a":NaN}'),
        ("Infinity", '{"a":Infinity}'),
        ("a key in capitals", '{"A":1}'),
        ("a key that begins with a digit", '{"1":1}'),
        ("a key with a hyphen", '{"a-b":1}'),
        ("a key with an accent", '{"\u00e9":1}'),
        ("an empty key", '{"":1}'),
        ("__proto__", '{"__proto__":1}'),
        ("a letter escaped", '{"a":"\\u0041"}'),
        ("a slash escaped", '{"a":"\\/"}'),
        ("an escape in capitals", '{"a":"\\u001F"}'),
        ("a short escape written long", '{"a":"\\u000a"}'),
        ("DEL escaped", '{"a":"\\u007f"}'),
        ("a pair of surrogates escaped", '{"a":"\\ud83d\\ude00"}'),
        ("a lone surrogate", '{"a":"\\ud800"}'),
        ("a lone low surrogate", '{"a":"\\udc00"}'),
        ("a raw line end", '{"a":"\n"}'),
        ("a raw tab", '{"a":"\t"}'),
        ("a space first", ' {"a":1}'),
        ("a space last", '{"a":1} '),
        ("a line end last", '{"a":1}\n'),
        ("a space inside", '{"a": 1}'),
        ("a byte order mark", '\ufeff{"a":1}'),
        ("two objects", '{"a":1}{"a":1}'),
        ("a comma too many", '{"a":1,}'),
        ("a comment", '{"a":1/**/}'),
        ("single quotes", "{'a':1}"),
        ("no quotes", "{a:1}"),
        ("a number", "1"),
        ("a string", '"a"'),
        ("null", "null"),
        ("nothing", ""),
        ("an open object", '{"a":1'),
        ("an open string", '{"a":"'),
    )
    raw = (
        ("a byte that is not UTF-8", b'{"a":"\xff"}'),
        ("an overlong letter", b'{"a":"\xc1\x81"}'),
        ("a surrogate in bytes", b'{"a":"\xed\xa0\x80"}'),
        ("a code point beyond the last", b'{"a":"\xf4\x90\x80\x80"}'),
        ("UTF-16", '{"a":1}'.encode("utf-16-le")),
        ("a zero byte last", b'{"a":1}\0'),
    )
    return [
        *(_line(comment, line.encode(), good=True) for comment, line in good),
        *(_line(comment, line.encode(), good=False) for comment, line in bad),
        *(_line(comment, line, good=False) for comment, line in raw),
    ]


def text_vectors() -> list[Vector]:
    """Return texts as typed and as signed."""
    return [
        {"comment": comment, "typed": typed, "expect": signed}
        for comment, typed, signed in (
            ("line ends of three systems", "a\r\nb\rc\nd", "a\nb\nc\nd"),
            ("two of them", "a\r\r\nb\n\rc", "a\n\nb\n\nc"),
            ("a tab stays", "a\tb", "a\tb"),
            ("control characters go", "a\u0000\u0007\u001b[31m\u007f\u0080\u0085\u009fb", "a[31mb"),
            ("what stands above them stays", "\u00a0\u00ad", "\u00a0\u00ad"),
            ("other line ends are text", "a\u2028b\u2029c\u000bd", "a\u2028b\u2029cd"),
            ("nothing is composed", "e\u0301\u00e9\ufb01", "e\u0301\u00e9\ufb01"),
            ("spaces stay", "  a  ", "  a  "),
            ("nothing", "", ""),
        )
    ]


def padme_vectors() -> list[Vector]:
    """Return file lengths and the lengths of their attachments before sealing."""
    sizes = (
        (0, 16384), (1, 16384), (16383, 16384), (16384, 16384), (16385, 17408),
        (100_000, 100_352), (1_048_576, 1_048_576), (1_048_577, 1_081_344),
        (104_857_600, 104_857_600), (2**32 + 1, 2**32 + 2**26), (2**53 - 1, 2**53),
    )  # fmt: skip
    return [{"comment": f"{size} bytes", "size": size, "expect": padded} for size, padded in sizes]


def batch_vectors() -> list[Vector]:
    """Several items in one body; of a body that is refused, ``expect`` is None."""
    good = (
        ("one item", (b"age",)),
        ("three items", (b"age-encryption.org/v1", b"\0", b"age")),
        ("a missing item between two others", (b"first", b"", b"third")),
        ("only a missing item", (b"",)),
        ("a long item", (b"a" * 70_000, b"b")),
        ("as many items as were asked for", (b"x",) * BATCH),
    )
    made: list[Vector] = [
        {"comment": comment, "body": pieces(pack(items)), "expect": [pieces(one) for one in items]}
        for comment, items in good
    ]
    refused = (
        ("no item", b""),
        ("more items than were asked for", pack((b"x",) * (BATCH + 1))),
        ("an incomplete length", pack((b"age",)) + b"\0\0\0"),
        ("an item without its last byte", pack((b"age", b"age"))[:-1]),
        ("a length of 4 GiB", b"\xff\xff\xff\xffage"),
    )
    return made + [
        {"comment": comment, "body": pieces(body), "expect": None} for comment, body in refused
    ]


def second_seal_vectors() -> list[Vector]:
    """Return stored files under their second seal; long ones as the hash of the sealed bytes."""
    key, nonce = secret("second seal"), secret("nonce of the second seal")[:NONCE]
    cases = (
        ("an empty file", b""),
        ("a short file", b"age-encryption.org/v1"),
        ("exactly one chunk", b"a" * CHUNK),
        ("one byte more than a chunk", b"a" * CHUNK + b"b"),
    )
    made = []
    for comment, plain in cases:
        sealed = bytearray()
        writer = PayloadWriter(sealed.extend, key, nonce)
        writer.update(plain)
        writer.finish()
        made.append(
            {
                "comment": comment,
                "key": key.hex(),
                "nonce": nonce.hex(),
                "plain": pieces(plain),
                "begins": bytes(sealed[:64]).hex(),
                "expect": sha256_hex(bytes(sealed)),
            }
        )
    return made


def _code(comment: str, typed: str, words: Sequence[str], *, site: str = SITE) -> Vector:
    root = derive_root(words, site)
    keys = reporter_keys(root)
    expect: Vector = {
        "words": list(words),
        "root": root.hex(),
        "access_token": keys.access_token.hex(),
        "access_id": keys.access,
        "reply_seed": keys.reply.raw.hex(),
        "recipient_sha256": sha256_hex(keys.recipient.raw),
        "recipient_text_sha256": sha256_hex(str(keys.recipient).encode()),
        "signing_seed": keys.signing.seed.hex(),
        "verify": str(keys.verify),
        "mailbox": keys.mailbox,
    }
    return {"comment": comment, "typed": typed, "site": site, "expect": expect}


def _refused(
    comment: str, typed: str, *, words: int | None = None, position: int | None = None,
    near: str | None = None, letter: str | None = None,
) -> Vector:  # fmt: skip
    expect: Vector = {"refused": "word_count", "words": words}
    if letter:
        expect = {"refused": "unknown_letter", "letter": letter}
    elif position:
        expect = {"refused": "unknown_word", "position": position}
    expect |= {"suggested": near} if near else {}
    return {"comment": comment, "typed": typed, "site": SITE, "expect": expect}


def _request(
    comment: str,
    value: str,
    *,
    site: str = SITE,
    method: str = "GET",
    target: str = "/api/desk/inbox?after=17",
    origins: Sequence[str] = (ORIGIN, "https://vp.example.net"),
    good: bool = False,
    refused: str = "",
) -> Vector:
    expect: Vector = {"accepted": good} | ({} if good else {"reason": refused})
    return {
        "comment": comment,
        "authorization": value,
        "site": site,
        "method": method,
        "target": target,
        "origins": list(origins),
        "expect": expect,
    }


def _line(comment: str, line: bytes, *, good: bool) -> Vector:
    return {"comment": comment, "line": pieces(line), "expect": good}


def _wide(letter: str) -> str:
    return chr(ord(letter) - 0x20 + 0xFF00) if letter != " " else "\u3000"


def _bold(letter: str) -> str:
    return chr(ord(letter) - ord("a") + 0x1D41A) if letter != " " else " "
