"""The use cases and their rules, on a real store (SPEC sections 6 to 9)."""

import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dropbox_app.protocol import age, card
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import CardError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.retrieval_code import reporter_keys
from dropbox_app.server.config.settings import Limits, Retention
from dropbox_app.server.errors import (
    BadShape,
    Gone,
    MailboxFull,
    NobodyToTell,
    NotYours,
    OutOfStep,
    SiteFull,
    UnknownCounsellor,
    WrongClock,
)
from dropbox_app.server.mailboxes import purge as upkeep
from dropbox_app.server.reporter.agent import ReporterAgent
from dropbox_app.server.reporter.kdf_limiter import Gate
from tests.support.server_folder import (
    ANNA,
    BRAM,
    CHRIS,
    DAY,
    RECIPIENTS,
    AServer,
    attach,
    file,
    ids,
    message,
)
from tests.support.two_stores import Kind
from tests.vectors import world


@pytest.fixture
def server(tmp_path: Path, on: Kind) -> Iterator[AServer]:
    made = AServer(tmp_path / "server", on=on)
    yield made
    made.store.close()


# submitting and adding


def test_report_is_available_only_to_its_reporter_and_addressees(server: AServer) -> None:
    sealed = server.report("one", (ANNA,))
    conversation = server.mailboxes.conversation(ids("one")[1])
    assert conversation is not None
    (info,) = conversation.items
    assert (info.id, info.what, info.author, info.n) == (
        sha256_hex(sealed), "message", "reporter", 1,
    )  # fmt: skip
    assert (conversation.created, conversation.last_added) == (DAY, DAY)
    assert server.mailboxes.item(conversation.mailbox, info.id) == sealed
    assert server.mailboxes.item(ids("other")[0], info.id) is None
    opened = server.mailboxes.item_for(ANNA, info.id)
    assert opened is not None
    assert opened.file.read() == sealed
    assert server.mailboxes.item_for(BRAM, info.id) is None
    assert server.mailboxes.inbox(BRAM, 0) == ([], False)
    server.mailboxes.fetched(BRAM, [info.id])
    assert [row.fetched for row in server.store.addressed(conversation.mailbox)] == [None]


def test_storing_the_same_bytes_again_succeeds_and_keeps_one_item(server: AServer) -> None:
    sealed = server.report("one")
    mailbox, access = ids("one")
    server.mailboxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=sealed)
    more = server.add("one", 2)
    server.add("one", 3)
    server.mailboxes.add(access=access, n=2, to=(ANNA,), sealed=more)
    answer = server.reply("one", 1)
    server.mailboxes.reply(identity=ANNA, mailbox=mailbox, n=1, to=(ANNA,), sealed=answer)
    assert server.kept("one") == [(str(ANNA), 1)] + [("reporter", n) for n in (1, 2, 3)]
    assert [row.number for row in server.mailboxes.inbox(ANNA, 0)[0]] == [1, 2, 3, 4]


def test_second_report_in_one_mailbox_is_refused(server: AServer) -> None:
    server.report("one")
    with pytest.raises(OutOfStep) as refused:
        server.report("one")
    assert refused.value.newest == 1


@pytest.mark.parametrize("n", [0, 1, 3, 99])
def test_only_the_next_message_number_is_accepted_and_a_refusal_states_the_newest_number(
    server: AServer, n: int
) -> None:
    server.report("one")
    with pytest.raises(OutOfStep) as refused:
        server.add("one", n)
    assert refused.value.newest == 1
    assert server.kept("one") == [("reporter", 1)]


def test_counsellors_message_numbers_increase_and_may_have_gaps(server: AServer) -> None:
    """A restored server may lack earlier messages that the desk cannot send again."""
    server.report("one")
    server.reply("one", 3)
    for n in (0, 1, 2, 3):
        with pytest.raises(OutOfStep) as refused:
            server.reply("one", n)
        assert refused.value.newest == 3
    server.reply("one", 4)
    assert server.kept("one") == [(str(ANNA), 3), (str(ANNA), 4), ("reporter", 1)]


