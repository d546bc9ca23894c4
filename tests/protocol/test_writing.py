"""Writers: their output reads back and is sealed to the stated recipients (SPEC section 4)."""

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import card, thread, writing
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.errors import FormatError, MessageError, NobodyToWriteTo, TooLong
from dropbox_app.protocol.keys import SigningKey, VerifyKey
from dropbox_app.protocol.messages import MAX_FORMER, REPORTER, Attachment, ReporterPublic, parse
from tests.vectors.world import (
    ANNA,
    BRAM,
    CHRIS,
    DAY,
    MAILBOX,
    OTHER_SITE,
    REPORTER_KEYS,
    SITE,
    counsellor,
    issue_card,
    sealing_seed,
)

NAMES = ("anna", "bram", "chris")
KEYS = {"anna": ANNA, "bram": BRAM, "chris": CHRIS}
# Anna has keys from February to September, Bram until March, and Chris from March on.
CARDS = {
    "anna": card.parse(issue_card("anna", count=8)),
    "bram": card.parse(issue_card("bram", day=datetime.date(2025, 12, 15), count=5)),
    "chris": card.parse(issue_card("chris", day=datetime.date(2026, 4, 20), count=6)),
}
START = datetime.date(2026, 2, 10)
OWN = ReporterPublic(str(REPORTER_KEYS.recipient), REPORTER_KEYS.verify)
WANTED = st.sets(st.sampled_from(NAMES), min_size=1).map(sorted)


def can_be_written_to(name: str, day: datetime.date) -> bool:
    """Return whether the counsellor has a key for the day, by the months above."""
    months = {"anna": range(2, 10), "bram": range(1, 4), "chris": range(3, 9)}
    return day.month in months[name]


@dataclass
class Mailbox:
    """A mailbox in which each message reaches the people to whom it is sealed."""

    day: datetime.date = START
    drafts: list[writing.Draft] = field(default_factory=list)

    def seen_by(self, signing: SigningKey | None) -> thread.Thread:
        """Return what the reporter (None) or a counsellor has."""
        return thread.read(
            [
                thread.Arrived(str(at), draft.plaintext)
                for at, draft in enumerate(self.drafts)
                if signing is None
                or signing.verify_key in draft.to
                or parse(draft.plaintext).by == str(signing.verify_key)
            ],
            site=SITE,
            mailbox=MAILBOX,
            viewer=signing.verify_key if signing else None,
            reporter=None if signing else OWN,
        )

    def report(self, wanted: Sequence[str] | None, **more: Json) -> writing.Draft:
        """Return the reporter's next message, based on what the reporter has."""
        first = not self.drafts
        body: dict[str, Json] = {"text": f"R {len(self.drafts)}\r\n", **more}
        return writing.from_reporter(
            REPORTER_KEYS,
            site=SITE,
            day=self.day,
            lang="nl",
            kind="report" if first else "message",
            body=body | ({"answers": {}} if first else {}),
            thread=None if first else self.seen_by(None),
            wanted=None if wanted is None else [KEYS[name].verify_key for name in wanted],
            cards=list(CARDS.values()),
        )

    def answer(self, name: str) -> writing.Draft:
        """Return a counsellor's next message, based on what this counsellor has."""
        return writing.from_counsellor(
            KEYS[name],
            site=SITE,
            day=self.day,
            lang="nl",
            kind="reply",
            body={"text": f"{name} {len(self.drafts)}"},
            thread=self.seen_by(KEYS[name]),
            cards=list(CARDS.values()),
        )


STEPS = st.lists(
    st.tuples(st.sampled_from((REPORTER, *NAMES)), st.integers(0, 25), st.none() | WANTED),
    max_size=9,
)


