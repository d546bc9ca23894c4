"""Rules between events: each inconsistent file is refused with advice."""

import datetime
import json
from typing import Any

import pytest

from dropbox_app.desk.register import cases, consents, lines, rules
from dropbox_app.desk.register.events import Event

TODAY = datetime.date(2026, 11, 29)


def on(day: str, event: str, **fields: object) -> dict[str, Any]:
    return {"event": event, "date": f"2026-{day}", "employer": "V", **fields}


def read(*values: dict[str, Any]) -> list[lines.Numbered]:
    return lines.read("\n".join(map(json.dumps, values)).encode(), TODAY)


def faults(*values: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in rules.faults([], read(*values))]


CASE = on("03-01", "case", case="K")
YES = on("03-02", "consent", case="K", consent="a", partner="De directeur", answer="yes")
STEP = on("03-09", "step", case="K", consent="a", partner="de directeur")
QUESTIONS = (
    "consent_was_sought", "no_other_way", "serious_harm", "moral_distress",
    "as_small_as_possible",
)  # fmt: skip
ALL = dict.fromkeys(QUESTIONS, True)
EXCEPTION = on("03-09", "step", case="K", **ALL)
TERM = on("01-01", "agreement", until="2027-12-31", form="B", headcount=320, price=4800)
OLD_TERM = TERM | {"date": "2025-01-01"}
SMALL = TERM | {"form": "A", "headcount": 120, "until": "2028-12-31"}
GROUP = on("02-01", "employer", group="Holding")
ISSUED = {"event": "freeze", "date": "2026-02-01", "employer": "V",
          "first_year": 2025, "last_year": 2025}  # fmt: skip
TAKEN = ISSUED | {"event": "joint", "counsellor": "X"}
SHARED = OLD_TERM | {"shared_with": "X"}