def test_item_from_one_mailbox_is_refused_in_another(server: AServer) -> None:
    sealed = server.report("one")
    server.report("two")
    with pytest.raises(BadShape):
        server.mailboxes.add(access=ids("two")[1], n=2, to=(ANNA,), sealed=sealed)
    with pytest.raises(BadShape):
        server.mailboxes.reply(identity=ANNA, mailbox=ids("one")[0], n=1, to=(ANNA,), sealed=sealed)


def test_two_mailboxes_cannot_share_an_access_id(server: AServer) -> None:
    server.report("one")
    with pytest.raises(BadShape):
        server.mailboxes.submit(
            mailbox=ids("two")[0], access=ids("one")[1], to=(ANNA,), sealed=message(1)
        )


def test_only_messages_sealed_to_exactly_the_named_recipients_are_accepted(server: AServer) -> None:
    mailbox, access = ids("one")
    wrong = {
        "plain text": b"x" * 9000,
        "to one too few": message(1),
        "to one too many": message(3),
        "another length": age.seal(b" " * 8193, RECIPIENTS[:3]),
        "cut off": message(2)[:-1],
        "with bytes after it": message(2) + b"\n",
        "under a passphrase": age.seal_with_passphrase(b" " * 8192, "a", 10),
        "nothing": b"",
    }
    for sealed in wrong.values():
        with pytest.raises(BadShape):
            server.mailboxes.submit(mailbox=mailbox, access=access, to=(ANNA, BRAM), sealed=sealed)
    assert server.mailboxes.conversation(access) is None


def test_addressees_must_have_a_card_and_be_named_once(server: AServer) -> None:
    for to, refusal in (((CHRIS,), UnknownCounsellor), ((ANNA, ANNA), BadShape), ((), BadShape)):
        with pytest.raises(refusal):
            server.report("one", to)
    server.site.retire("bram")
    with pytest.raises(UnknownCounsellor):
        server.report("one", (BRAM,))


# desks


def test_desk_can_list_the_mailboxes_whose_newest_message_is_addressed_to_it(
    server: AServer,
) -> None:
    server.report("one", (ANNA,))
    server.report("two", (ANNA, BRAM))
    server.add("one", 2, (BRAM,))
    server.reply("two", 1, ANNA, (ANNA, BRAM))
    assert [m.id for m in server.mailboxes.listed(ANNA)] == [ids("two")[0]]
    assert {m.id for m in server.mailboxes.listed(BRAM)} == {ids("one")[0], ids("two")[0]}
    (listed,) = server.mailboxes.listed(ANNA)
    assert listed.newest == tuple(sorted([(str(ANNA), 1), ("reporter", 1)]))


def test_inbox_of_a_desk_lists_items_sent_by_that_desk_as_fetched(server: AServer) -> None:
    server.report("one", (ANNA, BRAM))
    item = server.put_file("one", file(3))
    sealed = server.reply("one", 1, ANNA, (ANNA, BRAM))
    rows, _ = server.mailboxes.inbox(ANNA, 1)
    assert [(r.item.id, r.item.what, r.item.author, r.item.n) for r in rows] == [
        (item, "attachment", str(ANNA), 1),
        (sha256_hex(sealed), "message", str(ANNA), 1),
    ]
    fetched = {
        (row.item, row.identity): row.fetched for row in server.store.addressed(ids("one")[0])
    }
    assert fetched[item, str(ANNA)] == DAY
    assert fetched[item, str(BRAM)] is None


def test_only_the_latest_addressees_may_answer_and_may_address_only_each_other(
    server: AServer,
) -> None:
    server.report("one", (ANNA,))
    with pytest.raises(Gone):
        server.reply("one", 1, BRAM, (BRAM,))
    with pytest.raises(NotYours):
        server.reply("one", 1, ANNA, (ANNA, BRAM))
    server.add("one", 2, (BRAM,))
    with pytest.raises(Gone):
        server.reply("one", 1, ANNA, (ANNA,))
    with pytest.raises(Gone):
        server.put_file("one", file(2), ANNA)
    server.reply("one", 1, BRAM, (BRAM,))
    with pytest.raises(Gone):
        server.reply("unknown", 1)