@given(WANTED, STEPS)
def test_written_messages_read_back_verified_intact_and_in_order(
    first: list[str], steps: list[tuple[str, int, list[str] | None]]
) -> None:
    """Random histories of a reporter and up to three counsellors, with changes and expiry."""
    box = Mailbox()
    wanted, newest_to, former = first, list[str](), list[str]()
    written: list[str] = []
    for who, days, choice in [(REPORTER, 0, first), *steps]:
        box.day += datetime.timedelta(days=days)
        before = box.seen_by(None if who == REPORTER else KEYS[who])
        chosen = choice or wanted if who == REPORTER else wanted
        expected = [name for name in chosen if can_be_written_to(name, box.day)]
        if who != REPORTER:
            expected = [name for name in expected if name in newest_to]
            if who not in newest_to:
                continue  # she may not know it, but the server accepts nothing from her
        if not expected:
            with pytest.raises(MessageError):
                _ = box.report(chosen) if who == REPORTER else box.answer(who)
            continue
        # Without a choice, the previous one applies, if there is one.
        named = chosen if not box.drafts else choice
        draft = box.report(named) if who == REPORTER else box.answer(who)
        message = parse(draft.plaintext)
        if who == REPORTER:
            if box.drafts:
                former = [n for n in dict.fromkeys((*former, *wanted)) if n not in chosen]
            wanted, newest_to = chosen, expected
            assert list(message.wanted) == [KEYS[name].verify_key for name in chosen]
            assert list(message.former) == [KEYS[name].verify_key for name in former]
        assert list(draft.to) == list(message.to) == [KEYS[n].verify_key for n in expected]
        assert set(draft.left_out) == {KEYS[n].verify_key for n in chosen if n not in expected}
        assert draft.recipients == (
            REPORTER_KEYS.recipient,
            *(sealing_seed(n, box.day.replace(day=1)).recipient() for n in expected),
        )
        by = REPORTER if who == REPORTER else str(KEYS[who].verify_key)
        assert message.by == by
        assert draft.n == message.n == (before.newest[by].n + 1 if by in before.newest else 1)
        assert dict(message.seen) == {a: m.n for a, m in before.newest.items() if a != by}
        box.drafts.append(draft)
        written.append(by)
    everything = box.seen_by(None)
    assert [entry.state for entry in everything.entries] == ["verified"] * len(box.drafts)
    assert not everything.gaps
    assert not everything.missing_beginning
    assert not everything.withheld
    assert_in_order(everything)
    for name in NAMES:
        theirs = box.seen_by(KEYS[name])
        assert {entry.state for entry in theirs.entries} <= {"verified"}
        assert_in_order(theirs)
        pins = theirs.pins()
        again = thread.read(
            [thread.Arrived(e.item, _plaintext(box, e.item)) for e in theirs.entries],
            site=SITE,
            mailbox=MAILBOX,
            viewer=KEYS[name].verify_key,
            pins=pins,
        )
        assert again == theirs


def _plaintext(box: Mailbox, item: str) -> bytes:
    return box.drafts[int(item)].plaintext


def assert_in_order(shown: thread.Thread) -> None:
    """Check that each author's numbers rise and nothing precedes what its author had seen."""
    placed: dict[str, int] = {}
    for message in shown.genuine():
        assert message.n > placed.get(message.by, 0)
        for by, n in message.seen:
            here = [m.n for m in shown.genuine() if m.by == by and m.n <= n]
            assert placed.get(by, 0) >= max(here, default=0)
        placed[message.by] = message.n


def test_only_reporter_and_addressees_can_open_a_sealed_message() -> None:
    box = Mailbox(day=DAY)
    draft = box.report(["anna", "bram"])
    sealed = draft.seal()
    assert sealed != draft.seal()
    item = sha256_hex(sealed)
    month = DAY.replace(day=1)
    for seed in (REPORTER_KEYS.reply, sealing_seed("anna", month), sealing_seed("bram", month)):
        assert thread.open_item(item, sealed, [seed]) == thread.Arrived(
            item, draft.plaintext, sealed_for=3
        )
    for seed in (sealing_seed("chris", month), sealing_seed("anna", datetime.date(2026, 2, 1))):
        assert thread.open_item(item, sealed, [seed]).fault == "no_key"


def test_colleague_is_addressed_only_if_the_reporter_chose_them() -> None:
    """The server also offers the cards of others."""
    box = Mailbox(day=DAY)
    box.drafts.append(box.report(["anna"]))
    assert box.answer("anna").to == (ANNA.verify_key,)
    with pytest.raises(MessageError):
        box.answer("chris")


def test_counsellor_not_addressed_by_the_newest_message_is_not_addressed_by_the_answer() -> None:
    """With her new card the reporter can write to her again; the server takes no answer yet."""
    box = Mailbox(day=datetime.date(2026, 2, 20))
    box.drafts.append(box.report(["anna", "chris"]))
    assert box.drafts[0].left_out == (CHRIS.verify_key,)
    box.day = datetime.date(2026, 3, 20)
    answer = box.answer("anna")
    assert (answer.to, answer.left_out) == ((ANNA.verify_key,), (CHRIS.verify_key,))
    box.drafts.append(answer)
    assert box.report(None).to == (ANNA.verify_key, CHRIS.verify_key)


def test_card_of_another_site_is_never_used_for_sealing() -> None:
    elsewhere = card.parse(issue_card("anna", site=OTHER_SITE))
    with pytest.raises(NobodyToWriteTo):
        writing.from_reporter(
            REPORTER_KEYS,
            site=SITE,
            day=DAY,
            lang="nl",
            kind="report",
            body={"text": "", "answers": {}},
            thread=None,
            wanted=[ANNA.verify_key],
            cards=[elsewhere],
        )


@given(st.integers(-400, 400))
def test_expired_key_is_never_used_for_sealing(days: int) -> None:
    box = Mailbox(day=DAY + datetime.timedelta(days=days))
    valid = CARDS["bram"].sealing_key(box.day)
    if datetime.date(2025, 11, 1) <= box.day <= datetime.date(2026, 3, 31):
        assert box.report(["bram"]).recipients == (REPORTER_KEYS.recipient, valid)
    else:
        with pytest.raises(NobodyToWriteTo):
            box.report(["bram"])


