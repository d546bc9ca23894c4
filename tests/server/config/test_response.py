"""Working days, and when a silent desk is reminded, reported and mentioned on pages."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.server.config import response

MONDAY = datetime.date(2026, 11, 2)
days = st.dates(datetime.date(2020, 1, 1), datetime.date(2040, 1, 1))


@given(days, st.integers(0, 40))
def test_working_days_are_monday_to_friday(after: datetime.date, more: int) -> None:
    each = [after + datetime.timedelta(day) for day in range(1, more + 1)]
    counted = sum(day.weekday() < 5 for day in each)
    assert response.working_days(after, after + datetime.timedelta(more)) == counted
    assert response.working_days(after, after - datetime.timedelta(more)) == 0


@given(days, st.integers(1, 30), st.integers(0, 60))
def test_pages_report_a_desk_as_late_only_after_its_counsellor_was_reminded(
    last: datetime.date, promised: int, more: int
) -> None:
    today = last + datetime.timedelta(more)
    if response.quiet(last, today, promised):
        assert response.late(last, today, promised)
        past = [last + datetime.timedelta(day) for day in range(1, more)]
        whole = sum(day.weekday() < 5 for day in past)
        assert whole >= response.quiet_for(promised)
    if response.late(last, today, promised):
        assert response.due(last, today, promised)


@pytest.mark.parametrize(
    ("later", "due", "late", "quiet"),
    [
        (1, False, False, False),  # Tuesday
        (2, True, False, False),
        (3, True, True, False),
        (5, True, True, False),  # Saturday
        (6, True, True, False),
        (7, True, True, True),  # Monday: four whole working days
    ],
)
def test_response_time_of_two_working_days_is_counted_from_monday(
    later: int, due: bool, late: bool, quiet: bool
) -> None:
    today = MONDAY + datetime.timedelta(later)
    assert response.due(MONDAY, today, 2) == due
    assert response.late(MONDAY, today, 2) == late
    assert response.quiet(MONDAY, today, 2) == quiet
