"""The columns by which lists are filtered and sorted are stored with each thread and match it."""

import datetime
import random
from collections.abc import Callable

import pytest

from dropbox_app.desk.actions import sites, threads, today
from dropbox_app.desk.actions.threads import Listed
from dropbox_app.desk.errors import Kept
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage.lists import SummaryRow
from dropbox_app.desk.sync import outbox
from dropbox_app.desk.threads import open_thread, summary
from tests.desk.conftest import Office, without_columns
from tests.support.chance import seed
from tests.support.fake_server import Clock, Peer, Reporter

STEPS = 30
MANY = 300  # with --long


class Walk:
    """Random work at a desk with a few reporters, one of whom may not feel safe."""

    def __init__(self, office: Office, peer: Peer, clock: Clock) -> None:
        self.office, self.peer, self.clock = office, peer, clock
        self.chance = random.Random(seed())  # noqa: S311 - steps, not secrets
        self.reporters = [Reporter(peer, office.identity) for _ in range(3)]
        for number, reporter in enumerate(self.reporters):
            reporter.report(f"Melding {number}", safe="no" if number == 1 else "yes")
        office.fetch()

    def step(self) -> None:
        """Do one random thing, or nothing if its thread is missing or closed."""
        works: list[Callable[[Reporter], object]] = [
            self.write, self.write, self.read, self.reply, self.reply_in_vain, self.close, self.ask,
            self.answer, self.label, self.forget, self.away, self.next_day, self.gone, self.back,
        ]  # fmt: skip
        self.chance.choice(works)(self.chance.choice(self.reporters))

    def there(self, reporter: Reporter) -> bool:
        with self.office.open() as place:
            return reporter.mailbox in {mailbox for _, mailbox in pairs(place)}

    def write(self, reporter: Reporter) -> None:
        if reporter.mailbox not in self.peer.gone:
            reporter.write("Nog iets")
            self.office.fetch()

    def read(self, reporter: Reporter) -> None:
        if self.there(reporter):
            with self.office.open() as place:
                threads.mark_seen(threads.read(place, reporter.mailbox))

    def reply(self, reporter: Reporter) -> None:
        if self.there(reporter) and reporter.mailbox not in self.peer.gone:
            self.office.reply(reporter.mailbox, "Dank je")

    def reply_in_vain(self, reporter: Reporter) -> None:
        if self.there(reporter) and reporter.mailbox not in self.peer.gone:
            self.peer.busy = True
            with pytest.raises(Kept):
                self.office.reply(reporter.mailbox, "Straks")
            self.peer.busy = False

    def close(self, reporter: Reporter) -> None:
        self.send(reporter, "notice", {"status": "closed"})

    def ask(self, reporter: Reporter) -> None:
        self.send(
            reporter, "consent-request", {"step": "Bellen", "with": "HR", "scope": "Geen naam"}
        )

    def send(self, reporter: Reporter, kind: str, body: dict[str, str]) -> None:
        if self.there(reporter) and reporter.mailbox not in self.peer.gone:
            with self.office.connected() as desk:
                outbox.write(desk, reporter.mailbox, lang="nl", kind=kind, body={**body})

    def answer(self, reporter: Reporter) -> None:
        asked = [m for m in reporter.thread().genuine() if m.kind == "consent-request"]
        if asked and reporter.mailbox not in self.peer.gone:
            reporter.send("consent-answer", {"request": asked[-1].digest, "answer": "yes"})
            self.office.fetch()

    def label(self, reporter: Reporter) -> None:
        if self.there(reporter):
            with self.office.open() as place:
                threads.label(place, reporter.mailbox, f"Zaak {self.chance.randrange(9)}")

    def forget(self, reporter: Reporter) -> None:
        if self.there(reporter) and not self.chance.randrange(3):
            self.office.fetch()  # waiting messages are sent first
            self.office.forget(reporter.mailbox)

    def away(self, _: Reporter) -> None:
        with self.office.open() as place:
            sites.away(place, self.clock() + datetime.timedelta(days=3))

    def next_day(self, _: Reporter) -> None:
        self.clock.day += datetime.timedelta(days=1)

    def gone(self, reporter: Reporter) -> None:
        self.peer.gone.add(reporter.mailbox)
        self.office.fetch()

    def back(self, _: Reporter) -> None:
        self.peer.gone.clear()
        self.office.fetch()


def pairs(place: Workplace) -> list[tuple[str, str]]:
    """Return the site and mailbox of every thread."""
    found = place.database.run("SELECT site, mailbox FROM thread")
    return [(str(site), str(mailbox)) for site, mailbox in found]


def check(place: Workplace) -> None:
    """Compare the stored columns with the opened threads, and each list with its rule."""
    shown = threads.list_threads(place)
    opened = {}
    for site, mailbox in pairs(place):
        opened[mailbox] = summary.of(open_thread.open_case(place.desk(site), mailbox))
        kept = place.database.run(
            "SELECT form, turn, since, last_day, unread, waiting, not_safe, consent, fields "
            "FROM summary WHERE mailbox = ?",
            (mailbox,),
        )
        assert [SummaryRow(*one) for one in kept] == [summary.row(opened[mailbox])]  # type: ignore[arg-type] # as they come
    assert {one.mailbox: one.summary for one in shown} == opened
    assert shown == sorted(shown, key=lambda one: (one.summary.last_day, one.mailbox), reverse=True)
    work, oldest = today.today(place), sorted(shown, key=since)
    urgent = sorted(oldest, key=lambda one: (not one.summary.not_safe, not one.summary.consent))
    assert [*work.mine] == [
        one for one in urgent if one.summary.turn == "counsellor" or one.summary.unread
    ]
    assert [*work.to_send] == [one for one in oldest if one.summary.waiting]
    named = {*work.mine, *work.to_send}
    assert [*work.theirs] == [
        one for one in oldest if one.summary.turn == "reporter" and one not in named
    ]
    first = today.today(place, most=1)
    assert (first.mine, first.all["mine"]) == (work.mine[:1], len(work.mine))
    for turn in ("counsellor", "reporter", "nobody"):
        chosen = threads.choose(place, place.names(), turn, most=1)
        rows = [one for one in shown if one.summary.turn == turn]
        assert (chosen.first, chosen.all) == (tuple(rows[:1]), len(rows))


def since(one: Listed) -> tuple[datetime.date, str]:
    return one.summary.since or one.summary.last_day, one.mailbox


def test_thread_list_always_agrees_with_the_messages(
    office: Office, peer: Peer, clock: Clock, long_run: bool
) -> None:
    walk = Walk(office, peer, clock)
    for _ in range(MANY if long_run else STEPS):
        walk.step()
        with office.open() as place:
            check(place)


@pytest.mark.usefixtures("thread")
def test_missing_list_columns_are_computed_from_messages(office: Office) -> None:
    before = office.json("list"), office.json("today")
    assert len(before[0]) == 1
    with office.open() as place:
        without_columns(place)
        place.database.run("PRAGMA user_version = 3")
    assert (office.json("list"), office.json("today")) == before
