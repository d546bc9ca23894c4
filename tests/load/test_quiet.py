"""The purge's quick check never skips anything that the retention rules would expire."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.server.config.settings import Retention
from dropbox_app.server.mailboxes import retention
from dropbox_app.server.mailboxes.retention import Addressees
from dropbox_app.server.store.interface import Addressed, ItemInfo, MailboxInfo
from tests.support.server_folder import DAY


def _ago(days: int) -> datetime.date:
    return DAY - datetime.timedelta(days)


TERMS = st.builds(
    Retention,
    **dict.fromkeys(
        ("reporter_items", "counsellor_items", "unfetched", "idle"), st.integers(1, 12)
    ),
)
ITEMS = st.lists(
    st.tuples(
        st.sampled_from(("message", "attachment")),
        st.sampled_from(("reporter", "anna")),
        st.integers(0, 3),
        st.integers(0, 14),  # days since it arrived
        st.none() | st.integers(0, 14),  # days since it was fetched
    ),
    max_size=5,
)
MAILBOX = st.tuples(st.booleans(), st.integers(0, 14))


@given(TERMS, ITEMS, MAILBOX, st.booleans())
def test_mailbox_skipped_by_the_purge_has_nothing_due_and_does_not_expire(
    terms: Retention,
    drawn: list[tuple[str, str, int, int, int | None]],
    mailbox: tuple[bool, int],
    silent: bool,
) -> None:
    items, addressed = [], []
    for number, (what, author, n, age, fetched) in enumerate(drawn):
        n = max(n, 1) if what == "message" else n
        items.append(ItemInfo(str(number), what, author, n, _ago(age), 1))  # type: ignore[arg-type] # a str here
        if n:
            day = _ago(min(fetched, age)) if fetched is not None else None
            addressed.append(Addressed(str(number), "anna", day))
    info = MailboxInfo("m", "a" if mailbox[0] else None, _ago(20), _ago(mailbox[1]))
    found = retention.plan(info, items, addressed, Addressees(silent), DAY, terms)
    if retention.quiet(info, items, DAY, terms):
        assert found.expires > DAY
        assert found.due == ()


def test_purge_skips_only_recent_fully_answered_conversations() -> None:
    terms = Retention()
    first = ItemInfo("1", "message", "reporter", 1, _ago(40), 1)
    reply = ItemInfo("2", "message", "anna", 1, _ago(39), 1)
    second = ItemInfo("3", "message", "reporter", 2, _ago(38), 1)
    info = MailboxInfo("m", "a", _ago(40), _ago(38))
    assert retention.quiet(info, [first, reply], DAY, terms)
    assert not retention.quiet(info, [first, reply, second], DAY, terms)
    assert not retention.quiet(MailboxInfo("m", None, _ago(40), DAY), [first], DAY, terms)
    assert not retention.quiet(MailboxInfo("m", "a", _ago(99), _ago(90)), [first], DAY, terms)
    assert not retention.quiet(info, [], DAY, terms)
