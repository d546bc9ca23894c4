"""A year of a practice, day by day; every figure is counted again from the diary.

There are two counsellors and four employers with real sites; a third of the people write through a
site. By default 44 of the 140 cases are played, with the same days, employers and rules; with
``--long`` all of them.
"""

import collections
import contextlib
import datetime
import functools
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.desk.annual import recount
from tests.desk.annual.living import DAY, Practice, Town

SEED = 2026
YEAR = 2026
BEGIN = datetime.date(2025, 12, 15)
FIRST, LAST = datetime.date(YEAR, 1, 1), datetime.date(YEAR, 12, 31)
STOPS = datetime.date(YEAR, 6, 30)
REPORTS = datetime.date(YEAR + 1, 1, 20)
PEOPLE = {"Atelier": 12, "Bouw": 80, "Zorg": 400, "Vervoer": 1_500}
FORM = {"Atelier": "A", "Bouw": "A", "Zorg": "B", "Vervoer": "C"}
FETCHED = (1, 11, 21)  # days of the month on which a desk fetches even if nobody wrote
SHARED = "Zorg"  # also has an internal counsellor, who stops in June
ALL = {"Atelier": 2, "Bouw": 5, "Zorg": 33, "Vervoer": 100}  # 140 cases
SOME = {"Atelier": 2, "Bouw": 3, "Zorg": 12, "Vervoer": 27}
OF_INTERNAL = 8
WORDS = {  # of the page
    "contact": "gesprekken met melders",
    "advice": "advies aan leiding",
    "activity": "trainingen en voorlichting",
    "travel": "reizen",
}

Plan = dict[datetime.date, list[Callable[[], object]]]