def test_inbox_page_has_at_most_a_hundred_items(server: AServer) -> None:
    for n in range(101):
        server.report(str(n))
    first, more = server.mailboxes.inbox(ANNA, 0)
    assert (len(first), more) == (100, True)
    second, more = server.mailboxes.inbox(ANNA, first[-1].number)
    assert (len(second), more) == (1, False)


# attachments


def test_file_becomes_visible_with_the_message_that_follows_it(server: AServer) -> None:
    server.report("one", (ANNA, BRAM))
    small, large = file(3), file(3, 3_000_000)
    items = {server.put_file("one", small), server.put_file("one", large)}
    server.put_file("one", small)  # again: the same file
    conversation = server.mailboxes.conversation(ids("one")[1])
    assert conversation is not None
    assert len(conversation.items) == 1
    for item in items:
        assert server.mailboxes.item_for(BRAM, item) is None
        assert server.mailboxes.item(ids("one")[0], item) is None
    server.reply("one", 1, ANNA, (ANNA, BRAM))
    for item, sealed in zip(sorted(items), sorted((small, large), key=sha256_hex), strict=True):
        opened = server.mailboxes.item_for(BRAM, item)
        assert opened is not None
        with opened.file:
            assert opened.file.read() == sealed


def test_file_sealed_to_recipients_other_than_those_of_its_message_is_never_shown(
    server: AServer,
) -> None:
    """The leftover of a message that was never sent is removed when another one is sent."""
    server.report("one", (ANNA, BRAM))
    stale = server.put_file("one", file(3))
    server.reply("one", 1, ANNA, (ANNA,))
    assert server.mailboxes.item_for(ANNA, stale) is None
    assert server.store.item(stale) is None


def test_reporters_file_must_be_sealed_to_the_counsellors_only(server: AServer) -> None:
    server.report("one")
    access = ids("one")[1]
    item = attach(server.mailboxes, access, file(1))
    stale = attach(server.mailboxes, access, file(2))
    with pytest.raises(BadShape):
        server.add("one", 2, named=[item, stale])
    server.add("one", 2, named=[item])
    assert server.mailboxes.item_for(ANNA, item) is not None
    assert server.mailboxes.item_for(ANNA, stale) is None


def test_files_with_invalid_shape_id_or_size_are_refused(tmp_path: Path, on: Kind) -> None:
    server = AServer(tmp_path / "server", on=on, limits=Limits(file=20_000))
    server.report("one")
    for sealed in (b"x" * 20_000, message(1), file(7), file(1), file(2, 21_000)):
        with pytest.raises(BadShape):
            server.put_file("one", sealed)
    with server.mailboxes.stage() as staged:
        staged.write(file(2))
        with pytest.raises(BadShape):
            server.mailboxes.put_file(
                identity=ANNA, mailbox=ids("one")[0], item="0" * 64, staged=staged
            )
    server.put_file("one", file(2, 20_000))
    server.store.close()


# space


def test_full_mailbox_accepts_only_its_withdrawal(tmp_path: Path, on: Kind) -> None:
    limits = Limits(mailbox_bytes=len(message(1)) * 2)
    server = AServer(tmp_path / "server", on=on, limits=limits)
    server.report("one")
    server.add("one", 2)
    for act in (server.add, server.reply):
        with pytest.raises(MailboxFull):
            act("one", 3)
    with pytest.raises(MailboxFull):
        server.put_file("one", file(2))
    server.report("two")
    server.withdraw("one", 3)
    server.store.close()


