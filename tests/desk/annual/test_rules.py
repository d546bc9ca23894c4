"""For each rule of the annual report, an example in which somebody is exposed without it.

A report is treated as a function from the hidden counts to the printed text. The attacker lists all
counts that give the same text, and looks for what they have in common.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import TypeVar

from dropbox_app.desk.annual.counting import Case, counts
from dropbox_app.desk.annual.suppression import Form, band, form_for, year_figures
from dropbox_app.desk.register import events as e
from tests.desk.annual.worlds import agreed, cases, day, issue

YEAR = 2025
TOP = 45

W = TypeVar("W")


def possible(worlds: Iterable[W], printed: Callable[[W], Hashable], true: W) -> list[W]:
    """Return the worlds that the printed report cannot distinguish from the true one."""
    held = printed(true)
    return [one for one in worlds if printed(one) == held]


def betrayed(numbers: Iterable[int]) -> bool:
    """Return whether the remaining worlds prove that one to nine other people came."""
    found = set(numbers)
    return min(found) >= 1 and max(found) <= 9


def test_without_rule_1_a_form_chosen_by_the_count_reveals_that_nobody_else_reported() -> None:
    def without(count: int) -> Hashable:
        return "too few for a figure" if count < 3 else band(count)

    known = 2  # the director saw both people come
    assert {n - known for n in possible(range(TOP), without, 2) if n >= known} == {0}

    def with_it(count: int) -> Hashable:
        return year_figures(form_for(400), {"other": count})

    assert {n - known for n in possible(range(TOP), with_it, 2) if n >= known} == set(range(8))


def test_without_rule_2_a_band_starting_at_one_reveals_that_a_few_people_reported() -> None:
    narrow = ((0, 0), (1, 9), (10, 19), (20, TOP))

    def without(count: int) -> Hashable:
        return next(one for one in narrow if one[0] <= count <= one[1])

    assert betrayed(possible(range(TOP), without, 3))
    assert not betrayed(possible(range(TOP), band, 3))


def test_without_rule_2_a_total_printed_with_the_groups_reveals_their_counts() -> None:
    worlds = list(itertools.product(range(13), range(13)))
    true = (10, 2)

    def without(world: tuple[int, int]) -> Hashable:
        return sum(world), tuple(map(band, world))

    # The director knows the ten of the first group, an open quarrel in one team.
    found = possible(worlds, without, true)
    assert betrayed(second for first, second in found if first == 10)

    def with_it(world: tuple[int, int]) -> Hashable:
        return year_figures(Form.C, {"labour_conflict": world[0], "other": world[1]})

    found = possible(worlds, with_it, true)
    assert {second for first, second in found if first == 10} == set(range(10))


def test_without_rule_2_counting_a_person_twice_suggests_a_nonexistent_reporter() -> None:
    internal = 9  # one of the nine went on to the external counsellor; the directors saw them all

    def printed(others: int, *more: e.Event) -> Hashable:
        hidden = [*cases({("Groot", YEAR, "other"): others}), *more]
        files = issue([*agreed("Groot", 400), *hidden], "Groot", (YEAR,), formats=("csv",),
                      joint={"other": internal})  # fmt: skip
        return tuple(sorted(files.items()))

    def read(report: Hashable) -> list[int]:
        """Return how many others may have come, to a reader for whom each person counts once."""
        return [others for others in range(TOP) if printed(others) == report]

    passed_on = e.Case(date=day(YEAR, 5), employer="Groot", case="P", main_group="other")
    without = read(printed(0, passed_on))
    assert min(without) == 1, "somebody else came, says a report on nine people"
    with_it = read(printed(0, replace(passed_on, colleague_counts=True)))
    assert with_it == [0]
    # Nor does the report of any other number tell whether the person went on.
    for others in range(13):
        mark = replace(passed_on, colleague_counts=True)
        assert printed(others, mark) == printed(others)


def test_without_rule_3_a_count_including_formal_complaints_reveals_another_person() -> None:
    complaints = 9

    def without(others: int) -> Hashable:
        return band(complaints + others)

    assert min(possible(range(TOP), without, 1)) >= 1

    def with_it(others: int) -> Hashable:
        held = [Case(f"c{n}", day(YEAR, n), "other", held_since=day(YEAR, n))
                for n in range(complaints)]  # fmt: skip
        free = [Case(f"o{n}", day(YEAR, n), "other") for n in range(others)]
        return year_figures(Form.B, counts([*held, *free], range(YEAR, YEAR + 1)))

    assert min(possible(range(TOP), with_it, 1)) == 0


def test_without_rule_4_overlapping_years_reveal_in_which_year_somebody_reported() -> None:
    worlds = list(itertools.product(range(7), repeat=4))
    true = (3, 3, 3, 4)

    def without(world: tuple[int, ...]) -> Hashable:
        return band(sum(world[:3])), band(sum(world[1:]))

    # Three situations of the first year are known: a group that left together.
    last = [world[3] for world in possible(worlds, without, true)]
    assert betrayed(last)

    def with_it(world: tuple[int, ...]) -> Hashable:
        return tuple(map(band, world))

    assert min(world[3] for world in possible(worlds, with_it, true)) == 0


def test_without_rule_4_a_half_year_report_reveals_the_other_half() -> None:
    worlds = list(itertools.product(range(13), range(13)))

    def without(world: tuple[int, int]) -> Hashable:
        return band(world[0]), band(sum(world))

    true = (8, 2)
    second = [half for first, half in possible(worlds, without, true) if first == 8]
    assert min(second) >= 1

    def with_it(world: tuple[int, int]) -> Hashable:
        return band(sum(world))

    assert min(half for _, half in possible(worlds, with_it, (8, 1))) == 0


def test_without_rule_5_advice_based_on_cases_reveals_a_case() -> None:
    def without(count: int) -> Hashable:
        return "train on sexual harassment" if count else "renew the posters"

    assert min(possible(range(TOP), without, 1)) >= 1

    sheet = [
        *agreed("Klein", 12),
        e.Checklist(date=day(YEAR, 1), employer="Klein", items={"poster": "no"}),
    ]

    def with_it(count: int) -> Hashable:
        hidden = cases({("Klein", YEAR, "unwanted_behaviour"): count})
        files = issue([*sheet, *hidden], "Klein", (YEAR,), formats=("csv",))
        return tuple(sorted(files.items()))

    assert possible(range(TOP), with_it, 1) == list(range(TOP))


def test_without_rule_6_an_hourly_bill_reveals_that_somebody_reported() -> None:
    trained = 5  # hours of training, which the employer saw

    def without(talks: int) -> Hashable:
        return trained + talks

    assert betrayed(possible(range(TOP), without, 5))

    def with_it(talks: int) -> Hashable:
        hidden = [
            e.Contact(date=day(YEAR, n), employer="Klein", minutes=60, topic="other")
            for n in range(talks)
        ]
        files = issue([*agreed("Klein", 12), *hidden], "Klein", (YEAR,), formats=("md",))
        return tuple(sorted(files.items()))

    assert possible(range(TOP), with_it, 5) == list(range(TOP))


def test_without_rule_7_a_separate_report_in_addition_to_a_joint_one_reveals_small_counts() -> None:
    internal = 5  # the internal counsellor knows their own

    def without(external: int) -> Hashable:
        return band(external), band(external + internal)

    assert betrayed(possible(range(TOP), without, 7))

    def with_it(external: int) -> Hashable:
        files = issue(
            [*agreed("Groot", 400), *cases({("Groot", YEAR, "other"): external})],
            "Groot", (YEAR,), formats=("csv",), joint={"other": internal},
        )  # fmt: skip
        return tuple(sorted(files.items()))

    assert not betrayed(possible(range(TOP), with_it, 7))


def test_without_rule_8_five_directors_can_compute_the_sixth_directors_figure() -> None:
    five = (1, 0, 2, 0, 1)

    def without(sixth: int) -> Hashable:
        return sum(five) + sixth

    assert betrayed(possible(range(TOP), without, 2))

    def with_it(sixth: int) -> Hashable:
        names = ["een", "twee", "drie", "vier", "vijf", "zes"]
        counted = dict(zip(names, (*five, sixth), strict=True))
        events = [one for name in names for one in agreed(name, 400)]
        events += cases({(name, YEAR, "other"): count for name, count in counted.items()})
        return tuple(
            file
            for name in names
            for file in issue(events, name, (YEAR,), formats=("csv",)).items()
        )

    assert possible(range(15), with_it, 2) == list(range(10))


def test_without_rule_9_a_printed_reason_reveals_the_figure() -> None:
    def without(count: int) -> Hashable:
        if count == 0:
            return "nobody came"
        return "hidden, since fewer than ten came" if count < 10 else band(count)

    assert betrayed(possible(range(TOP), without, 4))

    def with_it(count: int) -> Hashable:
        files = issue(
            [*agreed("Groot", 400), *cases({("Groot", YEAR, "other"): count})],
            "Groot", (YEAR,), formats=("md", "json"),
        )  # fmt: skip
        return tuple(sorted(files.items()))

    assert possible(range(TOP), with_it, 4) == list(range(10))
