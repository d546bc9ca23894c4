"""The register in a desk: import, export, cases, recording levels, forgotten threads."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.desk.actions import backups, corrections, register
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register.events import Consent
from dropbox_app.desk.register.form import Refused
from tests.desk.conftest import PASSPHRASE, Office, without_columns
from tests.support.fake_server import Clock, Reporter

EXAMPLE = (importlib.resources.files("dropbox_app.desk.register") / "example.jsonl").read_bytes()
SHEET = {"event": "employer", "date": "2026-01-01", "employer": "Voorbeeld BV"}
CONTACT = {
    "event": "contact", "date": "2026-02-03", "employer": "Voorbeeld BV", "minutes": 20,
    "how": "telephone", "notes": "Over Zeldzaamwoord", "topic": "integrity",
}  # fmt: skip


def jsonl(*values: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in values)


def kept(place: Workplace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in register.export(place).splitlines()]


def test_import_round_trips_and_repeating_the_import_adds_nothing(
    office: Office, tmp_path: Path
) -> None:
    file = tmp_path / "e.jsonl"
    file.write_bytes(EXAMPLE)
    assert office.run("register", "import", str(file)).stdout.startswith("25 events")
    printed = office.run("register", "export", "--json").stdout
    given = [json.loads(line) for line in EXAMPLE.splitlines()]
    assert [json.loads(line) for line in printed.splitlines()] == sorted(
        given, key=lambda one: one["date"]
    )
    again = office.run("register", "import", "-", given=printed).stdout
    assert again == "0 events were kept in the register.\n25 were already in it.\n"
    assert office.run("register", "export", "--json").stdout == printed


def test_file_with_a_fault_is_not_imported_at_all(office: Office) -> None:
    bad = CONTACT | {"minutes": 2_000}
    result = office.run("register", "import", "-", given=jsonl(SHEET, CONTACT, bad), code=1)
    assert "Line 3, minutes: 2000 is out of range" in result.stderr
    assert "Nothing of this file was kept." in result.stderr
    assert office.run("register", "export", "--json").stdout == ""
    office.run("register", "import", code=2)
    office.run("register", "import", "/nowhere.jsonl", code=1)


@pytest.mark.parametrize(
    ("level", "left"),
    [
        ("none", {"minutes", "topic"}),
        ("minimal", {"minutes", "topic", "how"}),
        ("full", {"minutes", "topic", "how", "notes"}),
    ],
)
def test_each_recording_level_keeps_only_its_own_fields(
    office: Office, level: str, left: set[str]
) -> None:
    given = jsonl(SHEET | {"recording": level}, CONTACT)
    said = office.run("register", "import", "-", given=given).stdout
    assert ("Left out" in said) == (level != "full")
    with office.open() as place:
        assert set(kept(place)[1]) == left | {"event", "date", "employer"}


def test_recording_level_defaults_to_minimal(office: Office) -> None:
    office.run("register", "import", "-", given=jsonl(CONTACT))
    with office.open() as place:
        assert "notes" not in kept(place)[0]


def test_contact_to_be_kept_without_details_is_only_counted(office: Office) -> None:
    given = jsonl(SHEET | {"recording": "full"}, CONTACT | {"record_nothing": True, "case": ""})
    office.run("register", "import", "-", given=given)
    office.run("register", "contact", "Voorbeeld BV", "--minutes", "9", "--record-nothing",
               "--topic", "integrity")  # fmt: skip
    with office.open() as place:
        wanted = {"event", "date", "employer", "minutes", "record_nothing"}
        assert [set(one) for one in kept(place)[1:]] == [wanted, wanted]


def test_contact_is_recorded_with_one_command_in_new_or_existing_case(office: Office) -> None:
    office.run("register", "contact", "Voorbeeld BV", "--minutes", "45", "--how", "telephone",
               "--new-case", "Rooster", "--topic", "labour_conflict")  # fmt: skip
    office.run("register", "contact", "Voorbeeld BV", "--minutes", "15", "--case", "rooster")
    (found,) = office.json("register", "cases")
    assert (found["case"], found["label"]) == ("2027-1", "Rooster")
    assert (found["contacts"], found["minutes"]) == (2, 60)
    assert "Rooster" in office.run("register", "cases", "--open").stdout
    office.run("register", "contact", "Voorbeeld BV", "--case", "nowhere", code=1)
    office.run("register", "contact", "Voorbeeld BV", "--minutes", "1441", code=2)
    office.run("register", "contact", "Voorbeeld BV", "--date", "2027-02-01", code=1)
    office.run("register", "contact", "Voorbeeld BV", "--case", "a", "--new-case", "b", code=2)


def test_only_one_case_is_opened_for_a_thread(office: Office, thread: str, clock: Clock) -> None:
    for _ in range(2):
        (found,) = office.json("register", "cases")
        assert (found["thread"], found["opened"]) == (thread, "2027-01-05")
        assert found["employer"] == "Voorbeeld BV"
        clock.to("2027-01-09")


def test_forgotten_thread_is_not_named_in_the_register(office: Office, thread: str) -> None:
    office.run("register", "cases")
    office.run("forget", thread, "--yes")
    with office.open() as place:
        assert thread not in register.export(place)
        assert [one.sheet.thread for one in register.all_cases(place)] == [""]
        assert not place.database.rewrite_is_due


def test_signed_answer_is_recorded_as_consent_and_expires(
    office: Office, reporter: Reporter, thread: str, clock: Clock
) -> None:
    office.run("ask", thread, "--step", "Praten", "--with", "De directeur", "--scope", "Geen naam")
    asked = office.case(thread).thread.entries[-1].message
    assert asked is not None
    reporter.send("consent-answer", {"request": asked.digest, "answer": "yes"})
    office.fetch_quietly()
    (found,) = office.json("register", "cases")
    (one,) = office.json("register", "consents", found["case"])
    assert (one["partner"], one["answer"], one["source"]) == ("De directeur", "yes", "thread")
    assert one["good"]
    step = {"event": "step", "date": "2027-01-05", "employer": "Voorbeeld BV", "partner":
            "de directeur", "case": found["case"], "consent": one["consent"]}  # fmt: skip
    office.run("register", "import", "-", given=jsonl(step))
    clock.to("2027-01-20")
    assert not office.json("register", "consents", found["case"])[0]["good"]
    late = office.run("register", "import", "-", given=jsonl(step | {"date": "2027-01-20"}), code=1)
    assert "15 days old" in late.stderr
    with office.open() as place:
        assert len([e for e in register.every(place) if isinstance(e, Consent)]) == 1


@pytest.mark.parametrize("level", ["none", "minimal", "full"])
def test_signed_answer_is_recorded_once_at_every_recording_level(
    office: Office, reporter: Reporter, thread: str, level: str
) -> None:
    office.run("register", "import", "-", given=jsonl(SHEET | {"recording": level}))
    office.run("ask", thread, "--step", "Praten", "--with", "De directeur", "--scope", "Geen naam")
    asked = office.case(thread).thread.entries[-1].message
    assert asked is not None
    reporter.send("consent-answer", {"request": asked.digest, "answer": "yes"})
    office.fetch_quietly()
    answer = office.case(thread).thread.entries[-1].message
    assert answer is not None
    (found,) = office.json("register", "cases")
    for _ in range(2):
        assert len(office.json("register", "consents", found["case"])) == 1
    with office.open() as place:
        (one,) = [e for e in register.every(place) if isinstance(e, Consent)]
    assert (one.answer, one.source, one.message) == ("yes", "thread", answer.digest)
    assert bool(one.step) == (level != "none")


@pytest.fixture
def year_end(clock: Clock) -> None:
    clock.to("2026-12-28")


@pytest.mark.usefixtures("year_end")
@pytest.mark.parametrize("adopted", ["2026-12-28", "2027-01-05"])
def test_signed_answer_fetched_after_the_annual_report_keeps_its_date(
    office: Office, reporter: Reporter, thread: str, clock: Clock, adopted: str
) -> None:
    office.run("ask", thread, "--step", "Praten", "--with", "De directeur", "--scope", "Geen naam")
    asked = office.case(thread).thread.entries[-1].message
    assert asked is not None
    if adopted == "2026-12-28":
        office.run("register", "cases")
    clock.to("2026-12-30")
    reporter.send("consent-answer", {"request": asked.digest, "answer": "yes"})
    clock.to("2027-01-05")
    issued = {"event": "freeze", "date": "2027-01-02", "employer": "Voorbeeld BV",
              "first_year": 2026, "last_year": 2026}  # fmt: skip
    office.run("register", "import", "-", given=jsonl(issued))
    office.fetch_quietly()
    (found,) = office.json("register", "cases")
    (one,) = office.json("register", "consents", found["case"])
    assert (one["date"], one["answer"]) == ("2026-12-30", "yes")
    assert office.json("register", "cases")[0]["opened"] == adopted


def test_register_data_appears_in_no_unsealed_file_and_no_request(
    office: Office, thread: str, tmp_path: Path
) -> None:
    given = jsonl(SHEET | {"recording": "full"}, CONTACT)
    office.run("register", "import", "-", given=given)
    office.reply(thread, "Dank je")
    office.fetch_quietly()
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
        assert "Zeldzaamwoord" in register.export(place)
        seen = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert len(seen) > 3
        assert not any(b"Zeldzaamwoord" in file.read_bytes() for file in seen)
    assert "Zeldzaamwoord" not in repr(office.peer.log)
    again = Office(tmp_path / "again", office.peer, office.clock)
    backups.restore(again.folder, tmp_path / "b.age", PASSPHRASE, office.machine)
    with again.open() as place:
        assert "Zeldzaamwoord" in register.export(place)


def test_database_without_register_is_upgraded_on_opening(office: Office) -> None:
    with office.open() as place:
        place.database.run("DROP TABLE event")
        without_columns(place)
        place.database.run("PRAGMA user_version = 2")
    office.run("register", "import", "-", given=jsonl(CONTACT))
    with office.open() as place:
        assert len(kept(place)) == 1


def test_refused_change_stores_nothing(office: Office) -> None:
    with office.open() as place:
        with pytest.raises(Refused):
            register.bring_in(place, jsonl(CONTACT, CONTACT | {"case": "none"}).encode())
        assert kept(place) == []


def test_refused_case_sheet_clears_no_field(office: Office) -> None:
    issued = {"event": "freeze", "date": "2026-02-01", "employer": "Voorbeeld BV",
              "first_year": 2025, "last_year": 2025}  # fmt: skip
    given = jsonl(SHEET | {"notes": "Blijft staan", "reachable": "dinsdag"}, issued)
    office.run("register", "import", "-", given=given)
    with office.open() as place:
        before = kept(place)
        with pytest.raises(Refused):
            corrections.set_employer(
                place, "Voorbeeld BV", {"group": "Concern"}, ("notes", "reachable", "group")
            )
        assert kept(place) == before