@pytest.mark.parametrize(
    "limits", [Limits(messages=10), Limits(message_bytes=2 * (5 * len(message(1)) + 100))]
)
def test_neither_side_can_fill_the_half_of_a_mailbox_reserved_for_the_other(
    tmp_path: Path, on: Kind, limits: Limits
) -> None:
    server = AServer(tmp_path / "server", on=on)
    limits = dataclasses.replace(limits, free_bytes=1)
    server.site.settings = dataclasses.replace(server.site.settings, limits=limits)
    server.report("one")
    for n in range(2, 6):
        server.add("one", n)
    with pytest.raises(MailboxFull):
        server.add("one", 6)
    for n in range(1, 6):
        server.reply("one", n)
    with pytest.raises(MailboxFull):
        server.reply("one", 6)
    assert len(server.kept("one")) == 10
    assert server.mailboxes.inbox(ANNA, 0)[0][-1].item.n == 5
    server.withdraw("one", 6)
    server.store.close()


def test_full_site_is_reported_and_still_accepts_a_withdrawal(tmp_path: Path, on: Kind) -> None:
    server = AServer(tmp_path / "server", on=on, limits=Limits(site_bytes=300_000))
    told = 0
    for n in range(60):
        try:
            server.report(str(n))
        except SiteFull:
            told += 1
    assert 20 < told < 50
    with pytest.raises(SiteFull):
        server.add("0", 2)
    server.withdraw("0", 2)
    server.store.close()


def test_nothing_new_is_accepted_below_the_free_space_minimum(tmp_path: Path) -> None:
    server = AServer(tmp_path / "server")
    limits = dataclasses.replace(server.site.settings.limits, free_bytes=2**52)
    server.site.settings = dataclasses.replace(server.site.settings, limits=limits)
    with pytest.raises(SiteFull):
        server.report("one")
    server.store.close()


# withdrawal


def test_withdrawal_immediately_removes_everything_else_in_the_mailbox(server: AServer) -> None:
    server.report("one", (ANNA, BRAM))
    server.put_file("one", file(3, 2_000_000))
    server.reply("one", 1, ANNA, (ANNA, BRAM))
    sealed = server.withdraw("one", 2, (ANNA, BRAM))
    mailbox, access = ids("one")
    assert server.mailboxes.conversation(access) is None
    assert [item.id for item in server.store.items(mailbox)] == [sha256_hex(sealed)]
    assert server.long_files() == 0
    assert [r.item.id for r in server.mailboxes.inbox(ANNA, 0)[0]] == [sha256_hex(sealed)]
    assert server.mailboxes.listed(ANNA) == ()
    for act in (server.add, server.reply, server.withdraw):
        with pytest.raises(Gone):
            act("one", 3)
    with pytest.raises(Gone):
        server.report("one")
    assert server.store.is_withdrawn(mailbox)


def test_withdrawal_waits_for_all_addressees_for_at_most_180_days(server: AServer) -> None:
    server.report("one", (ANNA, BRAM))
    server.report("two", (ANNA,))
    server.report("three", (ANNA,))
    for name, to in (("one", (ANNA, BRAM)), ("two", (ANNA,)), ("three", (BRAM,))):
        server.withdraw(name, 2, to)
    server.fetch(ANNA)
    server.purge()
    left = set(server.store.mailboxes())
    assert left == {ids("one")[0], ids("three")[0]}
    server.later(179)
    server.purge()
    assert set(server.store.mailboxes()) == left
    server.later(180)
    server.purge()
    assert server.store.mailboxes() == []


def test_withdrawal_without_addressees_removes_everything(server: AServer) -> None:
    server.report("one")
    server.mailboxes.withdraw(access=ids("one")[1], n=0, to=(), sealed=None)
    assert server.store.mailboxes() == []
    assert server.mailboxes.inbox(ANNA, 0) == ([], False)
    with pytest.raises(Gone):
        server.report("one")


def test_expired_conversation_that_still_exists_can_be_withdrawn(server: AServer) -> None:
    server.report("one")
    server.fetch()
    server.later(200)
    assert server.mailboxes.conversation(ids("one")[1]) is None
    server.withdraw("one", 2)
    assert server.store.mailboxes() == []
    assert server.store.is_withdrawn(ids("one")[0])
    with pytest.raises(Gone):
        server.withdraw("one", 2)


