"""Which reports are refused, with what advice, and which three years a band may cover."""

import datetime
from dataclasses import replace

import pytest

from dropbox_app.desk.annual.periods import (
    Issued,
    Term,
    check,
    form,
    term_band_years,
    term_of,
    year,
)
from dropbox_app.desk.annual.suppression import Form
from dropbox_app.desk.errors import Unfit

TERM = Term("Jansen", 2024, 2029, 400)
TODAY = datetime.date(2027, 2, 1)


def refused(key: str, *, terms: list[Term] | None = None, issued: tuple[Issued, ...] = (),
            wanted: int = 2026, today: datetime.date = TODAY) -> str:  # fmt: skip
    with pytest.raises(Unfit) as caught:
        check([TERM] if terms is None else terms, issued, "Jansen", wanted, today)
    assert caught.value.key == key
    return str(caught.value)


def test_report_of_a_finished_year_within_a_term_can_be_issued() -> None:
    assert check([TERM], [Issued("Jansen", 2025, Form.B)], "Jansen", 2026, TODAY) == TERM


@pytest.mark.parametrize("typed", ["2026-H1", "2026/1", "2026-01..2026-06", "2025-2026", "26", ""])
def test_report_of_a_quarter_half_year_or_range_of_dates_is_refused(typed: str) -> None:
    with pytest.raises(Unfit, match="whole calendar year"):
        year(typed)


def test_year_must_have_four_digits() -> None:
    assert year(" 2026 ") == 2026


def test_report_of_a_year_is_refused_until_the_year_has_ended() -> None:
    assert "1 January 2027" in refused("year_open", today=datetime.date(2026, 12, 31))
    check([TERM], [], "Jansen", 2026, datetime.date(2027, 1, 1))


def test_report_for_an_employer_without_a_headcount_is_refused() -> None:
    refused("no_headcount", terms=[replace(TERM, headcount=0)])


def test_report_of_a_year_outside_the_appointment_is_refused() -> None:
    refused("no_term", wanted=2023)


def test_second_report_of_the_same_year_is_refused() -> None:
    refused("issued_already", issued=(Issued("Jansen", 2026, Form.B),))


def test_change_of_report_form_within_a_term_is_refused() -> None:
    refused("form_changed_issued", issued=(Issued("Jansen", 2025, Form.A),))
    later = replace(TERM, first_year=2026, headcount=1_200)
    refused("form_changed", terms=[TERM, later])


def test_report_form_may_show_less_but_not_more_than_the_headcount_allows() -> None:
    assert form(replace(TERM, form=Form.A)) is Form.A
    with pytest.raises(Unfit, match="more than 400 people allow"):
        form(replace(TERM, form=Form.C))


@pytest.mark.parametrize("other", ["the group", "a member"])
def test_group_and_its_member_never_both_get_a_report(other: str) -> None:
    if other == "the group":
        terms = [replace(TERM, family=frozenset({"Holding"})), replace(TERM, employer="Holding")]
        refused("nested", terms=terms, issued=(Issued("Holding", 2025, Form.B),))
    else:
        terms = [replace(TERM, family=frozenset({"Winkel"}))]
        refused("nested", terms=terms, issued=(Issued("Winkel", 2025, Form.B),))


def test_two_group_members_each_get_their_own_report() -> None:
    group = frozenset({"Holding"})
    terms = [replace(TERM, family=group), replace(TERM, employer="Winkel", family=group)]
    check(terms, [Issued("Winkel", 2026, Form.B)], "Jansen", 2026, TODAY)


def test_year_in_which_two_terms_meet_belongs_only_to_the_first_term() -> None:
    first = replace(TERM, first_year=2023, last_year=2025)
    second = Term("Jansen", 2025, 2028, 120, term_band=True)
    assert term_of([second, first], "Jansen", 2025) == first
    later = term_of([second, first], "Jansen", 2026)
    assert later.first_year == 2026
    assert [y for y in range(2026, 2029) if term_band_years(later, y)] == [2028]


def test_three_year_periods_of_a_term_do_not_overlap_and_lie_within_it() -> None:
    term = Term("Jansen", 2020, 2027, 120, term_band=True)
    shown = {wanted: term_band_years(term, wanted) for wanted in range(2020, 2028)}
    assert {year for year, years in shown.items() if years} == {2022, 2025}
    assert shown[2025] == range(2023, 2026)


def test_three_year_band_requires_50_to_249_people() -> None:
    for headcount in (12, 400):
        with pytest.raises(Unfit, match="50 to 249"):
            form(Term("Jansen", 2024, 2029, headcount, term_band=True))
    assert form(Term("Jansen", 2024, 2029, 50, term_band=True)) is Form.A


def test_three_year_band_overlapping_an_issued_one_is_refused() -> None:
    first = Term("Jansen", 2020, 2029, 120, term_band=True)
    shown = [Issued("Jansen", 2022, Form.A, range(2020, 2023))]
    # An earlier agreement, recorded after the report of 2022, shifts the three-year periods.
    moved = replace(first, first_year=2019)
    refused("bands_overlap", terms=[moved], issued=tuple(shown), wanted=2024)
    check([first], shown, "Jansen", 2025, TODAY)


def test_three_year_band_is_not_offered_for_two_years() -> None:
    with pytest.raises(Unfit) as caught:
        form(Term("Jansen", 2024, 2025, 120, term_band=True))
    assert caught.value.key == "term_short"
    assert form(Term("Jansen", 2024, 2026, 120, term_band=True)) is Form.A
