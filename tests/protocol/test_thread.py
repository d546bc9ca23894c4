"""The thread reader: trusts only signed lines and never crashes (SPEC section 4)."""

import datetime
import random
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import age, messages, thread
from dropbox_app.protocol.encoding import Json, sha256_hex, to_line
from dropbox_app.protocol.errors import AgeError, FormatError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import REPORTER, ReporterPublic
from tests.vectors.sealed_cases import ANNA_SEED, BRAM_SEED, under_the_same_header
from tests.vectors.world import (
    ANNA,
    BRAM,
    CHRIS,
    DAY,
    MAILBOX,
    REPORTER_KEYS,
    SITE,
    counsellor,
    counsellor_fields,
    digest,
    from_reporter,
    identities,
    reporter_fields,
    signed,
)

if TYPE_CHECKING:
    from _typeshed import TraceFunction

OWN = ReporterPublic(str(REPORTER_KEYS.recipient), REPORTER_KEYS.verify)
BOTH = (ANNA, BRAM)
R1 = reporter_fields(1, to=BOTH)
R2 = reporter_fields(2, to=BOTH, prev=digest(R1), day="2026-03-13")
A1 = counsellor_fields(1, to=BOTH, day="2026-03-11")
B1 = counsellor_fields(1, by=BRAM, to=BOTH, day="2026-03-12", seen=[{"by": REPORTER, "n": 1}])
WHOLE = [from_reporter(R1), signed(A1, ANNA), signed(B1, BRAM), from_reporter(R2)]


def read(
    plaintexts: Sequence[bytes | None],
    *,
    viewer: VerifyKey | None = ANNA.verify_key,
    pins: thread.Pins | None = None,
) -> thread.Thread:
    """Return the thread of files that arrived under the ids 0, 1, 2 …"""
    return thread.read(
        [
            thread.Arrived(str(at), plaintext, "" if plaintext is not None else "no_key")
            for at, plaintext in enumerate(plaintexts)
        ],
        site=SITE,
        mailbox=MAILBOX,
        viewer=viewer,
        reporter=None if viewer else OWN,
        pins=pins,
    )


# Hostile input.


@given(st.sampled_from(range(len(WHOLE))), st.data())
def test_message_with_any_byte_of_line_1_changed_is_never_shown_as_genuine(
    which: int, data: st.DataObject
) -> None:
    plaintext = bytearray(WHOLE[which])
    at = data.draw(st.integers(0, plaintext.index(b"\n") - 1))
    plaintext[at] ^= data.draw(st.integers(1, 255))
    arrived = [*WHOLE[:which], bytes(plaintext), *WHOLE[which + 1 :]]
    for viewer in (ANNA.verify_key, None):
        shown = read(arrived, viewer=viewer)
        assert len(shown.entries) == len(WHOLE)
        (entry,) = [entry for entry in shown.entries if entry.item == str(which)]
        assert not entry.genuine
        assert entry.state in ("unverified", "not_addressed")
        assert entry.reason
        assert shown.entries[-1] == entry


@given(st.lists(st.binary(max_size=300) | st.none() | st.sampled_from(WHOLE), max_size=8))
def test_every_file_is_shown_once_regardless_of_its_contents(
    plaintexts: list[bytes | None],
) -> None:
    shown = read(plaintexts)
    genuine = [entry for entry in shown.entries if entry.genuine]
    assert len({e.message.line for e in genuine if e.message}) == len(genuine)
    copies = {entry.item for entry in shown.entries}
    for at, plaintext in enumerate(plaintexts):
        if plaintext not in WHOLE:
            assert str(at) in copies


HOSTILE: st.SearchStrategy[Json] = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2**53 - 1), st.text(max_size=10),
    st.sampled_from([[], {}, ["a"], [{}], identities(ANNA), identities(BRAM, ANNA, CHRIS),
                     str(ANNA.verify_key), REPORTER, "ab" * 32, SITE, "2999-12-31", "2000-01-01"]),
)  # fmt: skip