def test_reporter_can_withdraw_an_expired_conversation(server: AServer) -> None:
    agent = ReporterAgent(server.site, server.mailboxes, Gate(1), server.today)
    _, root = agent.report(lang="nl", text="Een verhaal.", answers={}, wanted=(ANNA,))
    server.fetch()
    server.later(200)
    assert agent.view(root) is None
    agent.withdraw(root, lang="nl", untold=False)
    assert server.store.mailboxes() == []
    with pytest.raises(Gone):
        agent.withdraw(root, lang="nl", untold=False)


def test_reporter_can_withdraw_although_an_unreadable_item_has_the_next_number(
    server: AServer,
) -> None:
    """Anyone with the access token can add such an item, and so can damage on the disk."""
    agent = ReporterAgent(server.site, server.mailboxes, Gate(1), server.today)
    _, root = agent.report(lang="nl", text="Een verhaal.", answers={}, wanted=(ANNA,))
    access = reporter_keys(root).access
    server.mailboxes.add(access=access, n=2, to=(ANNA,), sealed=message(1))
    with pytest.raises(NobodyToTell):
        agent.withdraw(root, lang="nl", untold=False)
    assert len(server.store.mailboxes()) == 1
    agent.withdraw(root, lang="nl", untold=True)
    assert agent.view(root) is None
    assert server.store.mailboxes() == []


def test_withdrawn_ids_are_kept_for_31_days(server: AServer) -> None:
    server.report("one")
    server.withdraw("one", 2)
    server.later(30)
    server.purge()
    assert server.store.is_withdrawn(ids("one")[0])
    server.later(31)
    assert server.purge().withdrawn_ids == 1
    assert not server.store.is_withdrawn(ids("one")[0])


# lifetimes


def _purge(server: AServer, days: int, *, awake: bool = True) -> upkeep.Purged:
    """Purge on a later day; desks have fetched nothing new, but are not silent."""
    server.later(days)
    if awake:
        with server.store.writing():
            server.store.set_last_fetch(str(ANNA), server.day)
    return server.purge()


def test_fetched_reporter_items_except_the_newest_expire_after_30_days(
    server: AServer,
) -> None:
    server.report("one")
    server.add("one", 2)
    server.add("one", 3)
    server.later(5)
    server.fetch()
    _purge(server, 34)
    assert server.kept("one") == [("reporter", 1), ("reporter", 2), ("reporter", 3)]
    _purge(server, 35)
    assert server.kept("one") == [("reporter", 3)]
    _purge(server, 89)
    assert server.kept("one") == [("reporter", 3)]


def test_counsellors_item_expires_after_90_days(server: AServer) -> None:
    server.report("one")
    server.fetch()
    server.reply("one", 1)
    server.reply("one", 2)
    server.later(60)
    server.add("one", 2)
    server.fetch()
    _purge(server, 89)
    assert (str(ANNA), 1) in server.kept("one")
    _purge(server, 90)
    assert server.kept("one") == [(str(ANNA), 2), ("reporter", 2)]


def test_messages_expire_strictly_from_oldest_to_newest(server: AServer) -> None:
    """One of two addressees has not fetched the first, so the later ones stay too."""
    server.report("one", (ANNA, BRAM))
    server.add("one", 2, (ANNA,))
    server.add("one", 3, (ANNA,))
    server.fetch(ANNA)
    _purge(server, 40)
    assert server.kept("one") == [("reporter", 1), ("reporter", 2), ("reporter", 3)]
    server.fetch(BRAM)
    _purge(server, 70)
    assert server.kept("one") == [("reporter", 3)]


def test_every_attachment_even_the_newest_expires_after_its_own_retention_period(
    server: AServer,
) -> None:
    server.report("one")
    server.fetch()
    server.put_file("one", file(2, 2_000_000))
    server.reply("one", 1)
    server.later(60)
    server.add("one", 2)
    server.fetch()
    assert server.long_files() == 1
    assert _purge(server, 90).items == 2  # the report and the file
    assert server.long_files() == 0
    assert server.kept("one") == [(str(ANNA), 1), ("reporter", 2)]


