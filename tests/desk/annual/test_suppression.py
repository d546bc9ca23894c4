"""What a printed band reveals to somebody who already knows some of its situations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.annual.suppression import (
    BANDS,
    Band,
    Form,
    band,
    form_for,
    may_have_term_band,
    year_figures,
)
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import BANDS as WORDS
from dropbox_app.desk.register.categories import MAIN_GROUPS

COUNTS = st.integers(0, 400)


def rest(shown: Band, known: int) -> tuple[int, int | None]:
    """Return the rest of a band for somebody who knows ``known`` situations in it."""
    return max(0, shown.low - known), None if shown.high is None else shown.high - known


def test_every_count_is_in_exactly_one_band() -> None:
    for count in range(500):
        assert [one for one in BANDS if one.holds(count)] == [band(count)]


def test_lowest_band_includes_zero() -> None:
    assert band(0) == BANDS[0] == Band(0, 9)


def test_register_descriptions_match_the_bands() -> None:
    assert (
        tuple(f"{one.low}+" if one.high is None else f"{one.low}-{one.high}" for one in BANDS)
        == WORDS
    )


@given(COUNTS, st.data())
def test_subtracting_a_known_number_never_leaves_a_range_within_one_to_nine(
    count: int, data: st.DataObject
) -> None:
    known = data.draw(st.integers(0, count))
    low, high = rest(band(count), known)
    assert not (low >= 1 and high is not None and high <= 9)


@given(COUNTS, st.data())
def test_known_count_proves_that_there_are_no_others_only_if_it_is_the_upper_bound(
    count: int, data: st.DataObject
) -> None:
    known = data.draw(st.integers(0, count))
    shown = band(count)
    assert (rest(shown, known) == (0, 0)) == (known == shown.high)


@pytest.mark.parametrize(
    ("headcount", "form"),
    [(1, Form.A), (249, Form.A), (250, Form.B), (999, Form.B), (1_000, Form.C), (90_000, Form.C)],
)
def test_headcount_determines_the_report_form(headcount: int, form: Form) -> None:
    assert form_for(headcount) is form


def test_headcount_of_zero_has_no_report_form() -> None:
    with pytest.raises(Unfit, match="one or more"):
        form_for(0)


def test_three_year_band_is_for_50_to_249_people() -> None:
    assert [n for n in (1, 49, 50, 249, 250, 5_000) if may_have_term_band(n)] == [50, 249]


COUNTED = st.dictionaries(st.sampled_from(MAIN_GROUPS), st.integers(0, 60))


@given(COUNTED)
def test_report_form_a_shows_no_band_form_b_one_band_and_form_c_one_band_per_group(
    counts: dict[str, int],
) -> None:
    assert year_figures(Form.A, counts) == ()
    (total,) = year_figures(Form.B, counts)
    assert total.group == ""
    assert total.band.holds(sum(counts.values()))
    each = year_figures(Form.C, counts)
    assert tuple(one.group for one in each) == MAIN_GROUPS
    assert all(one.band.holds(counts.get(one.group, 0)) for one in each)