@given(st.booleans(), st.data())
def test_hostile_author_crashes_no_reader(by_reporter: bool, data: st.DataObject) -> None:
    """The reporter or a counsellor signs arbitrary fields, between valid messages."""
    base = reporter_fields(3, to=BOTH, prev=digest(R2)) if by_reporter else dict(A1)
    fields = dict(base)
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(sorted({*base, "prev", "thread", "status", "request"})))
        fields[name] = data.draw(HOSTILE)
    if data.draw(st.booleans()):
        fields["kind"] = data.draw(st.sampled_from([*messages.KINDS, "newer"]))
    if data.draw(st.booleans()):
        by = data.draw(st.sampled_from([REPORTER, *identities(*BOTH), *identities(CHRIS)]))
        fields["seen"] = [{"by": by, "n": data.draw(st.integers(1, 2**53 - 1))}]
    try:
        hostile = signed(fields, REPORTER_KEYS.signing if by_reporter else ANNA)
    except FormatError:
        return
    for viewer in (ANNA.verify_key, BRAM.verify_key, None):
        shown = read([*WHOLE, hostile], viewer=viewer)
        assert shown.entries
        _ = (shown.wanted, shown.former, shown.to, shown.withdrawn, shown.answers("ab" * 32))
        assert len(thread.write_passed_on(shown)) > 0
        read([*WHOLE, hostile], viewer=viewer, pins=shown.pins())


def test_forgery_by_a_co_recipient_opens_but_is_not_trusted() -> None:
    """Bram reuses the header of a report to both, and seals another text under it."""
    recipients = [REPORTER_KEYS.recipient, ANNA_SEED.recipient(), BRAM_SEED.recipient()]
    genuine = age.seal(WHOLE[0], recipients)
    altered = WHOLE[0].replace(b"Het begon in maart.", b"Het is mijn schuld.")
    forged = under_the_same_header(genuine, altered, BRAM_SEED)
    assert forged[: age.parse_header(genuine).length] == genuine[: age.parse_header(genuine).length]
    assert age.open_sealed(forged, [ANNA_SEED]) == altered
    shown = thread.read(
        [thread.open_item(sha256_hex(one), one, [ANNA_SEED]) for one in (forged, genuine)],
        site=SITE,
        mailbox=MAILBOX,
        viewer=ANNA.verify_key,
    )
    assert [(e.state, e.reason) for e in shown.entries] == [
        ("verified", ""),
        ("unverified", "signature"),
    ]
    # The old id does not hide it either.
    assert thread.open_item(sha256_hex(genuine), forged, [ANNA_SEED]).fault == "other_file"


def test_message_sealed_to_a_reader_whom_it_does_not_name_is_detected() -> None:
    """The message is also sealed to Bram, although it claims to be for Anna alone."""
    to_anna = from_reporter(reporter_fields(1))
    recipients = [REPORTER_KEYS.recipient, ANNA_SEED.recipient(), BRAM_SEED.recipient()]
    sealed = age.seal(to_anna, recipients)
    arrived = thread.open_item(sha256_hex(sealed), sealed, [ANNA_SEED])
    shown = thread.read([arrived], site=SITE, mailbox=MAILBOX, viewer=ANNA.verify_key)
    assert [(e.state, e.reason) for e in shown.entries] == [("unverified", "header")]


@given(st.data())
def test_sealed_file_with_any_byte_changed_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(SEALED)
    at = data.draw(st.one_of(st.integers(0, 4000), st.integers(0, len(sealed) - 1)))
    sealed[at] ^= data.draw(st.integers(1, 255))
    raw = bytes(sealed)
    arrived = thread.open_item(sha256_hex(raw), raw, [ANNA_SEED])
    assert arrived.plaintext is None
    assert arrived.fault in ("header", "header_mac", "no_key", "payload")
    with pytest.raises(AgeError):
        age.open_sealed(raw, [ANNA_SEED])


SEALED = age.seal(WHOLE[0], [REPORTER_KEYS.recipient, ANNA_SEED.recipient()])


def test_newest_reporter_message_is_independent_of_arrival_order() -> None:
    """Otherwise a server could choose the recipients of a reply by the order of its response."""
    other = reporter_fields(
        2, to=(ANNA,), prev=digest(R1), day="2026-03-13", former=identities(BRAM)
    )
    conflict = [WHOLE[0], WHOLE[3], from_reporter(other)]
    there, back = read(conflict), read(conflict[::-1])
    assert [e.state for e in there.entries] == ["verified", "conflict", "conflict"]
    assert there.wanted == back.wanted
    assert there.newest == back.newest


