"""One employer, one name: variants are refused, similar names reported, duplicates merged."""

import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.desk.actions import register
from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual.suppression import Band
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import events as e
from dropbox_app.desk.register import names
from dropbox_app.protocol import card as cards
from tests.desk.annual.worlds import TODAY, agreed, cases
from tests.desk.conftest import Office
from tests.desk.register.test_keeping import jsonl, kept
from tests.support.fake_server import Clock, Peer, Reporter

YEAR = 2025


@pytest.mark.parametrize(
    ("one", "other"),
    [("Voorbeeld BV", "voorbeeld b.v."), ("Café Zorg", "Cafe  Zorg"), ("A-B", "AB"), ("Z&Z", "zz")],
)
def test_names_differing_only_in_case_accents_spaces_or_punctuation_are_equal(
    one: str, other: str
) -> None:
    assert names.same([one], other) == [one]
    assert names.spelled([one], other) == one


@pytest.mark.parametrize(
    ("one", "other"),
    [("Voorbeeld BV", "Voorbeeld"), ("Voorbeeld BV", "Voorbeeldt BV"), ("Stichting Zorg", "Zorg")],
)
def test_names_differing_in_legal_form_or_one_letter_are_similar(one: str, other: str) -> None:
    assert names.near([one], other) == [one]
    assert names.same([one], other) == []


@pytest.mark.parametrize(("one", "other"), [("Klein", "Groot"), ("Zorg Noord", "Bouw Zuid"),
                                            ("AB", "AC"), ("!!", "??")])  # fmt: skip
def test_different_names_are_not_similar(one: str, other: str) -> None:
    assert names.near([one], other) == names.same([one], other) == []


def test_compared_names_are_not_kept_in_memory() -> None:
    class Name(str):
        __slots__ = ("__weakref__",)

    one, other = Name("Voorbeeld BV"), Name("voorbeeld b.v.")
    held = weakref.ref(one), weakref.ref(other)
    assert names.same([one], other)
    assert names.near([one], other)
    assert names.spelled([one], other)
    del one, other
    assert [one() for one in held] == [None, None]


def line(event: str, employer: str, **more: object) -> dict[str, Any]:
    return {"event": event, "date": "2026-03-01", "employer": employer, **more}


def test_variant_spelling_of_an_employer_is_refused_and_the_known_spelling_shown(
    office: Office,
) -> None:
    office.run("register", "import", "-", given=jsonl(line("employer", "Zorg BV")))
    told = office.run("register", "contact", "zorg b.v.", "--minutes", "5", code=1).stderr
    assert "the register has this employer as 'Zorg BV'" in told
    group = jsonl(line("employer", "Winkel", group="ZorgBV"))
    assert "group" in office.run("register", "import", "-", given=group, code=1).stderr
    two = jsonl(line("contact", "Bouw"), line("contact", "BOUW"))
    assert "as 'Bouw'" in office.run("register", "import", "-", given=two, code=1).stderr


def test_thread_gets_its_case_even_if_site_name_is_spelled_differently(
    office: Office, thread: str
) -> None:
    office.run("register", "import", "-", given=jsonl(line("employer", "VOORBEELD B.V.")))
    (found,) = office.json("register", "cases")
    assert found["employer"] == "VOORBEELD B.V."


def test_new_sites_with_nearly_identical_names_each_get_their_own_cases(
    office: Office, thread: str, clock: Clock, tmp_path: Path
) -> None:
    second = Peer(clock)
    joined = Office(office.folder, second, clock)
    (tmp_path / "two.json").write_bytes(second.invitation("VOORBEELD B.V."))
    joined.run("init", str(tmp_path / "two.json"), "--name", "Els", "--kind", "external")
    card = office.run("card", "--site", second.site[:8]).stdout.encode()
    second.add_card(card)
    other = Reporter(second, cards.parse(card).identity)
    other.report("Bij de ander")
    joined.run("fetch", "--site", second.site[:8])
    found = office.json("register", "cases")
    assert {one["thread"] for one in found} == {thread, other.mailbox}
    assert len({one["employer"] for one in found}) == 1


def test_similar_name_is_reported_and_names_can_be_merged(office: Office) -> None:
    office.run("register", "import", "-", given=jsonl(line("employer", "Zorg BV", headcount=12)))
    said = office.run("register", "contact", "Zorg", "--minutes", "5").stdout
    assert "register rename 'Zorg' 'Zorg BV'" in said
    office.run("register", "import", "-", given=jsonl(line("employer", "Winkel", group="Zorg")))
    assert "2 events" in office.run("register", "rename", "Zorg", "Zorg BV", "--yes").stdout
    office.run("register", "rename", "Zorg", "Zorg BV", "--yes", code=1)
    with office.open() as place:
        assert {one["employer"] for one in kept(place)} == {"Zorg BV", "Winkel"}
        assert [one["group"] for one in kept(place) if "group" in one] == ["Zorg BV"]


def test_renaming_an_employer_is_not_undone_by_its_site(
    office: Office, thread: str, reporter: Reporter
) -> None:
    office.json("register", "cases")
    office.run("register", "rename", "Voorbeeld BV", "Voorbeeld", "--yes")
    with office.open() as place:
        assert register.employers(place) == ["Voorbeeld"]
    Reporter(reporter.peer, office.identity).report("Nog iemand")
    office.run("fetch")
    assert {one["employer"] for one in office.json("register", "cases")} == {"Voorbeeld"}


def test_employers_with_conflicting_reports_are_not_merged(
    office: Office,
) -> None:
    frozen = {"event": "freeze", "date": "2026-02-01", "first_year": 2025, "last_year": 2025}
    given = [frozen | {"employer": "Zorg"}, frozen | {"employer": "Zorg BV"},
             line("employer", "Winkel", group="Bouw")]  # fmt: skip
    office.run("register", "import", "-", given=jsonl(*given))
    with office.open() as place:
        before = kept(place)
        for old, new in (("Zorg", "Zorg BV"), ("Winkel", "Bouw")):
            with pytest.raises(Unfit):
                register.rename(place, old, new)
        assert kept(place) == before


def test_employer_under_two_names_gets_no_report_until_merged() -> None:
    # Eight and seven situations would give two reports of 0-9 for an employer that has fifteen.
    cells = {("Zorg", YEAR, "other"): 8, ("ZORG", YEAR, "other"): 7}
    events = [*agreed("Zorg", 400), *cases(cells, "z"), *agreed("ZORG", 400)]

    def made(given: list[e.Event]) -> drafts.Draft:
        return drafts.draft(given, "Zorg", YEAR, today=TODAY, counsellor="Noor", language="nl")

    with pytest.raises(Unfit) as caught:
        made(events)
    assert caught.value.key == "two_names"
    changes = {id(was): after for was, after in names.renamed(events, "ZORG", "Zorg")}
    one = [changes.get(id(event), event) for event in events]
    # The cases of each employer have their own references, as in a register.
    told = [
        e.Case(date=x.date, employer="Zorg", case=f"{n}") if isinstance(x, e.Case) else x
        for n, x in enumerate(one)
    ]
    assert [figure.band for figure in made(told).figures] == [Band(10, 19)]


def test_preview_asks_about_similar_names() -> None:
    events = [*agreed("Zorg BV", 400), *agreed("Zorg", 12)]
    draft = drafts.draft(events, "Zorg BV", YEAR, today=TODAY, counsellor="Noor", language="nl")
    assert any("Kijk naar: Zorg." in one for one in draft.preview)
    assert "Kijk naar" not in json.dumps([section.sentences for section in draft.report.sections])