def test_mailbox_expires_90_days_after_the_last_addition(server: AServer) -> None:
    server.report("one")
    server.fetch()
    server.later(10)
    server.reply("one", 1)
    conversation = server.mailboxes.conversation(ids("one")[1])
    assert conversation is not None
    assert conversation.expires == DAY + datetime.timedelta(100)
    _purge(server, 99)
    assert server.mailboxes.conversation(ids("one")[1]) is not None
    server.later(100)
    assert server.mailboxes.conversation(ids("one")[1]) is None, "also before the purge"
    with pytest.raises(Gone):
        server.add("one", 2)
    assert _purge(server, 100).mailboxes == 1
    assert server.store.mailboxes() == []
    assert not server.store.is_withdrawn(ids("one")[0])


def test_unfetched_item_is_kept_for_180_days_with_its_mailbox(server: AServer) -> None:
    sealed = server.report("one")
    _purge(server, 179)
    assert server.kept("one") == [("reporter", 1)]
    assert server.mailboxes.item_for(ANNA, sha256_hex(sealed)) is not None
    assert _purge(server, 180).mailboxes == 1


def test_report_fetched_late_can_still_be_answered(server: AServer) -> None:
    """After a long absence until day 150, the conversation does not expire the next day."""
    server.report("one")
    server.later(150)
    server.fetch()
    _purge(server, 179)
    server.reply("one", 1)
    assert _purge(server, 200).mailboxes == 0
    assert _purge(server, 269).mailboxes == 1


def _announce(server: AServer, until: datetime.date, day: datetime.date) -> None:
    raw = world.issue_card("anna", day=day, serial=2, count=13, away=card.Away(until, None))
    server.mailboxes.take_card(ANNA, raw)


def test_announced_absence_extends_the_mailbox_to_30_days_after_the_absence(
    server: AServer,
) -> None:
    server.report("one")
    server.fetch()
    until = DAY + datetime.timedelta(120)
    _announce(server, until, DAY)
    conversation = server.mailboxes.conversation(ids("one")[1])
    assert conversation is not None
    assert conversation.expires == until + datetime.timedelta(30)
    assert _purge(server, 149).mailboxes == 0
    assert _purge(server, 150).mailboxes == 1


def test_absence_that_ends_before_a_mailbox_expires_changes_nothing(server: AServer) -> None:
    server.report("one")
    server.fetch()
    _announce(server, DAY + datetime.timedelta(60), DAY)
    conversation = server.mailboxes.conversation(ids("one")[1])
    assert conversation is not None
    assert conversation.expires == DAY + datetime.timedelta(90)


def test_reporter_items_do_not_expire_while_all_desks_are_silent(server: AServer) -> None:
    server.report("one", (ANNA, BRAM))
    server.add("one", 2, (ANNA, BRAM))
    server.fetch(ANNA)
    server.fetch(BRAM)
    _purge(server, 60, awake=False)
    assert server.kept("one") == [("reporter", 1), ("reporter", 2)]
    _purge(server, 120, awake=False)
    assert server.kept("one") == [("reporter", 1), ("reporter", 2)], "nor by the idle rule"
    server.later(61)
    server.fetch(BRAM)
    server.purge()
    assert server.kept("one") == [("reporter", 2)], "one of them is back"


def test_silence_of_desks_does_not_postpone_expiry_indefinitely(server: AServer) -> None:
    server.report("one")
    server.fetch()
    assert _purge(server, 179, awake=False).mailboxes == 0
    assert _purge(server, 180, awake=False).mailboxes == 1


def test_desk_counts_as_silent_from_the_configured_day(server: AServer) -> None:
    assert server.mailboxes.silent(ANNA)
    server.fetch()
    assert server.mailboxes.last_fetch(ANNA) == DAY
    server.later(13)
    assert not server.mailboxes.silent(ANNA)
    server.later(14)
    assert server.mailboxes.silent(ANNA)


def test_file_without_its_message_expires_after_two_days(server: AServer) -> None:
    server.report("one")
    item = server.put_file("one", file(2, 2_000_000))
    _purge(server, 1, awake=False)
    assert server.store.item(item) is not None
    assert _purge(server, 2, awake=False).items == 1
    assert server.long_files() == 0
    assert server.kept("one") == [("reporter", 1)]


