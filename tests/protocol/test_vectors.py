"""The committed vectors: this implementation gives each listed result (SPEC section 10)."""

import datetime
import io
from typing import Any

import pytest

from dropbox_app.protocol import age, card, desk_request, errors, messages, second_seal, thread
from dropbox_app.protocol.batch import pack, unpack
from dropbox_app.protocol.encoding import clean_text, from_line, sha256_hex, to_line
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import ReporterPublic
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.protocol.retrieval_code import derive_root, read_typed, reporter_keys
from dropbox_app.protocol.stream import PayloadWriter
from tests.vectors.file_cases import FILE_KEY, PAYLOAD_NONCE, parts_of, seal
from tests.vectors.make import DETERMINISTIC, FOLDER, stored, written
from tests.vectors.other_cases import BATCH
from tests.vectors.sealed_cases import ANNA_SEED
from tests.vectors.world import ANNA, MAILBOX, SITE, Vector, join, sealing_seed, unwrap


def each(name: str) -> list[Any]:
    """Return the vectors of a file as separate test cases with their comments."""
    vectors = stored(name)
    assert len({vector["comment"] for vector in vectors}) == len(vectors)
    return [pytest.param(vector, id=vector["comment"]) for vector in vectors]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DETERMINISTIC))
def test_committed_vector_file_matches_the_generator(name: str) -> None:
    """The comparison is byte for byte, so nobody can edit an expectation only in the file."""
    assert (FOLDER / f"{name}.json").read_text("ascii") == written(DETERMINISTIC[name]())


@pytest.mark.parametrize("vector", each("json_lines"))
def test_json_line_is_rewritten_byte_for_byte_or_refused(vector: Vector) -> None:
    line = join(vector["line"])
    if vector["expect"]:
        assert to_line(from_line(line)) == line
    else:
        with pytest.raises(errors.FormatError):
            from_line(line)


@pytest.mark.parametrize("vector", each("texts"))
def test_text_is_cleaned_as_the_vector_specifies(vector: Vector) -> None:
    assert clean_text(vector["typed"]) == vector["expect"]


@pytest.mark.parametrize("vector", each("padme"))
def test_attachment_is_padded_to_the_size_in_the_vector(vector: Vector) -> None:
    assert attachment_size(vector["size"]) == vector["expect"]


@pytest.mark.parametrize("vector", each("second_seal"))
def test_second_seal_matches_vectors(vector: Vector) -> None:
    key, plain, sealed = bytes.fromhex(vector["key"]), join(vector["plain"]), bytearray()
    writer = PayloadWriter(sealed.extend, key, bytes.fromhex(vector["nonce"]))
    writer.update(plain)
    writer.finish()
    assert bytes(sealed[:64]).hex() == vector["begins"]
    assert sha256_hex(bytes(sealed)) == vector["expect"]
    assert b"".join(second_seal.chunks(io.BytesIO(sealed).read, key)) == plain


@pytest.mark.parametrize("vector", each("files"))
def test_file_is_sealed_and_cut_into_the_parts_in_the_vector(vector: Vector) -> None:
    sealed = seal(join(vector["header"]), join(vector["content"]))
    assert len(sealed) == vector["expect"]["length"]
    assert [sha256_hex(part) for part in parts_of(sealed)] == vector["expect"]["parts"]
    assert sha256_hex(sealed) == vector["expect"]["item"]
    assert vector["file_key"] == FILE_KEY.hex()
    assert vector["nonce"] == PAYLOAD_NONCE.hex()


@pytest.mark.parametrize("vector", each("batches"))
def test_batch_matches_vectors(vector: Vector) -> None:
    body = join(vector["body"])
    if vector["expect"] is None:
        with pytest.raises(errors.FormatError):
            unpack(body, BATCH)
        return
    items = [join(item) for item in vector["expect"]]
    assert pack(items) == body
    assert unpack(body, BATCH) == items


@pytest.mark.parametrize("vector", each("codes"))
def test_typed_code_gives_the_keys_or_the_refusal_in_the_vector(vector: Vector) -> None:
    expect = vector["expect"]
    if expect.get("refused") == "word_count":
        with pytest.raises(errors.WrongWordCount) as count:
            read_typed(vector["typed"])
        assert count.value.count == expect["words"]
        return
    if expect.get("refused") == "unknown_letter":
        with pytest.raises(errors.UnknownLetter) as letter:
            read_typed(vector["typed"])
        assert letter.value.letter == expect["letter"]
        return
    if expect.get("refused") == "unknown_word":
        with pytest.raises(errors.UnknownWord) as unknown:
            read_typed(vector["typed"])
        assert unknown.value.position == expect["position"]
        if "suggested" in expect:
            assert expect["suggested"] in unknown.value.suggestions
        return
    words = read_typed(vector["typed"])
    root = derive_root(words, vector["site"])
    keys = reporter_keys(root)
    assert list(words) == expect["words"]
    assert root.hex() == expect["root"]
    assert keys.access_token.hex() == expect["access_token"]
    assert keys.access == expect["access_id"]
    assert keys.reply.raw.hex() == expect["reply_seed"]
    assert sha256_hex(keys.recipient.raw) == expect["recipient_sha256"]
    assert sha256_hex(str(keys.recipient).encode()) == expect["recipient_text_sha256"]
    assert keys.signing.seed.hex() == expect["signing_seed"]
    assert str(keys.verify) == expect["verify"]
    assert keys.mailbox == expect["mailbox"]