def test_accepted_recipient_is_kept_regardless_of_arrival_order() -> None:
    """A second recipient neither redirects answers nor invalidates earlier messages."""
    other: Json = {"recipient": str(BRAM_SEED.recipient()), "verify": str(REPORTER_KEYS.verify)}
    redirected = from_reporter({**R2, "reporter": other})
    for order in ([WHOLE[0], redirected], [redirected, WHOLE[0]]):
        shown = read(order)
        assert shown.reporter == OWN
        again = read(order, pins=shown.pins())
        assert [e.state for e in again.entries] == [e.state for e in shown.entries]
        assert again.entries == shown.entries


def test_forged_older_report_does_not_set_the_recipient() -> None:
    """Only a message signed with the reporter's key sets it."""
    other: Json = {"recipient": str(BRAM_SEED.recipient()), "verify": str(REPORTER_KEYS.verify)}
    forged = signed({**R1, "reporter": other}, BRAM)
    shown = read([forged, WHOLE[3]])
    assert shown.reporter == OWN
    assert [e.state for e in shown.entries] == ["verified", "unverified"]


# Stored pins and forwarded threads.


def test_removed_or_replaced_items_raise_an_alarm() -> None:
    pins = read(WHOLE).pins()
    assert pins is not None
    assert read(WHOLE, pins=pins) == read(WHOLE)
    assert read(WHOLE[:3], pins=pins).withheld == {REPORTER: 2}
    assert read([], pins=pins).withheld == {by: n for by, (n, _) in pins.newest.items()}
    replaced = from_reporter({**R2, "text": "Anders."})
    assert [e.state for e in read([*WHOLE[:3], replaced], pins=pins).entries][-1] == "conflict"


def test_forwarded_thread_reads_like_the_original() -> None:
    whole = read(WHOLE, viewer=None)
    contents = thread.write_passed_on(whole)
    seen: list[Json] = [{"by": by, "n": 1} for by in identities(*BOTH)]
    to_chris = reporter_fields(
        3,
        to=(CHRIS,),
        prev=digest(R2),
        former=identities(*BOTH),
        thread="ab" * 32,
        day="2026-03-20",
        seen=seen,
    )
    arrived = [thread.Arrived("r3", from_reporter(to_chris)), *thread.read_passed_on("t", contents)]
    shown = thread.read(arrived, site=SITE, mailbox=MAILBOX, viewer=CHRIS.verify_key)
    lines = [message.line for message in shown.genuine()]
    assert lines == [*(message.line for message in whole.genuine()), to_line(to_chris)]
    assert [entry.passed_on for entry in shown.entries] == [True] * 4 + [False]
    assert {entry.state for entry in shown.entries} == {"verified"}
    assert not shown.gaps
    assert not shown.withheld
    # Chris forwards it again, with the same result.
    assert thread.write_passed_on(shown).startswith(contents)


@given(st.data())
def test_altered_forwarded_thread_shows_no_false_message_as_genuine(
    data: st.DataObject,
) -> None:
    contents = bytearray(thread.write_passed_on(read(WHOLE, viewer=None)))
    true_lines = {plaintext.split(b"\n")[0] for plaintext in WHOLE}
    for _ in range(data.draw(st.integers(1, 3))):
        contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        arrived = thread.read_passed_on("t", bytes(contents))
    except FormatError:
        return
    shown = thread.read(arrived, site=SITE, mailbox=MAILBOX, viewer=CHRIS.verify_key)
    assert {message.line for message in shown.genuine()} <= true_lines
    assert len(shown.entries) == len(arrived)


@given(st.binary(max_size=300) | st.lists(st.sampled_from([b"a", b"{}", b""])).map(b"\n".join))
def test_arbitrary_forwarded_contents_are_split_or_refused(contents: bytes) -> None:
    try:
        arrived = thread.read_passed_on("t", contents)
    except FormatError:
        return
    shown = thread.read(arrived, site=SITE, mailbox=MAILBOX, viewer=CHRIS.verify_key)
    assert {entry.state for entry in shown.entries} == {"unverified"}