def test_mailbox_without_a_message_expires_after_two_days(server: AServer) -> None:
    with server.store.writing():
        server.store.add_mailbox(*ids("one"), DAY)
    assert _purge(server, 1).mailboxes == 0
    assert _purge(server, 2).mailboxes == 1


def test_every_retention_period_is_configurable(tmp_path: Path, on: Kind) -> None:
    retention = Retention(
        reporter_items=3, counsellor_items=9, unfetched=18, idle=12, silent_desk=2
    )
    server = AServer(tmp_path / "server", on=on, retention=retention)
    server.report("one")
    server.add("one", 2)
    server.fetch()
    server.report("two")
    _purge(server, 3)
    assert server.kept("one") == [("reporter", 2)]
    assert _purge(server, 12).mailboxes == 1
    assert _purge(server, 18).mailboxes == 1
    server.store.close()


def test_purge_can_be_repeated_and_empties_the_database_log(server: AServer) -> None:
    server.report("one")
    server.fetch()
    first = _purge(server, 90)
    assert (first.mailboxes, first.log_emptied) == (1, True)
    assert server.store.log_size() == 0
    assert server.purge().mailboxes == 0


def test_first_purge_of_a_day_records_the_day_and_empties_the_database_log(server: AServer) -> None:
    server.report("one")
    server.later(1)
    assert upkeep.purge(server.site, server.store, server.day).log_emptied
    assert server.store.served() == server.day
    assert server.store.log_size() == 0


def test_purge_is_refused_if_the_clock_is_behind(server: AServer) -> None:
    server.report("one")
    server.later(-1)
    with pytest.raises(WrongClock):
        upkeep.purge(server.site, server.store, server.day)


# cards


def test_newer_card_replaces_the_old_and_an_older_one_does_not(server: AServer) -> None:
    newer = world.issue_card("anna", serial=2)
    server.mailboxes.take_card(ANNA, newer)
    server.mailboxes.take_card(ANNA, newer)
    for refused in (world.issue_card("anna", serial=1), world.issue_card("bram", serial=3)):
        with pytest.raises(CardError):
            server.mailboxes.take_card(ANNA, refused)
    assert (server.folder / "cards" / "anna.card").read_bytes() == newer
    server.site.retire("anna")
    with pytest.raises(CardError):
        server.mailboxes.take_card(ANNA, newer)
    assert not (server.folder / "cards" / "anna.card").exists()


# everything together, against a model that fits on a page

NAMES = st.sampled_from(["one", "two", "three"])
DESKS = st.sampled_from([ANNA, BRAM])
TO = st.sampled_from([(ANNA,), (BRAM,), (ANNA, BRAM)])


