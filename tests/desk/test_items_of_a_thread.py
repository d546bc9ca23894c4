"""The items of one thread are found without searching all other threads."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.storage.state import Item, Items

IDS, MAILBOXES = "abcdef", "xyz"


def item(one: str, mailbox: str) -> Item:
    return Item(one, mailbox, "message", "reporter", 1, datetime.date(2027, 1, 5), 4_000, "s")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(IDS), st.sampled_from(MAILBOXES))))
def test_items_of_a_mailbox_are_in_order_of_arrival(
    steps: list[tuple[bool, str, str]],
) -> None:
    """This holds whatever is added or removed, even if an id returns for another mailbox."""
    items, expected = Items(), dict[str, Item]()
    for comes, one, mailbox in steps:
        if comes:
            if one in expected and expected[one].mailbox != mailbox:
                del expected[one]
            items[one] = expected[one] = item(one, mailbox)
        else:
            assert items.pop(one, None) == expected.pop(one, None)
        assert [*items] == [*expected]
        assert [*items.values()] == [*expected.values()]
        for name in MAILBOXES:
            assert items.of(name) == [i for i in expected.values() if i.mailbox == name]
        assert [one for one in IDS if one in items] == [one for one in IDS if one in expected]


def test_removing_a_missing_item_raises_an_error() -> None:
    items = Items([item("a", "x")])
    with pytest.raises(KeyError):
        del items["b"]
    assert (len(items), items["a"].mailbox, items.of("y")) == (1, "x", [])
