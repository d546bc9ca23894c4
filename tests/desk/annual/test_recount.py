"""A simulated year in which every band, price and hour is counted again from the raw lines.

The recount shares no code with the program: it reads the exported JSON lines.
"""

import datetime
import json
import random
from collections import Counter
from typing import Any

import pytest

from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual import render
from dropbox_app.desk.register import hours, lines
from dropbox_app.desk.register.categories import MAIN_GROUPS

TODAY = datetime.date(2027, 1, 20)
YEAR = 2026
PEOPLE = {"Atelier": 12, "Bouw": 80, "Zorg": 400, "Vervoer": 1_500}
SHARE = {"Atelier": 2, "Bouw": 5, "Zorg": 33, "Vervoer": 100}  # 140 cases
TRAINING: dict[str, Any] = {
    "event": "activity",
    "date": "2026-10-06",
    "what": "training",
    "people": 20,
    "price": 700,
}
SHARED = "Zorg"  # also has an internal counsellor, who stops in June
Line = dict[str, Any]


def played(seed: int, counsellor: str) -> list[Line]:
    """Return the lines of one register; a third of the cases have a thread."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    made: list[Line] = []
    for name, people in PEOPLE.items():
        start = {"date": "2026-01-01", "employer": name}
        made.append({"event": "employer", **start, "headcount": people})
        made.append({"event": "agreement", **start, "until": "2028-12-31", "headcount": people,
                     "form": "A" if people < 250 else "B" if people < 1_000 else "C",
                     "price": people * 10})  # fmt: skip
    for name, count in SHARE.items():
        if counsellor == "internal" and name != SHARED:
            continue
        last = 180 if counsellor == "internal" else 365
        for number in range(count if counsellor == "external" else 8):
            day = datetime.date(YEAR, 1, 1) + datetime.timedelta(chance.randrange(last))
            made += case(chance, name, f"{counsellor}-{name}-{number}", number, day)
        made.append(TRAINING | {"employer": name})
    for month in range(1, 13):
        made.append({"event": "upkeep", "date": f"2026-{month:02}-15", "what": "training",
                     "minutes": 150})  # fmt: skip
    return sorted(made, key=lambda one: str(one["date"]))


def case(
    chance: random.Random, name: str, reference: str, number: int, day: datetime.date
) -> list[Line]:
    """Return one case; a quarter are linked to the previous one, a tenth become complaints."""
    group = chance.choice(MAIN_GROUPS)
    opened: Line = {"event": "case", "date": day.isoformat(), "employer": name,
                    "case": reference, "main_group": group}  # fmt: skip
    if number % 3 == 0:
        opened["thread"] = f"{number:064x}"
    if name == SHARED and chance.random() < 0.2:  # a person who went to the other counsellor first
        opened["colleague_counts"] = True
    if number and chance.random() < 0.25:
        opened["belongs_with"] = [f"{reference.rpartition('-')[0]}-{number - 1}"]
    found = [opened]
    found += [
        {"event": "contact", "date": day.isoformat(), "employer": name, "case": reference,
         "minutes": chance.randrange(10, 90), "with_whom": ["reporter"]}
    ]  # fmt: skip
    if chance.random() < 0.1:
        found.append({"event": "complaint", "date": day.isoformat(), "employer": name,
                      "case": reference, "what": "formal_complaint"})  # fmt: skip
    return found


def situations(given: list[Line], name: str, *, joint: bool = False) -> Counter[str]:
    """Return the situations by main group, counted in a simple way, except the employer's own.

    In a joint report, those that the colleague counts are left out too.
    """
    cases = {
        one["case"]: one for one in given if one["event"] == "case" and one["employer"] == name
    }
    circles: list[set[str]] = [{reference} for reference in cases]
    for reference, one in cases.items():
        for other in one.get("belongs_with", []):
            joined = [circle for circle in circles if reference in circle or other in circle]
            circles = [circle for circle in circles if circle not in joined]
            circles.append(set().union(*joined))
    held = {one["case"] for one in given if one["event"] == "complaint"}
    if joint:
        held |= {reference for reference, one in cases.items() if one.get("colleague_counts")}
    counted: Counter[str] = Counter()
    for circle in circles:
        if not circle & held:
            first = min(circle, key=lambda reference: (cases[reference]["date"], reference))
            counted[cases[first]["main_group"]] += 1
    return counted


def words(count: int) -> str:
    """Return the band of a count in the words of the Dutch report."""
    if count >= 40:
        return "40 of meer"
    low, high = (0, 9) if count <= 9 else (10, 19) if count <= 19 else (20, 39)
    return f"{low} tot en met {high}"


def figures(text: str, slot: str) -> list[str]:
    """Return the values of a section of the JSON report."""
    section = next(one for one in json.loads(text)["sections"] if one["slot"] == slot)
    return [row["value"] for row in section["figures"]]


@pytest.mark.parametrize(
    "seed", [7, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(20, 40))]
)
def test_printed_numbers_match_an_independent_count(seed: int) -> None:
    external, internal = played(seed, "external"), played(seed + 1, "internal")
    with_thread = sum("thread" in one for one in external)
    assert 3 * with_thread <= 140 + 2 * len(SHARE), "two thirds came without the site"
    assert max(one["date"] for one in internal if one["event"] == "case") < "2026-07-01"
    assert sum(one["event"] == "case" for one in external) == 140
    raw = "".join(json.dumps(one) + "\n" for one in external).encode()
    events = [one.event for one in lines.read(raw, TODAY)]
    for name, people in PEOPLE.items():
        shared = name == SHARED
        joint = situations(internal, name, joint=True) if shared else None
        made = drafts.draft(events, name, YEAR, today=TODAY, counsellor="Noor Jansen",
                            language="nl", joint=joint)  # fmt: skip
        printed = render.report(made.report, "json").decode()
        counted = situations(external, name, joint=shared) + (joint or Counter())
        if people < 250:
            wanted = []
        elif people < 1_000:
            wanted = [words(counted.total())]
        else:
            wanted = [words(counted[group]) for group in MAIN_GROUPS]
        assert figures(printed, "contacts") == wanted
        assert "30 uur" in printed  # twelve times two and a half hours
        bill = render.report(render.bill(drafts.bill(events, name, YEAR), "nl"), "json").decode()
        assert figures(bill, "bill")[-1] == f"€ {people * 10 + 700:,}".replace(",", ".")


OTHER_WORK: tuple[Line, ...] = (
    {"event": "advice", "date": "2026-02-03", "minutes": 35},
    {"event": "advice", "date": "2025-12-31", "minutes": 500},  # another year
    {"event": "hours", "date": "2026-03-04", "work": "travel", "minutes": 50},
    {"event": "hours", "date": "2026-12-31", "work": "annual_report", "minutes": 95},
    {"event": "contact", "date": "2026-05-06", "minutes": 12, "record_nothing": True},
)


@pytest.mark.parametrize("name", PEOPLE)
def test_hours_match_an_independent_sum(name: str) -> None:
    given = played(7, "external")
    given += [one | {"employer": employer} for one in OTHER_WORK for employer in PEOPLE]
    given = [one | ({"minutes": 180} if one["event"] == "activity" else {}) for one in given]
    raw = "".join(json.dumps(one) + "\n" for one in given).encode()
    events = [one.event for one in lines.read(raw, TODAY)]
    counted: Counter[str] = Counter()
    for one in given:
        of_year = one.get("employer") == name and one["date"].startswith(str(YEAR))
        if of_year and one["event"] in ("contact", "advice", "activity", "hours"):
            counted[str(one.get("work", one["event"]))] += one["minutes"]
    used = hours.minutes(events, name, YEAR)
    assert {kind: minutes for kind, minutes in used.items() if minutes} == dict(counted)


def test_joint_report_counts_match_an_independent_count() -> None:
    internal = played(8, "internal")
    for one in internal:
        if one["event"] == "agreement":
            one["shared_with"] = "De externe"
    raw = "".join(json.dumps(one) + "\n" for one in internal).encode()
    events = [one.event for one in lines.read(raw, TODAY)]
    years, counts = drafts.joint_counts(events, SHARED, YEAR, TODAY)
    assert (years, counts) == (range(YEAR, YEAR + 1), situations(internal, SHARED, joint=True))
    assert counts != situations(internal, SHARED), "somebody is in both registers"