class Year:
    """The plan of the year: what each counsellor does on which day."""

    def __init__(self, town: Town, external: Practice, internal: Practice, seed: int) -> None:
        self.town, self.external, self.internal = town, external, internal
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.plan: Plan = collections.defaultdict(list)
        self.passed_on = 0
        self.accounts: dict[str, dict[str, float]] = {}  # of hours, as shown on the last day

    def on(self, day: datetime.date, act: Callable[..., object], *given: Any, **named: Any) -> None:  # noqa: ANN401 - passed on
        self.plan[day].append(functools.partial(act, *given, **named))

    def person(self, by: Practice, employer: str, number: int, last: datetime.date) -> None:
        """Plan one case with everything that follows from it."""
        chance, who = self.chance, f"{by.by} {employer} {number}"
        day = FIRST + DAY * chance.randrange((last - FIRST).days)
        about = chance.choice(("", *recount.GROUPS))
        begin = by.thread if number % 3 == 1 else by.call
        self.on(day, begin, employer, who, about, chance.randrange(10, 90))
        for _ in range(chance.randrange(3)):
            day += DAY * chance.randrange(1, 25)
            self.on(day, self.if_there(by.talk, by, who), employer, who, chance.randrange(5, 60))
        if number and chance.random() < 0.25:
            other = f"{by.by} {employer} {number - 1}"
            self.on(day, self.if_there(by.together, by, who, other), employer, who, other)
        if chance.random() < 0.2:
            self.on(day, self.if_there(by.consent, by, who), who)
            late = chance.random() < 0.4
            self.on(day + DAY * (20 if late else 9), self.if_there(by.step, by, who), who,
                    refused=late)  # fmt: skip
        if chance.random() < 0.1:
            self.on(day + DAY, self.if_there(by.complaint, by, who), employer, who)
        if chance.random() < 0.5:
            end = day + DAY * 30
            self.on(end, self.if_there(by.end, by, who), who, end + DAY * chance.randrange(10, 90))

    def if_there(
        self, act: Callable[..., object], by: Practice, *who: str
    ) -> Callable[..., object]:
        """Return a version of the act that is skipped if a case has not begun or was destroyed."""

        def done(*given: object, **named: object) -> None:
            if all(one in by.cases and one not in by.destroyed for one in who):
                act(*given, **named)

        return done

    def work(self) -> None:
        """Plan the work that employers ordered, and other hours."""
        for employer in PEOPLE:
            self.on(datetime.date(YEAR, 10, 6), self.training, employer)
            self.on(datetime.date(YEAR, 3, 3), self.hours, employer, "advice", 35)
            self.on(datetime.date(YEAR, 11, 9), self.hours, employer, "travel", 50)
        for number in range(1, 13):
            self.on(datetime.date(YEAR, number, 15), self.learned, 150)
            who = f"corridor {number}"
            self.on(datetime.date(YEAR, number, 9), self.external.corridor, "Vervoer", who,
                    "other", 15, **({"record_nothing": "1"} if number % 2 else {}))  # fmt: skip
            self.on(datetime.date(YEAR, number, 10), self.external.corridor, "Vervoer", who,
                    "other", 5, again="1")  # fmt: skip

    def training(self, employer: str) -> None:
        self.external.work("activity", employer, what="training", minutes="180", people="20",
                           price="700")  # fmt: skip
        self.town.note("external", "training", employer, work="activity", minutes=180, price=700)

    def hours(self, employer: str, work: str, minutes: int) -> None:
        if work == "advice":
            self.external.work("advice", employer, minutes=str(minutes))
        else:
            self.external.work("hours", employer, work=work, minutes=str(minutes))
        self.town.note("external", "worked", employer, work=work, minutes=minutes)

    def learned(self, minutes: int) -> None:
        self.external.work("upkeep", what="training", minutes=str(minutes))
        self.town.note("external", "learned", minutes=minutes)

    def around_the_year(self) -> None:
        """Plan what begins before the year, and what the employer learns only after it."""
        by = self.external
        self.on(STOPS - DAY * 9, self.internal.thread, SHARED, "in June", "other", 30)
        self.on(datetime.date(2025, 12, 30), by.call, "Vervoer", "old", "integrity", 20)
        self.on(datetime.date(YEAR, 2, 2), by.call, "Vervoer", "with old", "integrity", 20)
        self.on(datetime.date(YEAR, 2, 3), by.together, "Vervoer", "with old", "old")
        self.on(datetime.date(YEAR, 12, 3), by.call, "Vervoer", "late", "integrity", 20)
        self.on(datetime.date(YEAR + 1, 1, 4), by.complaint, "Vervoer", "late")
        self.on(datetime.date(YEAR + 1, 1, 5), by.call, "Vervoer", "new", "integrity", 20)

    def stop(self) -> None:
        """Let the internal counsellor stop: the card is retired, and reporters choose again.

        From then on, each person who was passed on is in two registers. The external counsellor
        marks that the internal one counts them, so the joint report counts each once.
        """
        house = self.town.houses[SHARED]
        house.site.retire(self.internal.laptop.name.split()[0].lower(), self.town.today)
        for who, reporter in self.internal.written.items():
            if who not in self.internal.destroyed and not reporter.is_expired:
                self.external.take_over(SHARED, f"from {who}", "other", reporter)
                self.external.leave_to_colleague(SHARED, f"from {who}")
                self.passed_on += 1

    def live(self, until: datetime.date) -> None:
        """Play every day, with the acts that are planned or due on it."""
        while self.town.today < until:
            for act in self.plan.pop(self.town.today, []):
                act()
            if self.town.today.day in FETCHED:
                self.external.fetch()
            if self.town.today == STOPS:
                self.stop()
            self.external.destroy_what_is_due()
            if self.town.today == LAST:
                self.accounts = {name: self.external.hours(name) for name in PEOPLE}
            if self.town.today < STOPS:
                self.internal.destroy_what_is_due()
                if self.town.today.day in FETCHED:
                    self.internal.fetch()
            self.town.midnight()


@pytest.fixture
def town(tmp_path: Path) -> Any:  # noqa: ANN401 - a generator
    made = Town(tmp_path, PEOPLE, BEGIN)
    yield made
    made.close()


def lived(town: Town, external: Practice, internal: Practice, shares: dict[str, int]) -> Year:
    """Return the year, played up to the day of the reports."""
    year = Year(town, external, internal, SEED)
    for employer, people in PEOPLE.items():
        terms = {"date": f"{FIRST}", "until": f"{YEAR + 2}-12-31", "form": FORM[employer],
                 "price": str(people * 10)}  # fmt: skip
        external.agree(employer, people, **terms,
                       **({"shared_with": "Sam Bakker"} if employer == SHARED else {}))  # fmt: skip
        external.check_list(employer, poster="no", complaints_procedure="yes")
        for number in range(shares[employer]):
            year.person(external, employer, number, LAST)
    internal.agree(SHARED, PEOPLE[SHARED], date=f"{FIRST}", until=f"{YEAR + 2}-12-31", form="B",
                   shared_with="Noor Jansen")  # fmt: skip
    for number in range(OF_INTERNAL):
        year.person(internal, SHARED, number, STOPS - DAY * 20)
    year.work()
    year.around_the_year()
    year.live(REPORTS)
    return year


