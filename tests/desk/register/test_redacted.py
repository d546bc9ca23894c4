"""The redacted copy of a case contains what was selected and nothing else."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbox_app.desk.actions import copies, register
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import cases, form, redacted
from dropbox_app.desk.register.events import KINDS, Event
from dropbox_app.desk.register.redacted import Copy, Part
from tests.desk.conftest import Office
from tests.support.fake_server import Reporter

SIGN = "[weg]"
EMPLOYER = "Voorbeeld BV"
THREAD = "ab" * 32


def event(kind: str, day: str, **fields: object) -> Event:
    return form.read({"event": kind, "date": day, "employer": EMPLOYER, "case": "2027-1", **fields})  # type: ignore[dict-item] # JSON


EVENTS = [
    event("case", "2027-01-05", label="Eigennaam", thread=THREAD, main_group="labour_conflict",
          accused=["line_manager"], goal="Dat Jan de Vries stopt", belongs_with=["2027-8"],
          conflicts_with=["2027-9"], notes="Aantekening", began=2025),
    event("contact", "2027-01-06", how="telephone", minutes=20, with_whom=["reporter"],
          notes="Aantekening", consent="2027-1.1"),
    event("consent", "2027-01-07", consent="2027-1.1", step="Praten met jan",
          partner="Jan de Vries", scope="Dat het anders moet", answer="yes",
          source="thread", message=THREAD),
    event("step", "2027-01-08", consent="2027-1.1", step="Gepraat met mevrouw Zwart",
          partner="Mevrouw Zwart", why="Zij vroeg erom"),
    event("complaint", "2027-01-09", what="formal_complaint", body="De commissie van José"),
    event("close", "2027-02-01", outcome="referred", referral=["mediator"]),
]  # fmt: skip
CASE = cases.standing(EVENTS)
PARTS = redacted.parts(CASE, list(enumerate(EVENTS, 1)))
ALL = {(one.number, name) for one in PARTS for name in one.fields}
OTHER_SIDE = cases.standing([event("case", "2027-01-02", label="Zaak Karim")])
KNOWN = redacted.known_names(EVENTS, [OTHER_SIDE], ["Magazijn"])
NEVER = (
    "notes", "label", "thread", "message", "case", "consent", "partner", "belongs_with",
    "conflicts_with", "began", "began_group", "again", "record_nothing", "source",
)  # fmt: skip


def text(made: Copy) -> str:
    return json.dumps([[one.kind, dict(one.fields)] for one in made.parts], ensure_ascii=False)


def copied(*names: str) -> str:
    return text(redacted.copy(PARTS, ALL, [*names, *KNOWN], SIGN))


def blacked_out(goal: str, *names: str) -> Copy:
    one = event("case", "2027-01-05", goal=goal)
    return redacted.copy(redacted.parts(cases.standing([one]), []), {(0, "goal")}, names, SIGN)


def take(place: Workplace, *given: object) -> None:
    register.bring_in(place, "\n".join(map(json.dumps, given)).encode())


def choice(place: Workplace) -> list[Part]:
    return copies.choice(place, "2027-1").parts


def test_default_copy_of_a_case_has_only_dates_and_kinds_of_entries() -> None:
    made = redacted.copy(PARTS, redacted.ticked(PARTS), KNOWN, SIGN)
    assert [one.kind for one in made.parts] == [
        "case", "contact", "consent", "step", "complaint", "close"
    ]  # fmt: skip
    assert all(list(one.fields) == ["date"] for one in made.parts)


def test_private_fields_are_never_offered_for_a_copy() -> None:
    for kind, names in redacted.OFFERED.items():
        assert set(names) <= set(form.readers(KINDS[kind]))
        assert not set(names) & set(NEVER)


def test_copy_of_a_case_with_everything_selected_contains_nothing_private() -> None:
    said = copied()
    for secret in (THREAD, "Aantekening", "Eigennaam", "2027-8", "2027-9", "2027-1", "Vries",
                   "Zwart", "Karim", "2025"):  # fmt: skip
        assert secret.casefold() not in said.casefold(), secret
    assert "line_manager" in said


def test_omitted_fields_are_listed_with_their_kind() -> None:
    made = redacted.copy(PARTS, redacted.ticked(PARTS), KNOWN, SIGN)
    assert ("case", "goal") in made.unchosen
    assert {("case", "notes"), ("case", "conflicts_with"), ("step", "partner")} <= set(
        made.withheld
    )


@given(
    chosen=st.sets(st.sampled_from(sorted(ALL)) | st.tuples(st.integers(0, 9), st.text(max_size=9)))
)
@settings(max_examples=40, deadline=None)
def test_copy_contains_only_selected_and_offered_fields(chosen: set[tuple[int, str]]) -> None:
    made = redacted.copy(PARTS, chosen, KNOWN, SIGN)
    assert {(one.number, name) for one in made.parts for name in one.fields} == chosen & ALL


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Jan de Vries", "jan de vries"), ("Jan de Vries", "JAN"), ("Jan de Vries", "Jans"),
        ("Jan de Vries", "Vries's"), ("Jan-Willem", "jan willem"), ("José", "Jose"),
        ("Jose", "José"), ("Ça", "ça"), ("de chef", "De chef"), ("Bo", "Bo"), ("x.y", "x y"),
        ("jan jansen", "Jan"), ("jan jansen", "JANSEN"), ("Jan jansen", "Jansen"),
        ("An Peeters", "An"), ("Jan Jansen", "jan_jansen"), ("Jan Jansen", "janjansen"),
        ("Łukasz", "Lukasz"), ("Soren", "Søren"), ("Strauß", "Strauss"), ("Aegir", "Ægir"),
        ("I\u015f\u0131k", "isik"), ("Jansen", "Jan\u00adsen"), ("Jansen", "Jan\u200bsen"),
        ("Jan\u200b Jansen", "Jan Jansen"), ("Jan", "Ja\u0301\u0323n"),
        ("محمد علي", "محمد"), ("محمد علي", "مُحَمَّد"), ("李明", "李明"), ("김민수", "김민수"),
    ],
)  # fmt: skip
def test_name_is_redacted_however_it_is_written(name: str, written: str) -> None:
    made = blacked_out(f"Vraag het {written}, en gauw.", name)
    assert made.parts[0].fields["goal"] == f"Vraag het {SIGN}, en gauw."
    assert made.blacked_out == 1


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Jan Jansen", "jan_jansen@bedrijf.example", "[weg]@bedrijf.example"),
        ("Jan Jansen", "jansen2@x.example", "[weg]2@x.example"),
        ("Jan", "Jan\u200bzei", "[weg]\u200bzei"),
        ("李明", "李明说", "[weg]说"), ("김민수", "김민수는", "[weg]는"),
        ("Jan", "Jan说", "[weg]说"),
        ("李明", "Jan李明", "Jan[weg]"), ("Lokaal 12", "lokaal 12, 2012", "[weg], 2012"),
        ("محمد علي", "ومحمد", "و[weg]"),
        ("Fien", "\ufb01en", "[weg]"),
    ],
)  # fmt: skip
def test_name_without_surrounding_spaces_is_redacted(name: str, text: str, left: str) -> None:
    assert blacked_out(text, name).parts[0].fields["goal"] == left


def test_names_to_redact_that_are_not_found_are_reported() -> None:
    made = blacked_out("Jan zei iets tegen Piet.", "Jan Jansen", "Kees", "piet", "?!", " ")
    assert made.unfound == ("Kees", "?!")


@pytest.mark.parametrize(("name", "left"), [("De chef", "De jas"), ("Jan", "januari"), ("", "Jan")])
def test_words_other_than_the_name_are_not_redacted(name: str, left: str) -> None:
    assert blacked_out(left, name).parts[0].fields["goal"] == left


def test_command_shows_a_copy_and_writes_it_to_the_given_path(
    office: Office, tmp_path: Path
) -> None:
    sheet = {"event": "employer", "date": "2027-01-01", "employer": EMPLOYER, "recording": "full"}
    goal = form.to_json(event("case", "2027-01-05", goal="Dat Jan stopt", notes="Aantekening"))
    raw = "\n".join(map(json.dumps, (sheet, goal)))
    office.run("register", "import", "-", given=raw)
    out = tmp_path / "copy.txt"
    shown = office.run(
        "register",
        "copy",
        "2027-1",
        "--field",
        "0.goal",
        "--name",
        "Jan de Vries",
        "--name",
        "Karim",
        "--out",
        str(out),
    )
    assert "goal: Dat [removed] stopt" in shown.stdout
    assert out.read_text() == shown.stdout
    assert "Not found in this copy; check for other spellings: Karim." in shown.stderr
    wrong = office.run("register", "copy", "2027-1", "--field", "0.notes", code=2)
    assert "0.goal" in wrong.stderr
    office.run("register", "copy", "2027-1", "--for", "employer", code=1)


def test_selection_still_refers_to_the_same_field_after_an_earlier_entry_arrives(
    office: Office,
) -> None:
    sheet = {"event": "employer", "date": "2027-01-01", "employer": EMPLOYER, "recording": "full"}
    opened = form.to_json(event("case", "2027-01-02"))
    complaint = form.to_json(event("complaint", "2027-01-05", what="formal_complaint", body="Raad"))
    with office.open() as place:
        take(place, sheet, opened, complaint)
        (number,) = [one.number for one in choice(place) if one.kind == "complaint"]
        take(place, form.to_json(event("contact", "2027-01-04", how="telephone")))
        assert [one.kind for one in choice(place)] == ["case", "contact", "complaint"]
        made = copies.copy(place, "2027-1", "reporter", {(number, "body")}, [], SIGN)
    assert text(made) == '[["complaint", {"body": "Raad"}]]'


def test_newly_fetched_answer_is_immediately_offered_for_a_copy(
    office: Office, reporter: Reporter, thread: str
) -> None:
    asked = ("--step", "Praten", "--with", "De directeur", "--scope", "Geen naam")
    office.run("ask", thread, *asked)
    message = office.case(thread).thread.entries[-1].message
    assert message is not None
    reporter.send("consent-answer", {"request": message.digest, "answer": "yes"})
    office.fetch()
    (found,) = office.json("register", "cases")
    shown = office.run("register", "copy", found["case"])
    assert "consent" in shown.stdout
    assert "scope" in shown.stderr