@pytest.mark.parametrize("vector", each("cards"))
def test_card_is_accepted_with_its_keys_or_refused_for_the_reason_in_the_vector(
    vector: Vector,
) -> None:
    accept, expect, raw = vector["accept"], vector["expect"], join(vector["card"])
    current = None if accept["current"] is None else card.parse(join(accept["current"]))
    pinned = VerifyKey.parse(accept["pinned"])
    if not expect["accepted"]:
        with pytest.raises(errors.CardError, match=expect["reason"]):
            card.accept(raw, site=accept["site"], pinned=pinned, current=current)
        return
    accepted = card.accept(raw, site=accept["site"], pinned=pinned, current=current)
    assert accepted.serial == expect["serial"]
    for day, first in expect["sealing_on"].items():
        wanted = None
        if first is not None:
            month = datetime.date.fromisoformat(first).replace(day=1)
            wanted = sealing_seed("anna", month).recipient()
        assert accepted.sealing_key(datetime.date.fromisoformat(day)) == wanted


@pytest.mark.parametrize("vector", each("messages"))
def test_message_is_parsed_or_refused_as_the_vector_specifies(vector: Vector) -> None:
    plaintext, expect = join(vector["plaintext"]), vector["expect"]
    if not expect["read"]:
        with pytest.raises((errors.FormatError, errors.MessageError)):
            messages.parse(plaintext)
        return
    message = messages.parse(plaintext)
    assert len(plaintext) == expect["size"]
    assert (message.by, message.n, message.kind) == (expect["by"], expect["n"], expect["kind"])
    assert sha256_hex(message.text.encode()) == expect["text_sha256"]
    assert message.digest == expect["digest"]


@pytest.mark.parametrize("vector", each("threads"))
def test_mailbox_is_shown_as_the_vector_specifies(vector: Vector) -> None:
    shown = read_vector(vector)
    expect = vector["expect"]
    assert [[e.item, e.state, e.reason] for e in shown.entries] == expect["entries"]
    assert {by: list(numbers) for by, numbers in shown.gaps.items()} == expect["gaps"]
    assert shown.missing_beginning == expect["missing_beginning"]
    assert shown.withheld == expect["withheld"]
    passed_on = {file["item"] for file in vector["arrived"] if file["passed_on"]}
    assert {entry.item for entry in shown.entries if entry.passed_on} <= passed_on


@pytest.mark.parametrize("vector", each("threads"))
def test_arrival_order_does_not_change_genuine_messages(
    vector: Vector,
) -> None:
    there = read_vector(vector)
    back = read_vector({**vector, "arrived": vector["arrived"][::-1]})
    shown = [
        [(e.state, e.message.line) for e in one.entries if e.genuine and e.message]
        for one in (there, back)
    ]
    assert shown[0] == shown[1]
    assert there.newest == back.newest
    assert (there.gaps, there.withheld) == (back.gaps, back.withheld)


def read_vector(vector: Vector) -> thread.Thread:
    """Return the mailbox of a vector as the reader reads it."""
    own, pins = vector["reporter"], vector["pins"]
    return thread.read(
        [
            thread.Arrived(
                file["item"],
                join(file["plaintext"]) if "plaintext" in file else None,
                file.get("fault", ""),
                file["passed_on"],
            )
            for file in vector["arrived"]
        ],
        site=vector["site"],
        mailbox=vector["mailbox"],
        viewer=VerifyKey.parse(vector["viewer"]) if vector["viewer"] else None,
        reporter=ReporterPublic(own["recipient"], VerifyKey.parse(own["verify"])) if own else None,
        pins=thread.Pins(
            pins["verify"],
            pins["recipient"],
            {by: (n, digest) for by, (n, digest) in pins["newest"].items()},
        )
        if pins
        else None,
    )


@pytest.mark.parametrize("vector", each("sealed"))
def test_sealed_file_opens_or_fails_as_the_vector_specifies(vector: Vector) -> None:
    """Each file is tried with age, with the server's shape check, and with the thread reader."""
    sealed, expect = unwrap(vector["sealed"]), vector["expect"]
    if expect["age"] == "opens":
        assert age.open_sealed(sealed, [ANNA_SEED])
    else:
        with pytest.raises(getattr(errors, expect["age"])):
            age.open_sealed(sealed, [ANNA_SEED])
    if expect["shape_of_two"]:
        age.check_shape(sealed, len(sealed), 2, "messages")
    else:
        with pytest.raises(errors.HeaderFailure):
            age.check_shape(sealed, len(sealed), 2, "messages")
    arrived = thread.open_item(vector["item"], sealed, [ANNA_SEED])
    shown = thread.read([arrived], site=SITE, mailbox=MAILBOX, viewer=ANNA.verify_key)
    (entry,) = shown.entries
    good = expect["reader"] == "verified"
    assert (entry.state, entry.reason) == (
        ("verified", "") if good else ("unverified", expect["reader"])
    )


@pytest.mark.parametrize("vector", each("sealed"))
def test_sealed_file_under_a_different_id_is_not_opened(vector: Vector) -> None:
    sealed = unwrap(vector["sealed"])
    assert thread.open_item("00" * 32, sealed, [ANNA_SEED]).fault == "other_file"


@pytest.mark.parametrize("vector", each("desk_requests"))
def test_desk_request_is_accepted_or_refused_for_the_reason_in_the_vector(vector: Vector) -> None:
    """The server itself checks the token's age, the identity and the body."""

    def check() -> None:
        desk_request.check(
            desk_request.parse_header(vector["authorization"]),
            origins=vector["origins"],
            site=vector["site"],
            method=vector["method"],
            target=vector["target"],
        )

    if vector["expect"]["accepted"]:
        check()
    else:
        with pytest.raises(errors.RequestError, match=vector["expect"]["reason"]):
            check()