def test_message_body_cannot_override_author_or_recipients() -> None:
    box = Mailbox(day=DAY)
    draft = box.report(
        ["anna"], to=[str(CHRIS.verify_key)], former=[str(CHRIS.verify_key)], by="x", n=9, v=2
    )
    message = parse(draft.plaintext)
    assert (message.by, message.n, message.to) == (REPORTER, 1, (ANNA.verify_key,))
    assert (message.wanted, message.former) == ((ANNA.verify_key,), ())


def test_text_is_cleaned_before_signing_even_in_the_options_of_a_message() -> None:
    box = Mailbox(day=DAY)
    box.drafts.append(box.report(["anna"], text="een\r\ntwee\rdrie\u0007\u001b[2J\ud800\u2028"))
    assert parse(box.drafts[0].plaintext).text == "een\ntwee\ndrie[2J\ufffd\u2028"
    option: Json = {"title": "a\r\nb", "pro": "\u0000", "con": "\u0085c"}
    draft = writing.from_counsellor(
        ANNA,
        site=SITE,
        day=DAY,
        lang="nl",
        kind="options",
        body={"text": "", "options": [option, option]},
        thread=box.seen_by(ANNA),
        cards=list(CARDS.values()),
    )
    written = parse(draft.plaintext).body["options"]
    assert written == [{"title": "a\nb", "pro": "", "con": "c"}] * 2


def test_error_for_overlong_text_states_its_size_and_the_limit() -> None:
    for length in (60_001, 200_000):
        with pytest.raises(TooLong) as too_long:
            Mailbox(day=DAY).report(["anna"], text="a" * length)
        assert (too_long.value.size, too_long.value.limit) == (length, 60_000)
    assert Mailbox(day=DAY).report(["anna"], text="a" * 60_000)


def test_each_kind_of_message_that_can_carry_files_names_its_files() -> None:
    box = Mailbox(day=DAY)
    box.drafts.append(box.report(["anna"]))
    file = Attachment("ab" * 32, "agenda.pdf", "application/pdf", 12)
    draft = writing.from_counsellor(
        ANNA,
        site=SITE,
        day=DAY,
        lang="nl",
        kind="reply",
        body={"text": "Zie bijlage."},
        thread=box.seen_by(ANNA),
        cards=list(CARDS.values()),
        attachments=[file],
    )
    assert parse(draft.plaintext).attachments == (file,)


def test_answer_requires_a_verified_reporter_message() -> None:
    box = Mailbox(day=DAY)
    box.drafts.append(box.report(["anna"]))
    empty = thread.read([], site=SITE, mailbox=MAILBOX, viewer=ANNA.verify_key)
    with pytest.raises(MessageError):
        writing.from_counsellor(
            ANNA, site=SITE, day=DAY, lang="nl", kind="reply", body={"text": ""}, thread=empty,
            cards=list(CARDS.values()),
        )  # fmt: skip


def test_duplicate_or_more_than_five_counsellors_are_refused() -> None:
    with pytest.raises(FormatError):
        Mailbox(day=DAY).report(["anna", "anna"])


def test_only_the_last_twenty_former_counsellors_are_kept() -> None:
    """The newest are last, so that the oldest are dropped."""
    chosen = [card.parse(issue_card(f"former {number}")) for number in range(30)]
    past: tuple[VerifyKey, ...] = ()
    box = Mailbox(day=DAY)
    box.drafts.append(box.report(["anna"]))
    shown = box.seen_by(None)
    for one, following in itertools.pairwise(chosen):
        last = replace(shown.newest[REPORTER], wanted=(one.identity,), former=past)
        draft = writing.from_reporter(
            REPORTER_KEYS, site=SITE, day=DAY, lang="nl", kind="message", body={"text": ""},
            thread=replace(shown, newest={REPORTER: last}), wanted=[following.identity],
            cards=[following],
        )  # fmt: skip
        past = parse(draft.plaintext).former
    assert past == tuple(one.identity for one in chosen[:-1][-MAX_FORMER:])


def test_active_authors_are_preferred_if_the_list_of_seen_messages_is_full() -> None:
    box = Mailbox(day=DAY)
    box.drafts.append(box.report(["anna"]))
    box.drafts.append(box.answer("anna"))
    shown = box.seen_by(None)
    answer = shown.newest[str(ANNA.verify_key)]
    many = {str(counsellor(f"number {n}").verify_key): answer for n in range(60)}
    crowded = replace(shown, newest={**many, **shown.newest})
    draft = writing.from_reporter(
        REPORTER_KEYS, site=SITE, day=DAY, lang="nl", kind="message", body={"text": ""},
        thread=crowded, wanted=None, cards=list(CARDS.values()),
    )  # fmt: skip
    seen = parse(draft.plaintext).seen
    assert len(seen) == 20
    assert seen[0] == (str(ANNA.verify_key), 1)