@pytest.mark.parametrize(
    "good",
    [
        [CASE, YES, STEP],
        [STEP, YES, CASE],  # in any order of lines
        [CASE, YES, STEP | {"date": "2026-03-16"}],  # 14 days
        [CASE, YES | {"answer": "no"}, YES | {"date": "2026-03-05"}, STEP],
        [CASE, YES | {"named": True, "formal": True}, STEP | {"named": True, "formal": True}],
        [CASE, EXCEPTION],
        [CASE, YES, STEP, on("03-09", "contact", case="K", with_whom=["management"])],
        [CASE, YES, on("03-09", "contact", case="K", with_whom=["hr"], consent="a")],
        [CASE, on("03-01", "contact", case="K", with_whom=["reporter"])],
        [on("03-01", "contact", with_whom=["manager"])],  # without a case there is no reporter
        [TERM, TERM | {"date": "2028-01-01", "until": None, "form": "A"}],
        [on("01-01", "agreement", form="A", headcount=5_000)],
        [TERM, TERM | {"headcount": 340, "price": 4_900}],  # a correction before any report
        [TERM | {"form": "A"}, TERM, TERM | {"date": "2026-06-01"}],  # the first was replaced
        [OLD_TERM | {"price": None}, ISSUED, OLD_TERM],  # a forgotten price
        [OLD_TERM, ISSUED, OLD_TERM | {"until": "2028-12-31"}],
        [OLD_TERM, ISSUED, OLD_TERM | {"form": None}],  # the form of the headcount
        [OLD_TERM, TAKEN, SHARED],  # the counts came before the agreement named the other
        [SHARED, TAKEN, SHARED | {"until": "2028-12-31"}],
        [ISSUED | {"form": "A"}, TAKEN | {"first_year": 2023}],  # no figures
        [TAKEN, TAKEN | {"counsellor": "Y"}],  # a register from before this was refused
        [GROUP, GROUP | {"group": "Ander"}],
        [GROUP, GROUP | {"date": "2026-02-02"}],
        [on("03-02", "case", case="L") | {"date": "2025-03-02"}, ISSUED, CASE],
    ],
)
def test_consistent_events_are_kept(good: list[dict[str, Any]]) -> None:
    assert faults(*good) == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([CASE, STEP], "Line 2, consent: there is no consent 'a' in this case; record it first"),
        ([CASE, STEP | {"consent": ""}], "consent: is missing"),
        ([CASE, YES | {"date": "2026-03-10"}, STEP], "date: the consent was given on 2026-03-10, "
         "after the step; ask first"),
        ([CASE, YES, STEP | {"date": "2026-03-17"}], "15 days old; after 14 days ask again"),
        ([CASE, YES, YES | {"answer": "withdrawn", "date": "2026-03-05"}, STEP], "was withdrawn"),
        ([CASE, YES | {"answer": "tell_me_more"}, STEP], "is no yes"),
        ([CASE, YES, STEP | {"named": True}], "named: the consent is for a step without a name"),
        ([CASE, YES, STEP | {"formal": True}], "formal: the consent is not for a formal step"),
        ([CASE, YES, STEP | {"partner": "HR"}], "partner: the consent is for a step with somebody"),
        ([CASE, EXCEPTION | {"serious_harm": False}], "serious_harm: an exception needs a yes"),
        ([CASE, EXCEPTION | {"no_other_way": None}], "no_other_way: an exception needs a yes"),
        ([CASE, on("03-09", "contact", case="K", with_whom=["hr"])], "consent: is missing"),
        ([STEP], "case: there is no case 'K'; give its case event too"),
        ([on("03-09", "close")], "case: is missing"),
        ([CASE, YES | {"employer": "W"}], "employer: case 'K' is a case at another employer"),
        ([CASE | {"belongs_with": ["L"]}], "belongs_with: there is no case 'L'"),
        ([CASE | {"belongs_with": ["L"]}, CASE | {"case": "L", "employer": "W"}],
         "belongs_with: case 'L' is a case at another employer"),
        ([TERM | {"headcount": None}], "headcount: is missing"),
        ([TERM | {"headcount": 249}], "form: form B is for 250 people or more"),
        ([TERM | {"form": "C", "headcount": 999}], "form: form C is for 1,000 people or more"),
        ([TERM, TERM | {"date": "2026-06-01", "form": "A"}], "form: it is fixed until 2027-12-31"),
        ([TERM, TERM | {"date": "2026-06-01", "price": 1}], "price: it is fixed until"),
        ([OLD_TERM, ISSUED, OLD_TERM | {"headcount": 330}], "headcount: the report of 2025 was"),
        ([OLD_TERM, ISSUED, OLD_TERM | {"price": 9_000}], "price: the report of 2025 was"),
        ([OLD_TERM, ISSUED, OLD_TERM | {"form": "A"}], "form: the report of 2025 was issued under"),
        ([OLD_TERM, ISSUED, OLD_TERM | {"shared_with": "X"}], "shared_with: the report of 2025"),
        ([OLD_TERM, ISSUED, OLD_TERM | {"until": "2026-06-30"}], "until: the report of 2025 was"),
        ([SHARED, TAKEN | {"given": True}, OLD_TERM], "shared_with: counts of 2025 were exchanged"),
        ([SHARED, TAKEN, SHARED | {"shared_with": "Y"}], "shared_with: counts of 2025 were"),
        ([OLD_TERM, TAKEN, OLD_TERM | {"headcount": 330}], "headcount: counts of 2025 were"),
        ([SHARED, TAKEN, SHARED | {"until": "2026-06-30"}], "until: counts of 2025 were"),
        ([TAKEN, GROUP], "group: counts of 'V' were exchanged with 'X' already"),
        ([ISSUED, TAKEN], "first_year: the report of 2025 was issued"),  # of unknown form
        ([ISSUED | {"form": "B"}, TAKEN], "first_year: the report of 2025 was issued"),
        ([ISSUED | {"form": "A", "bands": {"all": "0-9"}}, TAKEN], "first_year: the report"),
        ([SMALL, SMALL | {"date": "2026-06-01", "term_band": True}], "term_band: it is fixed"),
        ([SMALL | {"term_band": True, "headcount": 300}], "term_band: one band over 3 years"),
        ([SMALL | {"term_band": True, "until": "2027-12-31"}], "until: one band over 3 years"),
        ([GROUP | {"group": "V"}], "group: 'V' is this employer itself"),
        ([GROUP, GROUP | {"employer": "Holding", "group": "V"}], "group: 'V' is this employer"),
        ([ISSUED, GROUP], "group: 'V' had a report already"),
        ([GROUP, ISSUED | {"employer": "Holding"}, GROUP | {"group": "Ander"}],
         "group: 'Holding' had a report already"),
        ([ISSUED, CASE | {"date": "2025-12-31"}], "date: the report of 2025 was issued"),
        ([GROUP, ISSUED | {"employer": "Holding"}, CASE | {"date": "2025-12-31"}],
         "date: the report of 2025 was issued"),
        ([GROUP, TAKEN | {"employer": "Holding", "given": True},
          CASE | {"date": "2025-12-31"}], "date: the counts of 2025 were given"),
        ([ISSUED, ISSUED | {"first_year": 2023}], "a year is in one report"),
    ],
)  # fmt: skip
def test_inconsistent_events_are_refused_with_advice(bad: list[dict[str, Any]], said: str) -> None:
    (fault,) = faults(*bad)
    assert said in fault


