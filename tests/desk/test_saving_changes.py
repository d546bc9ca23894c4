"""A save writes what has changed in the state, all of it, and nothing else."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.storage.database import Database
from dropbox_app.desk.storage.item_store import LocalStore
from dropbox_app.desk.storage.lists import SummaryRow
from dropbox_app.desk.storage.opened_items import Entry
from dropbox_app.desk.storage.state import Item, Owed, Profile, State, ThreadState
from dropbox_app.desk.storage.vault import DatabaseKey
from dropbox_app.protocol.messages import Message

DAY = datetime.date(2027, 1, 5)
SUMMARY = SummaryRow(1, "nobody", "", "2027-01-05", 0, 0, False, False, "{}")
IDS, MAILBOXES = [f"{one:064x}" for one in range(6)], [f"{one:064x}" for one in range(90, 93)]
# Another value for every field that can change.
ITEM = {
    "what": "attachment", "server_says": "someone", "n": 7, "day": DAY + datetime.timedelta(1),
    "size": 9, "store": "t", "sealed_for": 2, "fetched": True, "checked": True, "sent": "waiting",
    "seen": True,
}  # fmt: skip
THREAD = {
    "verify": "v", "recipient": "r", "newest": {"reporter": (1, "d")}, "listed": {"reporter": 2},
    "gone": True, "withdrawn": True, "label": "l",
}  # fmt: skip


def item(one: str, mailbox: str) -> Item:
    return Item(one, mailbox, "message", "reporter", 1, DAY, 4_000, "s")


def grow(one: Item) -> int:
    one.size += 1
    return one.size


OTHERS: dict[str, Callable[[State], object]] = {
    "owed": lambda state: state.owed.update(o=Owed(item("o", MAILBOXES[0]), DAY, False)),
    "no longer owed": lambda state: state.owed.pop("o", None),
    "owed item changes": lambda state: [grow(owed.item) for owed in state.owed.values()],
    "forgotten": lambda state: state.forgotten.add(f"f{len(state.forgotten)}"),
    "tip": lambda state: state.tips.update({MAILBOXES[1]: (len(state.forgotten), "d")}),
    "name": lambda state: state.learn({"a": f"Ada {len(state.forgotten)}"}),
    "number": lambda state: setattr(state, "number", state.number + 1),
    "store": lambda state: setattr(state, "store", state.store + "s"),
}


class Site:
    """A site whose state is saved in a database, and can be read again."""

    def __init__(self, disk: Disk, database: Database, site: str) -> None:
        self.disk, self.database, self.site = disk, database, site
        self.store = LocalStore(disk, database, site)
        self.state = State(site, "n", (), "", Profile("n", "external", "both", ("nl",)))
        self.save()

    def save(self) -> int:
        """Save the state; return how many rows were written."""
        before = self.database.version[1]
        self.store.save(self.state)
        return self.database.version[1] - before

    def read(self) -> State:
        return LocalStore(self.disk, self.database, self.site).load()

    def is_saved(self) -> bool:
        """Return whether the saved state is equal, also in the order of items and threads."""
        saved = self.read()
        return (saved, [*saved.items], [*saved.threads]) == (
            self.state, [*self.state.items], [*self.state.threads]
        )  # fmt: skip

    def contents(self, one: Item) -> bytes | None:
        """Return the saved contents of a message."""
        return LocalStore(self.disk, self.database, self.site).open(one, ()).plaintext

    def summaries(self) -> set[str]:
        found = self.database.run("SELECT mailbox FROM summary WHERE site = ?", (self.site,))
        return {str(mailbox) for (mailbox,) in found}


class Sites:
    """A database in which each example gets a new site."""

    def __init__(self, folder: Path) -> None:
        self.failing = ""  # the step before which the disk fails
        self._disk = Disk(folder, lambda: DAY, self._step)
        self._database = Database.create(self._disk, DatabaseKey.generate())
        self._count = 0

    def new(self) -> Site:
        self._count += 1
        return Site(self._disk, self._database, f"{self._count:032x}")

    def close(self) -> None:
        self._database.close()

    def _step(self, step: str) -> None:
        if self.failing and step == self.failing:
            raise OSError("the disk is full")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    made = Sites(tmp_path_factory.mktemp("sites"))
    yield made
    made.close()


def arrived(one: str) -> Entry:
    """Return a message that was opened when it arrived."""
    message = Message(
        "0" * 32, MAILBOXES[0], "reporter", (), 1, None, (), DAY, "nl", "report", {"text": "t"},
        (), None, (), (), None, b"line", b"signature",
    )  # fmt: skip
    return Entry(one, b"contents", 10, None, message)


def filled(sites: Sites) -> Site:
    """Return a site with an item in each of two threads, saved and with summaries."""
    site = sites.new()
    for number in (0, 1):
        site.state.items[IDS[number]] = item(IDS[number], MAILBOXES[number])
        site.state.thread(MAILBOXES[number])
    site.save()
    site.store.keep_summaries(dict.fromkeys(MAILBOXES[:2], SUMMARY))
    return site


def steps(keys: list[str], *kinds: list[str]) -> st.SearchStrategy[tuple[str, str, str]]:
    """Return steps of several kinds, all of them about as often, each with a key and a mailbox."""
    return st.tuples(
        st.one_of(*map(st.sampled_from, kinds)),
        st.sampled_from(keys),
        st.sampled_from(MAILBOXES),
    )


STEPS = st.one_of(
    steps(IDS[:3], ["comes"], ["goes"], [*ITEM]),
    steps(MAILBOXES, ["thread comes"], ["thread goes"], [*THREAD]),
    steps([""], ["save"], ["load"], [*OTHERS]),
)


@given(st.lists(STEPS, min_size=20, max_size=40))
def test_saved_state_equals_the_state_in_memory(
    sites: Sites, steps: list[tuple[str, str, str]]
) -> None:
    site = sites.new()
    for what, key, mailbox in steps:
        state = site.state
        if what == "save":
            site.save()
            assert site.is_saved()
        elif what == "load":
            site.save()
            site.state = site.store.load()
        elif what == "comes":
            # A row keeps its place in the database, and a desk adds no item that it still has.
            if key not in site.read().items and key not in state.items:
                state.items[key] = item(key, mailbox)
        elif what == "thread comes":
            if key not in site.read().threads:
                state.thread(key)
        elif what == "goes":
            state.items.pop(key, None)
        elif what == "thread goes":
            state.threads.pop(key, None)
        elif what in OTHERS:
            OTHERS[what](state)
        elif key in state.items:
            setattr(state.items[key], what, ITEM[what])
        elif key in state.threads:
            setattr(state.threads[key], what, THREAD[what])
    site.save()
    assert site.is_saved()


@pytest.mark.parametrize("name", ITEM)
def test_each_field_of_an_item_is_saved(sites: Sites, name: str) -> None:
    site = filled(sites)
    setattr(site.state.items[IDS[0]], name, ITEM[name])
    assert site.save() == 2  # one row changes and one summary goes
    assert getattr(site.read().items[IDS[0]], name) == ITEM[name]
    assert site.summaries() == {MAILBOXES[1]}


@pytest.mark.parametrize("name", THREAD)
def test_each_field_of_a_thread_is_saved(sites: Sites, name: str) -> None:
    site = filled(sites)
    setattr(site.state.threads[MAILBOXES[0]], name, THREAD[name])
    assert site.save() == 2
    assert getattr(site.read().threads[MAILBOXES[0]], name) == THREAD[name]
    assert site.summaries() == {MAILBOXES[1]}


def test_the_fields_above_are_all_fields() -> None:
    assert {field.name for field in fields(Item)} == {"id", "mailbox", *ITEM}
    assert {field.name for field in fields(ThreadState)} == {*THREAD}


def test_save_without_a_change_writes_nothing(sites: Sites) -> None:
    site = filled(sites)
    one, thread = site.state.items[IDS[0]], site.state.threads[MAILBOXES[0]]
    one.seen, thread.listed, thread.gone = one.seen, dict(thread.listed), thread.gone
    assert site.save() == 0
    assert site.summaries() == set(MAILBOXES[:2])


def test_replaced_item_is_saved(sites: Sites) -> None:
    site = filled(sites)
    site.state.items[IDS[0]] = replace(site.state.items[IDS[0]], sent="refused")
    site.save()
    assert site.read().items[IDS[0]].sent == "refused"


def test_removed_item_drops_the_summary_of_its_thread(sites: Sites) -> None:
    site = filled(sites)
    del site.state.items[IDS[1]]
    site.save()
    assert [*site.read().items] == [IDS[0]]
    assert site.summaries() == {MAILBOXES[0]}


@pytest.mark.parametrize("step", ["before a transaction", "before the commit"])
def test_failed_save_is_made_up_by_the_next_one(sites: Sites, step: str) -> None:
    site = filled(sites)
    site.state.items[IDS[2]] = item(IDS[2], MAILBOXES[2])
    site.state.items[IDS[0]].seen = True
    site.state.thread(MAILBOXES[2])
    sites.failing = step
    with pytest.raises(OSError, match="full"):
        site.save()
    sites.failing = ""
    assert not site.is_saved()
    site.save()
    assert site.is_saved()


def test_failed_forget_is_made_up_by_the_next_save(sites: Sites) -> None:
    site = filled(sites)
    del site.state.items[IDS[0]], site.state.threads[MAILBOXES[0]]
    sites.failing = "before the commit"
    with pytest.raises(OSError, match="full"):
        site.store.forget(site.state, MAILBOXES[0])
    sites.failing = ""
    site.save()
    assert [*site.read().threads] == [MAILBOXES[1]]


def test_arrived_message_is_stored_by_the_save_that_stores_its_item(sites: Sites) -> None:
    """If that save fails, the next one stores both."""
    site, one = filled(sites), item(IDS[2], MAILBOXES[0])
    site.store.add_arrived(arrived(one.id))
    site.state.items[one.id] = one
    sites.failing = "before the commit"
    with pytest.raises(OSError, match="full"):
        site.save()
    sites.failing = ""
    assert site.contents(one) is None
    site.save()
    assert site.is_saved()
    assert site.contents(one) == b"contents  "


def test_arrived_message_without_an_item_is_not_stored(sites: Sites) -> None:
    site = filled(sites)
    site.store.add_arrived(arrived(IDS[2]))
    site.save()
    assert not site.store.has(IDS[2])


def test_item_that_goes_and_comes_before_a_save_is_the_last_one(sites: Sites) -> None:
    site = sites.new()
    for one in IDS[:2]:
        site.state.items[one] = item(one, MAILBOXES[0])
    again = site.state.items.pop(IDS[0])
    site.state.items[IDS[0]] = again
    site.save()
    assert [*site.read().items] == [IDS[1], IDS[0]]
