"""Python opens files that the browser's client sealed, and the client opens Python's."""

import base64
import datetime
import secrets

import pytest

from dropbox_app.protocol import age, messages, thread, writing
from dropbox_app.protocol.card import parse
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.retrieval_code import reporter_keys
from tests.browser.conftest import Answer, Ask
from tests.vectors.world import ANNA, BRAM, DAY, SITE, issue_card, sealing_seed

ROOT = bytes(range(32))
KEYS = reporter_keys(ROOT)
CARDS = [issue_card("anna"), issue_card("bram")]
SEED = sealing_seed("anna", DAY.replace(day=1))
ANSWERS: dict[str, Json] = {"topics": ["bullying", "other"], "safe": "yes"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def written(client: Ask, before: list[bytes], kind: str, body: object, **more: object) -> Answer:
    """Return the client's next message after those in ``before``."""
    return client("write", **{
        "root": ROOT.hex(), "site": SITE,
        "items": [[sha256_hex(one), b64(one)] for one in before],
        "cards": [card.decode() for card in CARDS], "day": DAY.isoformat(), "lang": "nl",
        "wanted": [str(ANNA.verify_key)] if not before else None, "kind": kind, "body": body,
        **more,
    })  # fmt: skip


def at_the_desk(sealed: list[bytes]) -> thread.Thread:
    """Return the thread as Anna's desk reads it."""
    arrived = [thread.open_item(sha256_hex(one), one, [SEED]) for one in sealed]
    viewer = ANNA.verify_key
    return thread.read(arrived, site=SITE, mailbox=KEYS.mailbox, viewer=viewer)


def reply(sealed: list[bytes], text: str) -> bytes:
    """Return a sealed reply by Anna."""
    draft = writing.from_counsellor(
        ANNA, site=SITE, day=DAY, lang="nl", kind="reply", body={"text": text},
        thread=at_the_desk(sealed), cards=[parse(card) for card in CARDS],
    )  # fmt: skip
    return draft.seal()


@pytest.mark.parametrize(
    "text", ["Het begon in maart.", "é\r\n\u2028 ☂ \x07 \U0001f600", "x" * 50_000]
)
def test_desk_verifies_report_sealed_by_client(client: Ask, text: str) -> None:
    made = written(client, [], "report", {"text": text, "answers": ANSWERS})
    sealed = base64.b64decode(made["sealed"])
    assert (made["n"], made["to"], made["leftOut"]) == (1, [str(ANNA.verify_key)], [])
    age.check_shape(sealed, len(sealed), 2, "messages")
    (entry,) = at_the_desk([sealed]).entries
    assert entry.state == "verified"
    assert entry.message is not None
    assert entry.message.text == text.replace("\r\n", "\n").replace("\x07", "")
    assert entry.message.body["answers"] == ANSWERS


def test_client_and_desk_read_each_others_messages(client: Ask) -> None:
    """The client reports, the desk replies and the client answers; every message is verified."""
    first = base64.b64decode(
        written(client, [], "report", {"text": "Een.", "answers": {}})["sealed"]
    )
    answer = reply([first], "Dank je.\u2028Noor")
    made = written(client, [first, answer], "message", {"text": "Twee."})
    second = base64.b64decode(made["sealed"])
    sealed = [first, answer, second]
    seen = at_the_desk(sealed)
    assert [entry.state for entry in seen.entries] == ["verified"] * 3
    last = seen.newest[messages.REPORTER]
    assert last.seen == ((str(ANNA.verify_key), 1),)
    items = [[sha256_hex(one), b64(one)] for one in sealed]
    read = client("read", root=ROOT.hex(), site=SITE, items=items)
    assert [entry["text"] for entry in read["entries"]] == ["Een.", "Dank je.\u2028Noor", "Twee."]
    pins = seen.pins()
    assert pins is not None
    assert read["pins"]["newest"] == {by: list(one) for by, one in pins.newest.items()}
    assert read["token"] == KEYS.access_token.hex()


def test_client_and_server_write_the_same_message_bytes(client: Ask) -> None:
    """The bytes are equal, so nobody can tell which of the two wrote a message."""
    own = [parse(card) for card in CARDS]
    wanted = [ANNA.verify_key, BRAM.verify_key]
    body: dict[str, Json] = {"text": "a\r\nb\x85", "answers": ANSWERS}
    draft = writing.from_reporter(
        KEYS, site=SITE, day=DAY, lang="nl", kind="report", body=body, thread=None,
        wanted=wanted, cards=own,
    )  # fmt: skip
    made = written(client, [], "report", body, wanted=[str(one) for one in wanted])
    opened = age.open_sealed(base64.b64decode(made["sealed"]), [KEYS.reply])
    assert opened == draft.plaintext


def test_counsellor_without_a_current_key_is_not_made_a_recipient(client: Ask) -> None:
    later = DAY + datetime.timedelta(days=400)
    with pytest.raises(Exception, match="valid sealing key"):
        written(client, [], "report", {"text": "x", "answers": {}}, day=later.isoformat())
    wanted = [str(ANNA.verify_key), str(BRAM.verify_key)]
    only = [CARDS[0].decode()]
    made = written(client, [], "report", {"text": "x", "answers": {}}, wanted=wanted, cards=only)
    assert (made["to"], made["leftOut"]) == (wanted[:1], wanted[1:])


def test_card_from_another_site_is_refused(client: Ask) -> None:
    foreign = issue_card("anna", site="ff" * 16).decode()
    with pytest.raises(Exception, match="valid sealing key"):
        written(client, [], "report", {"text": "x", "answers": {}}, cards=[foreign])


@pytest.mark.parametrize("length", [0, 1, 65_536, 65_537])
def test_sealed_files_open_in_client_and_in_python(client: Ask, length: int) -> None:
    seed = Seed.generate()
    content = secrets.token_hex(length)[:length]
    there = base64.b64decode(client("seal", text=content, recipients=[str(seed.recipient())]))
    assert age.open_sealed(there, [seed]) == content.encode()
    here = age.seal(content.encode(), [seed.recipient()])
    opened = client("open", sealed=b64(here), seed=seed.raw.hex())
    assert opened == {"plaintext": b64(content.encode()), "recipients": 1}


def test_error_for_a_truncated_file_names_the_part_where_the_file_ends(peer: Ask) -> None:
    """The fault is in the header up to the end of the nonce, and in the payload after it."""
    seed = Seed.generate()
    sealed = age.seal(b"x" * 100, [seed.recipient()])
    header = age.header_length(1)
    faults = {0: "header", header: "header", header + 15: "header", header + 16: "payload",
              len(sealed) - 1: "payload", len(sealed): ""}  # fmt: skip
    for length, fault in faults.items():
        assert peer("fault", sealed=b64(sealed[:length]), seed=seed.raw.hex()) == fault, length


def test_client_and_python_show_the_same_fingerprint(client: Ask) -> None:
    identity = ANNA.verify_key
    assert client("fingerprint", identity=str(identity)) == identity.fingerprint()


def test_code_words_are_drawn_uniformly(client: Ask) -> None:
    """Three words, 7,000 draws: about 2,333 each; a difference of 200 is over five sigma."""
    drawn = client("draws", words=["aap", "noot", "mies"], codes=1_000)
    assert sum(drawn.values()) == 7_000
    assert all(abs(count - 7_000 / 3) < 200 for count in drawn.values())


def test_message_signed_with_the_key_of_another_conversation_is_not_verified(client: Ask) -> None:
    first = base64.b64decode(written(client, [], "report", {"text": "x", "answers": {}})["sealed"])
    items = [[sha256_hex(first), b64(first)]]
    read = client("read", root="11" * 32, site=SITE, items=items)
    assert [(entry["state"], entry["reason"]) for entry in read["entries"]] == [
        ("unverified", "no_key")
    ]