@pytest.mark.parametrize("contents", [b"", b"a", b"a\n", b"a\nb", b"a\nb\nc\n", b"\n" * 4_000_000])
def test_malformed_or_excessive_line_pairs_are_refused_before_filling_memory(
    contents: bytes,
) -> None:
    """Otherwise a hundred megabytes of line ends would become fifty million padded messages."""
    with pytest.raises(FormatError):
        thread.read_passed_on("t", contents)


def test_overlong_line_fails_without_affecting_other_messages() -> None:
    good = thread.write_passed_on(read(WHOLE[:1], viewer=None))
    arrived = thread.read_passed_on("t", good + b"x" * 200_000 + b"\n" + b"y" * 88 + b"\n")
    assert [one.fault for one in arrived] == ["", "form"]


# The amount of work.


def crowd(authors: int) -> list[bytes]:
    """Return a thread that a hostile reporter forged alone, with as many counsellors as authors."""
    keys = [counsellor(f"crowd {number}") for number in range(authors)]
    written, previous = [], ""
    for n, at in enumerate(range(0, authors, 25), start=1):
        these = keys[at : at + 25]
        fields = reporter_fields(n, to=these[:5], former=identities(*these[5:]))
        fields |= {"prev": previous} if previous else {}
        previous = digest(fields)
        written.append(from_reporter(fields))
        for at_all, key in enumerate(these):
            # Each claims to have seen the next one's message, and the last the first's.
            other = str(these[(at_all + 1) % len(these)].verify_key)
            seen: list[Json] = [{"by": other, "n": 1}, {"by": REPORTER, "n": n}]
            written.append(signed(counsellor_fields(1, by=key, seen=seen), key))
    return written


@pytest.mark.slow
def test_ordering_a_thousand_authors_takes_constant_work_per_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The work for each message is constant, however many authors a hostile thread has."""
    verified = [0]
    verify = VerifyKey.verify

    def counting_verify(key: VerifyKey, signature: bytes, data: bytes) -> bool:
        verified[0] += 1
        return verify(key, signature, data)

    few, many = _work_of(crowd(200)), _work_of(crowd(1000))
    assert many < 1.2 * few
    monkeypatch.setattr(VerifyKey, "verify", counting_verify)
    plaintexts = crowd(1000)
    shown = _passed_on(plaintexts)
    assert {entry.state for entry in shown.entries} == {"verified"}
    assert len(shown.entries) == len(plaintexts) == 1040
    assert verified[0] <= len(plaintexts) + 1
    # Only the newest thousand are passed on, and these can be read.
    arrived = thread.read_passed_on("t", thread.write_passed_on(shown))
    assert len(arrived) == thread.MAX_PASSED_ON
    assert arrived[-1].plaintext == next(
        plaintexts[int(entry.item)] for entry in shown.entries[::-1]
    )


def _passed_on(plaintexts: Sequence[bytes]) -> thread.Thread:
    return thread.read(
        [thread.Arrived(str(at), one, passed_on=True) for at, one in enumerate(plaintexts)],
        site=SITE,
        mailbox=MAILBOX,
        viewer=ANNA.verify_key,
    )


def _work_of(plaintexts: Sequence[bytes]) -> float:
    """Return how many instructions the reader's own code runs for a message of this thread."""
    count = [0]

    def step(frame: FrameType, event: str, _: object) -> "TraceFunction | None":
        if frame.f_code.co_filename != thread.__file__:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        count[0] += event == "opcode"
        return step

    former = sys.gettrace()
    sys.settrace(step)
    try:
        _passed_on(plaintexts)
    finally:
        sys.settrace(former)
    return count[0] / len(plaintexts)


def test_highest_possible_message_numbers_do_not_create_long_lists() -> None:
    high = 2**53 - 1
    seen: list[Json] = [{"by": by, "n": high} for by in identities(*BOTH)]
    fields = reporter_fields(high, to=BOTH, prev=digest(R1), seen=seen)
    shown = read([*WHOLE[:3], from_reporter(fields)])
    assert shown.gaps == {REPORTER: (2, high - 1)}
    assert shown.withheld == {str(key.verify_key): high for key in BOTH}
    far = [from_reporter(reporter_fields(1 + 99 * k, prev="ab" * 32)) for k in range(1, 50)]
    assert sum(map(len, read(far).gaps.values())) <= 99 * 50