class Life(RuleBasedStateMachine):
    """Reporters and desks do anything in any order, including refused actions.

    The model stores, per mailbox, the newest number of each author and the newest ``to``; per desk,
    everything that was ever put in its inbox. No day passes: lifetimes have their own tests.
    """

    @initialize()
    def begin(self) -> None:
        self.home = TemporaryDirectory()
        self.server = AServer(Path(self.home.name) / "server")
        self.newest: dict[str, dict[str, int]] = {}
        self.to: dict[str, tuple[VerifyKey, ...]] = {}
        self.withdrawn: set[str] = set()
        self.inboxes: dict[VerifyKey, dict[int, tuple[str, str]]] = {ANNA: {}, BRAM: {}}
        self.numbers = {ANNA: 0, BRAM: 0}

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.server.store.close()
            self.home.cleanup()

    def _arrived(self, name: str, sealed: bytes, readers: tuple[VerifyKey, ...]) -> None:
        for desk in readers:
            self.numbers[desk] += 1
            self.inboxes[desk][self.numbers[desk]] = (name, sha256_hex(sealed))

    @rule(name=NAMES, to=TO)
    def report(self, name: str, to: tuple[VerifyKey, ...]) -> None:
        if name in self.withdrawn:
            with pytest.raises(Gone):
                self.server.report(name, to)
        elif name in self.newest:
            with pytest.raises(OutOfStep) as refused:
                self.server.report(name, to)
            assert refused.value.newest == self.newest[name]["reporter"]
        else:
            self._arrived(name, self.server.report(name, to), to)
            self.newest[name], self.to[name] = {"reporter": 1}, to

    @precondition(lambda self: self.newest)
    @rule(name=NAMES, to=TO, step=st.integers(0, 2))
    def write_on(self, name: str, to: tuple[VerifyKey, ...], step: int) -> None:
        newest = self.newest.get(name, {}).get("reporter", 0)
        if name not in self.newest:
            with pytest.raises(Gone):
                self.server.add(name, newest + step, to)
        elif step != 1:
            with pytest.raises(OutOfStep) as refused:
                self.server.add(name, newest + step, to)
            assert refused.value.newest == newest
        else:
            self._arrived(name, self.server.add(name, newest + 1, to), to)
            self.newest[name]["reporter"] += 1
            self.to[name] = to

    @precondition(lambda self: self.newest)
    @rule(name=NAMES, by=DESKS, to=TO, step=st.integers(0, 1))
    def answer(self, name: str, by: VerifyKey, to: tuple[VerifyKey, ...], step: int) -> None:
        newest = self.newest.get(name, {}).get(str(by), 0)
        if name not in self.newest or by not in self.to[name]:
            with pytest.raises(Gone):
                self.server.reply(name, newest + step, by, to)
        elif not set(to) <= set(self.to[name]):
            with pytest.raises(NotYours):
                self.server.reply(name, newest + step, by, to)
        elif step == 0:
            with pytest.raises(OutOfStep) as refused:
                self.server.reply(name, newest, by, to)
            assert refused.value.newest == newest
        else:
            sealed = self.server.reply(name, newest + step, by, to)
            self._arrived(name, sealed, tuple(dict.fromkeys((*to, by))))
            self.newest[name][str(by)] = newest + step

    @precondition(lambda self: self.newest)
    @rule(name=NAMES, to=TO)
    def withdraw(self, name: str, to: tuple[VerifyKey, ...]) -> None:
        if name not in self.newest:
            with pytest.raises(Gone):
                self.server.withdraw(name, 2, to)
            return
        sealed = self.server.withdraw(name, self.newest[name]["reporter"] + 1, to)
        for inbox in self.inboxes.values():
            for number in [n for n, (mailbox, _) in inbox.items() if mailbox == name]:
                del inbox[number]
        self._arrived(name, sealed, to)
        self.withdrawn.add(name)
        del self.newest[name], self.to[name]

    @rule(by=DESKS)
    def fetch(self, by: VerifyKey) -> None:
        assert self.server.fetch(by) == [item for _, item in self.inboxes[by].values()]

    @rule()
    def purge(self) -> None:
        """Purge; on the same day, this removes only withdrawals that every desk has fetched."""
        before = {i for inbox in self.inboxes.values() for _, i in inbox.values()}
        upkeep.purge(self.server.site, self.server.store, DAY)
        for inbox in self.inboxes.values():
            for number, (name, item) in list(inbox.items()):
                if self.server.store.item(item) is None:
                    assert name in self.withdrawn
                    assert item in before
                    del inbox[number]

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "server"):
            return
        for name, newest in self.newest.items():
            kept = self.server.kept(name)
            wanted = [(by, n) for by, last in newest.items() for n in range(1, last + 1)]
            assert sorted(kept) == sorted(wanted)
        for desk, inbox in self.inboxes.items():
            rows, _ = self.server.mailboxes.inbox(desk, 0)
            assert {row.number: row.item.id for row in rows} == {
                number: item for number, (_, item) in inbox.items()
            }
            listed = {m.id: dict(m.newest) for m in self.server.mailboxes.listed(desk)}
            assert listed == {
                ids(name)[0]: newest
                for name, newest in self.newest.items()
                if desk in self.to[name]
            }


TestLife = Life.TestCase
TestLife.pytestmark = [pytest.mark.slow]  # type: ignore[attr-defined] # Hypothesis makes it
TestLife.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