@pytest.mark.parametrize("given", [True, None])
def test_counts_for_a_report_are_exchanged_with_only_one_colleague(
    given: bool | None,
) -> None:
    first = TAKEN | {"given": given, "fingerprint": "1d0c"}
    older = TAKEN | {"given": given}
    for had, new, refused in (
        (first, first | {"counsellor": "Y"}, False),
        (first, first | {"fingerprint": "2e1d"}, True),
        (older, first, False),
        (older, first | {"counsellor": "Y"}, True),
    ):
        there = [one.event for one in read(had)]
        found = [str(fault) for fault in rules.faults(there, read(new))]
        assert ["a report is made by two" in fault for fault in found] == [True] * refused


def test_consent_is_shown_with_its_age_and_newest_answer() -> None:
    given: list[Event] = [one.event for one in read(CASE, YES)]
    first, later = datetime.date(2026, 3, 16), datetime.date(2026, 3, 17)
    assert [(one.age, one.good) for one in consents.ledger(given, "K", first)] == [(14, True)]
    assert [(one.age, one.good) for one in consents.ledger(given, "K", later)] == [(15, False)]
    assert consents.ledger(given, "K", datetime.date(2026, 3, 1)) == []


def test_linked_people_count_as_one_situation() -> None:
    given = [one.event for one in read(
        CASE, CASE | {"case": "L", "belongs_with": ["K"]}, CASE | {"case": "M"},
        CASE | {"case": "N", "belongs_with": ["L"]},
    )]  # fmt: skip
    assert cases.situations(cases.standings(given)) == [{"K", "L", "N"}, {"M"}]


def test_case_combines_all_its_events() -> None:
    given = [one.event for one in read(
        CASE | {"label": "Rooster", "role": "witness"}, CASE | {"date": "2026-03-04",
        "role": "affected"}, on("03-05", "contact", case="K", minutes=30),
        on("03-06", "close", case="K", outcome="referred", destroy_on="2027-01-01"),
    )]  # fmt: skip
    one = cases.standings(given)["K"]
    assert (one.name, one.sheet.role, one.minutes, one.phase) == (
        "Rooster",
        "affected",
        30,
        "closed",
    )
    assert (one.outcome, one.destroy_on) == ("referred", datetime.date(2027, 1, 1))
    reopened = read(CASE | {"date": "2026-03-07", "phase": "reopened"})[0].event
    assert cases.standings([*given, reopened])["K"].closed is None