# Order.


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Json]]:
    """Return up to a dozen messages of three authors that claim to have seen anything."""
    count = {REPORTER: 0, str(ANNA.verify_key): 0, str(BRAM.verify_key): 0}
    written = []
    for by in [REPORTER, *draw(st.lists(st.sampled_from(sorted(count)), max_size=11))]:
        count[by] += 1
        others = draw(st.lists(st.sampled_from(sorted(count)), unique=True))
        day = DAY + datetime.timedelta(days=draw(st.integers(0, 3)))
        more: dict[str, Json] = {
            "seen": [{"by": other, "n": draw(st.integers(1, 5))} for other in others],
            "day": day.isoformat(),
        }
        more |= {"prev": "ab" * 32} if count[by] > 1 else {}
        if by == REPORTER:
            written.append(reporter_fields(count[by], to=BOTH) | more)
        else:
            signing = ANNA if by == str(ANNA.verify_key) else BRAM
            written.append(counsellor_fields(count[by], by=signing, to=BOTH) | more)
    return written


@given(histories(), st.randoms(use_true_random=False))
def test_order_matches_a_literal_implementation_of_the_rule(
    history: list[dict[str, Json]], shuffler: random.Random
) -> None:
    """A message follows all that its author had seen; then by day, the reporter before others."""
    entries = [_genuine(fields) for fields in history]
    expected = [entry.message for entry in _slowly(entries)]
    assert [entry.message for entry in thread.ordered(entries)] == expected
    shuffled = list(entries)
    shuffler.shuffle(shuffled)
    assert [entry.message for entry in thread.ordered(shuffled)] == expected


def _genuine(fields: dict[str, Json]) -> thread.Entry:
    signing = REPORTER_KEYS.signing
    message = messages.parse(signed(fields, signing))
    return thread.Entry(message.digest, message, "verified")


def _slowly(entries: Sequence[thread.Entry]) -> Iterator[thread.Entry]:
    """Apply the rule literally, checking every remaining message at each step."""
    left = [(entry, entry.message) for entry in entries if entry.message]
    while left:
        heads = [
            (entry, message)
            for entry, message in left
            if not any(m.by == message.by and m.n < message.n for _, m in left)
        ]
        heads.sort(key=lambda pair: (pair[1].day, pair[1].by != REPORTER, pair[1].by))
        ready = [
            pair
            for pair in heads
            if not any(
                m.by == by and m.n <= n and by != pair[1].by
                for by, n in pair[1].seen
                for _, m in left
            )
        ]
        first = (ready or heads)[0]
        left.remove(first)
        yield first[0]


def test_withdrawal_and_answers_to_a_consent_request_are_found() -> None:
    request = counsellor_fields(1, to=BOTH) | {"kind": "consent-request", "step": "a", "with": "b"}
    request |= {"scope": "c"}
    answer = reporter_fields(2, to=BOTH, prev=digest(R1)) | {"kind": "consent-answer"}
    answer |= {"request": digest(request), "answer": "yes"}
    withdrawal = reporter_fields(3, to=BOTH, prev=digest(answer)) | {"kind": "withdrawal"}
    before = read([WHOLE[0], signed(request, ANNA), from_reporter(answer)])
    assert [message.body["answer"] for message in before.answers(digest(request))] == ["yes"]
    assert before.answers(digest(A1)) == ()
    assert not before.withdrawn
    forged = signed(withdrawal, BRAM)
    assert not read([WHOLE[0], forged]).withdrawn
    assert read([WHOLE[0], from_reporter(withdrawal)]).withdrawn


def test_message_is_verified_only_for_its_own_mailbox_and_site() -> None:
    """Replayed elsewhere, it is reported as foreign."""
    for site, mailbox, reason in (
        ("ab" * 16, MAILBOX, "other_site"),
        (SITE, "ab" * 32, "other_mailbox"),
    ):
        arrived = [thread.Arrived("0", WHOLE[0])]
        shown = thread.read(arrived, site=site, mailbox=mailbox, viewer=ANNA.verify_key)
        assert [(e.state, e.reason) for e in shown.entries] == [("unverified", reason)]
        assert shown.reporter is None
        assert shown.pins() is None
