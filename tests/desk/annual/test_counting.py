"""Linked people count once, and cases known to the employer are not counted."""

import datetime
import random

from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.annual.counting import Case, by_colleague, counts, situations

DAY = datetime.date
OTHER = "other"


def test_linked_cases_count_as_one_situation_in_the_year_of_the_first_case() -> None:
    cases = [
        Case("b", DAY(2026, 1, 5), "integrity", "x"),
        Case("a", DAY(2025, 12, 30), OTHER, "x"),
        Case("c", DAY(2026, 2, 1), OTHER),
    ]
    assert counts(cases, range(2025, 2026)) == {OTHER: 1}
    assert counts(cases, range(2026, 2027)) == {OTHER: 1}


def test_situation_known_to_the_employer_is_not_counted() -> None:
    cases = [
        Case("a", DAY(2026, 1, 5), OTHER, "x"),
        Case("b", DAY(2026, 3, 5), OTHER, "x", held_since=DAY(2026, 12, 31)),
    ]
    assert not counts(cases, range(2026, 2027))


def test_complaint_made_after_the_year_ends_is_still_counted_in_that_year() -> None:
    cases = [Case("a", DAY(2026, 1, 5), OTHER, held_since=DAY(2027, 1, 1))]
    assert counts(cases, range(2026, 2027)) == {OTHER: 1}


def test_situation_counted_by_the_colleague_is_omitted_only_from_a_joint_report() -> None:
    cases = [
        Case("a", DAY(2026, 1, 5), OTHER, "x"),
        Case("b", DAY(2026, 3, 5), OTHER, "x", colleague_counts=True),
        Case("c", DAY(2026, 3, 6), OTHER),
    ]
    year = range(2026, 2027)
    assert counts(cases, year, joint=True) == {OTHER: 1}
    assert counts(cases, year) == {OTHER: 2}
    assert by_colleague(situations(cases), year) == 1


def test_situation_that_the_employer_knows_of_is_not_attributed_to_the_colleague() -> None:
    held = DAY(2026, 3, 5)
    cases = [Case("a", DAY(2026, 1, 5), OTHER, held_since=held, colleague_counts=True)]
    assert by_colleague(situations(cases), range(2026, 2027)) == 0


CASES = st.lists(
    st.builds(
        Case,
        key=st.uuids().map(str),
        opened=st.dates(DAY(2023, 1, 1), DAY(2027, 12, 31)),
        group=st.sampled_from(("integrity", OTHER)),
        together=st.sampled_from(("", "x", "y")),
        held_since=st.none() | st.dates(DAY(2023, 1, 1), DAY(2028, 12, 31)),
        colleague_counts=st.booleans(),
    ),
    max_size=30,
)


@given(CASES, st.randoms())
def test_case_order_does_not_change_counts(cases: list[Case], chance: random.Random) -> None:
    shuffled = list(cases)
    chance.shuffle(shuffled)
    assert situations(shuffled) == situations(cases)


@given(CASES)
def test_yearly_counts_add_up_to_the_multi_year_count_unless_the_employer_knows_of_cases(
    cases: list[Case],
) -> None:
    free = [Case(one.key, one.opened, one.group, one.together) for one in cases]
    apart = [counts(free, range(year, year + 1)) for year in range(2023, 2028)]
    together = counts(free, range(2023, 2028))
    for group in ("integrity", OTHER):
        assert sum(one.get(group, 0) for one in apart) == together.get(group, 0)


@given(CASES)
def test_counts_of_a_joint_part_and_those_of_the_colleague_add_up_to_the_total(
    cases: list[Case],
) -> None:
    for years in (range(2023, 2028), range(2025, 2026)):
        part = sum(counts(cases, years, joint=True).values())
        left = by_colleague(situations(cases), years)
        assert part + left == sum(counts(cases, years).values())
