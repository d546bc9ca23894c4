"""Destroying a case leaves only a coded row, and the figures stay the same."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.actions import register
from dropbox_app.desk.register import cases, retention
from dropbox_app.desk.register.events import Contact, Event, Statistic
from tests.desk.conftest import Office
from tests.desk.register.test_keeping import SHEET, jsonl, kept
from tests.desk.register.test_rules import on, read

REFERENCES = "KLMN"


def counted(events: list[Event]) -> int:
    """Return the number of counted situations: those unknown to the employer, and coded rows."""
    found = cases.standings(events)
    apart = cases.situations(found)
    open_ones = sum(not any(found[one].employer_holds for one in all_of) for all_of in apart)
    rows = [one for one in events if isinstance(one, Statistic) and one.held is None]
    return open_ones + sum(one.situations or 0 for one in rows)


def minutes(events: list[Event]) -> int:
    return sum(e.minutes or 0 for e in events if isinstance(e, Contact | Statistic))


def destroyed(events: list[Event], reference: str) -> list[Event]:
    changes = {id(before): after for before, after in retention.without(events, reference)}
    after = [one for e in events for one in changes.get(id(e), [e])]
    return cases.in_order(after)


@given(
    st.lists(st.tuples(st.sampled_from(REFERENCES), st.sampled_from(REFERENCES)), max_size=5),
    st.sets(st.sampled_from(REFERENCES)),
    st.permutations(REFERENCES),
)
def test_figures_do_not_change_when_cases_are_destroyed(
    pairs: list[tuple[str, str]], held: set[str], order: list[str]
) -> None:
    values: list[dict[str, Any]] = []
    for number, one in enumerate(REFERENCES, 1):
        with_ = sorted({b for a, b in pairs if a == one and b != one})
        values.append(on(f"03-{number:02}", "case", case=one, belongs_with=with_))
        values.append(on("04-01", "contact", case=one, minutes=10 * number))
    values += [on("05-01", "complaint", case=one) for one in sorted(held)]
    events = cases.in_order(one.event for one in read(*values))
    before = counted(events), minutes(events)
    for reference in order:
        events = destroyed(events, reference)
        assert (counted(events), minutes(events)) == before
        assert reference not in cases.standings(events)
        assert not any(
            reference in one.sheet.belongs_with for one in cases.standings(events).values()
        )
    assert all(isinstance(event, Statistic) for event in events)


def test_linked_cases_of_one_day_stay_linked_after_the_linking_case_is_destroyed() -> None:
    events = [one.event for one in read(
        on("03-01", "case", case="M", belongs_with=["K", "N"]),
        on("03-01", "contact", case="M", minutes=10),
        on("03-02", "case", case="K", belongs_with=["L"]),
        on("03-03", "case", case="L"),
        on("03-04", "case", case="N"),
    )]  # fmt: skip
    left = destroyed(events, "M")
    assert cases.situations(cases.standings(left)) == [{"K", "L", "N"}]


def test_destroyed_case_leaves_only_a_row_of_coded_values(office: Office, thread: str) -> None:
    (found,) = office.json("register", "cases")
    full = {"event": "case", "date": "2026-04-01", "employer": "Voorbeeld BV", "case": "2026-1",
            "label": "Zeldzaam", "notes": "Geheim", "main_group": "integrity"}  # fmt: skip
    other = full | {
        "case": "2026-2",
        "label": "Ander",
        "date": "2026-05-01",
        "conflicts_with": ["2026-1"],
    }
    contact = {"event": "contact", "date": "2027-01-02", "employer": "Voorbeeld BV",
               "case": "2026-1", "minutes": 45}  # fmt: skip
    office.run("register", "import", "-",
               given=jsonl(SHEET | {"recording": "full"}, full, other, contact))  # fmt: skip
    office.run("register", "destroy", "zeldzaam", given="n\n", code=1)
    said = office.run("register", "destroy", "zeldzaam", given="y\n")
    assert "2 entries were destroyed." in said.stdout
    with office.open() as place:
        told = register.export(place)
        assert not any(word in told for word in ("Zeldzaam", "2026-1", "2026-04-01"))
        rows = [one for one in kept(place) if one["event"] == "statistic"]
        assert rows == [
            {"event": "statistic", "date": "2026-01-01", "employer": "Voorbeeld BV",
             "main_group": "integrity", "situations": 1, "minutes": 0},
            {"event": "statistic", "date": "2027-01-01", "employer": "Voorbeeld BV",
             "main_group": "integrity", "situations": 0, "minutes": 45},
        ]  # fmt: skip
        before = place.vault.database.key
    assert "and a thread" in office.run("register", "destroy", found["case"], "--yes").stdout
    with office.open() as place:
        assert place.vault.database.key != before
        assert not place.database.rewrite_is_due
    assert office.json("list") == []
    office.run("register", "destroy", found["case"], "--yes", code=1)
