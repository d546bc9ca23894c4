"""Events: a strict form, faults by line and field, and round trips."""

import contextlib
import dataclasses
import datetime
import importlib.resources
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.register import events, form, lines, reference
from dropbox_app.desk.register.events import KINDS, Event
from dropbox_app.desk.register.form import Refused

FOLDER = importlib.resources.files("dropbox_app.desk.register")
EXAMPLE = (FOLDER / "example.jsonl").read_bytes()
TODAY = datetime.date(2026, 11, 29)
OBJECTS = [json.loads(line) for line in EXAMPLE.splitlines()]


def faults(value: dict[str, Any], line: int = 7) -> dict[str, str]:
    """Return the faults of one event, by field."""
    with pytest.raises(Refused) as refused:
        form.parse(value, TODAY, line)
    assert all(fault.line == line for fault in refused.value.faults)
    return {fault.field: str(fault) for fault in refused.value.faults}


def test_example_covers_every_event_kind_and_field_and_round_trips() -> None:
    read = [one.event for one in lines.read(EXAMPLE, TODAY)]
    assert [form.to_json(one) for one in read] == OBJECTS
    assert lines.write(read).encode() == EXAMPLE
    shown = {(one.kind, field) for one in read for field in form.to_json(one)}
    left_out = {("employer", "site"), ("employer", "group"), ("employer", "notes")}
    left_out |= {("case", "thread"), ("case", "aftercare_on"), ("case", "destroy_on")}
    left_out |= {("case", "notes"), ("consent", "message")}
    wanted = {(kind.kind, field) for kind in KINDS.values() for field in form.readers(kind)}
    assert wanted - shown == left_out


def test_reference_matches_the_code() -> None:
    assert (FOLDER / "EVENTS.md").read_text("utf-8") == reference.document()


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_event_requires_only_a_date_and_an_employer(kind: type[Event]) -> None:
    value: dict[str, Any] = {"event": kind.kind, "date": "2024-05-06", "employer": "Voorbeeld BV"}
    if "employer" not in form.readers(kind):
        del value["employer"]
    if kind is events.Freeze:
        value |= {"first_year": 2023, "last_year": 2023}
    assert form.to_json(form.parse(value, TODAY)) == value
    assert set(faults({"event": kind.kind})) == set(value) & {"date", "employer"}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"event": "talk"}, "event", "choose one of: employer"),
        ({"event": None}, "event", "is missing"),
        ({"main_group": "bullying"}, "main_group", "choose one of: unwanted_behaviour"),
        ({"date": "2026-11-30"}, "date", "lies ahead"),
        ({"date": "1-2-2026"}, "date", "write it as 2027-01-31"),
        ({"date": "2026-02-30"}, "date", "write it as 2027-01-31"),
        ({"employer": "  "}, "employer", "is empty"),
        ({"employer": "x" * 201}, "employer", "200 is the limit"),
        ({"accused": "team"}, "accused", "is no list"),
        ({"accused": ["team", "team"]}, "accused", "twice"),
        ({"sub_groups": ["bribery"]}, "sub_groups", "belongs to integrity"),
        ({"belongs_with": ["K"]}, "belongs_with", "itself"),
        ({"destroy_on": "2020-01-01"}, "destroy_on", "before the event's own date"),
        ({"destroy_on": "2226-01-01"}, "destroy_on", "years ahead"),
        ({"thread": "3f9ac2"}, "thread", "is no id"),
        ({"possible_report": 1}, "possible_report", "neither true nor false"),
        ({"gender": "x"}, "'gender'", "is no field of case"),
    ],
)
def test_error_message_names_field_line_and_remedy(
    change: dict[str, Any], field: str, said: str
) -> None:
    case = {"event": "case", "date": "2026-05-06", "employer": "Voorbeeld BV", "case": "K"}
    case |= {"main_group": "unwanted_behaviour"}
    found = faults(case | change)
    assert list(found) == [field]
    assert found[field].startswith(f"Line 7, {field}: ")
    assert said in found[field]


@pytest.mark.parametrize("minutes", [-1, 1_441, 1.5, "45", True])
def test_minutes_are_whole_numbers_up_to_one_day(minutes: object) -> None:
    value = {"event": "contact", "date": "2026-05-06", "employer": "V", "minutes": minutes}
    assert "0 to 1,440" in faults(value)["minutes"]


def test_only_reports_on_past_calendar_years_can_be_recorded_as_issued() -> None:
    value = {"event": "freeze", "date": "2026-01-02", "employer": "V", "first_year": 2026}
    assert "in this order" in faults(value)["last_year"]
    assert "was not over" in faults(value | {"last_year": 2026})["last_year"]
    assert "in this order" in faults(value | {"last_year": 2025})["last_year"]


def test_every_fault_in_a_file_is_reported_with_its_line() -> None:
    raw = b'\xef\xbb\xbf{"event": "advice"}\r\n\r\nnothing\n{"a": 1, "a": 2}\n\xff\n[1]\n'
    with pytest.raises(Refused) as refused:
        lines.read(raw, TODAY)
    assert [(one.line, one.field) for one in refused.value.faults] == [
        (1, "date"), (1, "employer"), (3, "the line"), (4, "the line"), (5, "the line"),
        (6, "the line"),
    ]  # fmt: skip


def test_at_most_a_hundred_faults_are_reported() -> None:
    with pytest.raises(Refused) as refused:
        lines.read(b"{}\n" * 5_000, TODAY)
    assert len(refused.value.faults) == lines.MOST_FAULTS


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_read_as_events_or_refused_with_a_list_of_faults(raw: bytes) -> None:
    with_braces = raw.replace(b"\x00", b'{"event":')
    with contextlib.suppress(Refused):
        assert all(isinstance(one.event, Event) for one in lines.read(with_braces, TODAY))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(st.sampled_from(OBJECTS), st.data())
def test_event_with_arbitrary_values_is_refused_or_round_trips(
    value: dict[str, Any], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(value)))
    changed = value | {field: data.draw(JSON)}
    try:
        event = form.parse(changed, TODAY)
    except Refused:
        return
    again = form.parse(form.to_json(event), TODAY)
    assert again == event
    assert dataclasses.asdict(again) == dataclasses.asdict(event)
