"""A person who came to both counsellors counts once in their joint report: one marks the case."""

import json
from pathlib import Path

import pytest

from dropbox_app.desk.actions import joint, register
from dropbox_app.desk.register.events import Freeze, Joint, Statistic
from tests.desk.annual.test_joint import Named, talked
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer

PERSON = json.dumps({"event": "case", "date": "2025-05-05", "employer": "Zorg", "case": "P"})


@pytest.fixture
def two(tmp_path: Path, peer: Peer, clock: Clock) -> Named:
    """Return two counsellors with four talks each, and one person who came to both: nine people."""
    found = {}
    for name in ("intern", "extern"):
        found[name] = Office(tmp_path / name, peer, clock, name.capitalize())
        found[name].set_up()
        found[name].run("register", "import", "-", given=talked(4) + PERSON)
        found[name].run("card", "--out", str(tmp_path / f"{name}.card"))
    return found


def joined(two: Named, folder: Path) -> None:
    """Give the internal counsellor's counts to the external one."""
    out = folder / f"{len(list(folder.iterdir()))}.age"
    card = str(folder / "extern.card")
    two["intern"].run("annual", "counts", "export", "Zorg", "2025", "--to", card, "--out", str(out),
                      given="y\n")  # fmt: skip
    two["extern"].run("annual", "counts", "import", str(out), given="y\n")


def report(desk: Office) -> str:
    return desk.run("annual", "Zorg", "2025", "--format", "csv").stdout


@pytest.mark.parametrize("marked_by", ["intern", "extern"])
def test_person_who_contacted_both_counsellors_counts_once_if_one_of_them_marks_the_case(
    two: Named, tmp_path: Path, marked_by: str
) -> None:
    said = two[marked_by].json("register", "colleague-counts", "P")
    assert said["colleague_counts"] is True
    joined(two, tmp_path)
    assert "0 tot en met 9" in report(two["extern"])
    shown = two["extern"].run("annual", "Zorg", "2025", "--preview").stdout
    assert "Er tellen 9 situaties mee" in shown
    assert ("Niet in jouw deel van de telling: 1." in shown) == (marked_by == "extern")


def test_person_who_contacted_both_counsellors_counts_twice_if_neither_marks_the_case(
    two: Named, tmp_path: Path
) -> None:
    joined(two, tmp_path)
    assert "10 tot en met 19" in report(two["extern"])


def test_marking_a_case_changes_neither_exported_counts_nor_an_issued_report(
    two: Named, tmp_path: Path
) -> None:
    joined(two, tmp_path)
    told = two["intern"].run("register", "colleague-counts", "P")
    assert "Your counts of 2025 were given to Extern and stay as they are." in told.stderr
    joined(two, tmp_path)
    with two["extern"].open() as place:
        taken = [one for one in register.every(place) if isinstance(one, Joint)]
    assert [sum(one.situations.values()) for one in taken] == [5, 5]
    two["extern"].run("annual", "Zorg", "2025", "--freeze")
    before = report(two["extern"])
    told = two["extern"].run("register", "colleague-counts", "P")
    assert "The report of 2025 was issued and stays as it is." in told.stderr
    assert report(two["extern"]) == before
    assert "10 tot en met 19" in before


def test_mark_set_before_the_report_is_issued_applies_even_if_counts_were_already_imported(
    two: Named, tmp_path: Path
) -> None:
    joined(two, tmp_path)
    assert two["extern"].run("register", "colleague-counts", "P").stderr == ""
    assert "0 tot en met 9" in report(two["extern"])


def test_mark_on_a_case_can_be_removed_and_exported_and_is_kept_after_the_case_is_destroyed(
    two: Named,
) -> None:
    desk = two["extern"]
    desk.run("register", "colleague-counts", "P")
    lines = desk.run("register", "export", "--json").stdout.splitlines()
    marks = [json.loads(line) for line in lines if "colleague_counts" in line]
    assert [(one["event"], one["case"], one["colleague_counts"]) for one in marks] == [
        ("case", "P", True)
    ]
    assert desk.json("register", "colleague-counts", "P", "--off")["colleague_counts"] is False
    assert "colleague_counts" not in desk.run("register", "export", "--json").stdout
    desk.run("register", "colleague-counts", "P")
    desk.run("register", "destroy", "P", "--yes")
    with desk.open() as place:
        (row,) = (one for one in register.every(place) if isinstance(one, Statistic))
    assert (row.situations, row.colleague_counts) == (1, True)


def test_mark_on_a_case_is_kept_even_if_cases_are_recorded_as_counts_only(two: Named) -> None:
    sheet = {"event": "employer", "date": "2024-01-01", "employer": "Zorg", "recording": "none"}
    two["extern"].run("register", "import", "-", given=json.dumps(sheet))
    assert two["extern"].json("register", "colleague-counts", "P")["colleague_counts"] is True


def test_mark_on_a_case_does_not_change_the_hours(two: Named) -> None:
    desk = two["extern"]
    talk = {"event": "contact", "date": "2025-05-05", "employer": "Zorg", "case": "P",
            "minutes": 90}  # fmt: skip
    desk.run("register", "import", "-", given=json.dumps(talk))
    before = desk.json("register", "cases")
    desk.run("register", "colleague-counts", "P")
    assert [one["minutes"] for one in desk.json("register", "cases")] == [
        one["minutes"] for one in before
    ]


def test_linked_case_is_counted_in_the_year_in_which_its_situation_began(two: Named) -> None:
    later = {"event": "case", "date": "2026-01-05", "employer": "Zorg", "case": "Q",
             "belongs_with": ["P"]}  # fmt: skip
    frozen = {"event": "freeze", "date": "2026-02-01", "employer": "Zorg", "first_year": 2025,
              "last_year": 2025}  # fmt: skip
    lines = "\n".join(map(json.dumps, (later, frozen)))
    two["extern"].run("register", "import", "-", given=lines)
    with two["extern"].open() as place:
        found = register.case(place, "Q")
        assert joint.counted_year(place, found) == 2025
        assert isinstance(joint.closed_by(place, found), Freeze)