def by_hand(town: Town) -> Any:  # noqa: ANN401 - JSON
    """Return what recount.py counts from the diary, in a process that cannot import the program."""
    lines = "".join(json.dumps(one) + "\n" for one in town.diary)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(recount.__file__), str(YEAR)],
        input=lines, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def figures(raw: bytes, slot: str) -> list[str]:
    """Return the values of one section of a JSON report or bill."""
    part = next(one for one in json.loads(raw)["sections"] if one["slot"] == slot)
    return [row["value"] for row in part["figures"]]


def join_counts(giver: Practice, taker: Practice) -> None:
    """Hand over the sealed counts; each counsellor has the other's card."""
    card = taker.card(SHARED)
    asked = giver.report(SHARED, YEAR)
    asked = giver.window.get(next(one for one in asked.links if one.endswith("/give")))
    checked = giver.window.upload(asked, asked.form_to("/give"), [("card", card)])
    counts = giver.window.press(checked, "/give/file").body
    page = taker.page("annual/counts")
    checked = taker.window.upload(page, page.form_to("/counts"), [("counts", counts)])
    assert taker.window.press(checked, "/counts/keep").status == 200


def check_reports(by: Practice, wanted: Any) -> None:  # noqa: ANN401 - JSON
    """Issue the four reports; compare the preview's counts, ranges, hours of upkeep and bills."""
    for employer, found in wanted["employers"].items():
        preview = by.report(employer, YEAR).text
        total = sum(found["groups"])
        assert f"Er {'telt' if total == 1 else 'tellen'} {total} situatie" in preview
        assert preview.count("Buiten de telling:") == bool(found["left out"])
        assert f"Buiten de telling: {found['left out']}," in preview or not found["left out"]
        by_other = found["by the other"]
        assert (f"Niet in jouw deel van de telling: {by_other}." in preview) == bool(by_other)
        shown = [int(one) for one in re.findall(r": (\d+) valt in de bandbreedte", preview)]
        assert shown == {"A": [], "B": [total], "C": found["groups"]}[FORM[employer]]
        page = by.issue(employer, YEAR)
        for kind in ("json", "md", "html", "csv"):
            assert by.file(page, f"/report.{kind}")
        report = by.file(page, "/report.json")
        assert figures(report, "contacts") == found["ranges"]
        assert f"{wanted['upkeep']} uur" in report.decode()
        euros = f"€ {found['bill']:,}".replace(",", ".")
        assert figures(by.file(page, "/bill.json"), "bill")[-1] == euros


def check_register(by: Practice, year: Year, found: Any) -> None:  # noqa: ANN401 - JSON
    """Compare the register with the diary: hours, proofs of destruction, remaining cases."""
    for employer, own in found["employers"].items():
        hours = {WORDS[work]: hours for work, hours in own["hours"].items()}
        assert year.accounts[employer] == hours
    by.running.lock.lock()
    raw = by.laptop.run("register", "export", "--json").stdout
    events = [json.loads(line) for line in raw.splitlines()]
    for employer, own in found["employers"].items():
        minutes = sum(
            one.get("minutes", 0)
            for one in events
            if one["event"] in ("contact", "statistic")
            and one["employer"] == employer
            and one["date"].startswith(str(YEAR))
        )
        assert minutes == own["minutes"]
    proofs = [one for one in events if one["event"] == "destruction"]
    assert len(proofs) == len(by.destroyed) > 0
    left = {one["label"] for one in events if one["event"] == "case" and "label" in one}
    assert left == set(by.cases) - by.destroyed


@pytest.mark.parametrize("shares", [SOME, pytest.param(ALL, marks=pytest.mark.long)])
def test_figures_of_a_simulated_year_match_an_independent_count(
    town: Town, shares: dict[str, int]
) -> None:
    with (
        contextlib.closing(Practice(town, "external", "Noor Jansen", PEOPLE)) as external,
        contextlib.closing(Practice(town, "internal", "Sam Bakker", [SHARED])) as internal,
    ):
        year = lived(town, external, internal, shares)
        wanted = by_hand(town)
        assert year.passed_on
        assert wanted["employers"][SHARED]["by the other"]
        join_counts(internal, external)
        check_reports(external, wanted)
        check_register(external, year, wanted)
