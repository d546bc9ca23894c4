"""The annual report's pages: missing items, own words, issuing, files, exchanged counts."""

import json
from pathlib import Path

import pytest

from dropbox_app.desk.actions import annual, register
from tests.desk.conftest import Office
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_register import bring_in, employer_page, event, exported
from tests.support.fake_server import Clock, Peer
from tests.support.plain_browser import Page as Answer

EMPLOYER = "Voorbeeld BV"
YEAR = 2026  # the last complete year
AGREED = event("agreement", "2026-01-01", until="2028-12-31", headcount=400, price=4800)
SHARED = AGREED | {"shared_with": "Sam"}
TALKS = [event("contact", f"2026-04-{day:02}") for day in range(1, 13)]


@pytest.fixture
def window(running: Running) -> Window:
    return running.at_work()


def report_page(running: Running, window: Window, year: int = YEAR, name: str = EMPLOYER) -> Answer:
    listed = window.get(f"{running.home}annual")
    pages = (window.get(one) for one in listed.links if one.endswith(f"/{year}"))
    return next(one for one in pages if f'<p class="lead">{name}' in one.html)


def linked(page: Answer, part: str) -> str:
    return next(one for one in page.links if part in one)


def issue(window: Window, page: Answer) -> Answer:
    last = window.get(linked(page, "/issue"))
    return window.press(last, "/issue")


def test_page_of_an_employer_without_agreement_links_to_the_next_step(
    running: Running, window: Window
) -> None:
    bring_in(running, *TALKS)
    listed = window.get(f"{running.home}annual")
    assert "In 2026 was er geen afspraak met Voorbeeld BV." in listed.text
    page = report_page(running, window)
    there = window.get(linked(page, "#agreed"))
    assert "<h1>Voorbeeld BV</h1>" in there.html


def test_report_of_an_unfinished_year_cannot_be_issued_but_can_be_prepared(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED)
    page = report_page(running, window, 2027)
    assert "Het jaar 2027 is nog niet voorbij." in page.text
    assert not any("/issue" in link for link in page.links)
    assert "Hoe mensen je bereiken" in page.text


def test_one_open_ended_agreement_does_not_block_other_employers_reports(
    running: Running, window: Window
) -> None:
    open_ended = event("agreement", "2026-01-01", headcount=12) | {"employer": "Bakker"}
    bring_in(running, AGREED, *TALKS, open_ended)
    listed = window.get(f"{running.home}annual")
    assert "De afspraak met Bakker heeft geen einddatum." in listed.text
    assert "klaar om te bekijken" in listed.text


def test_details_filled_in_for_a_report_appear_in_that_report(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED)
    page = report_page(running, window)
    asked = window.get(linked(page, "/facts"))
    bring_in(
        running, {"event": "certificate", "date": "2024-01-01", "register_number": "VP-17"},
        {"event": "upkeep", "date": "2026-05-01", "what": "training", "minutes": 480},
    )  # fmt: skip
    done = window.submit(
        asked, asked.form_with("reachable"), reachable="06 12345678", poster="no",
        discussed_with="works_council",
    )  # fmt: skip
    assert "06 12345678" in done.text
    assert "Hang posters van de vertrouwenspersoon op" in done.text
    for filled in ("Hoe mensen je bereiken", "Je registernummer", "Je uren scholing"):
        assert filled in page.text
        assert filled not in done.text
    assert "Wie je vervangt als je weg bent" in done.text
    kept = [one for one in exported(running) if one["event"] in ("employer", "checklist")]
    assert {one["date"] for one in kept} == {"2026-12-31"}
    assert [one["items"] for one in kept if "items" in one] == [{"poster": "no"}]


def test_counsellors_text_is_checked_kept_and_restored_after_locking(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED, event("employer", "2026-01-01", avoid=["Magazijn"]))
    page = report_page(running, window)
    done = window.press(page, "/words", signals="In het magazijn zeiden drie mensen iets.")
    assert "“magazijn” (een afdeling of plaats)" in done.text
    assert "“drie” (een aantal)" in done.text
    long = window.press(done, "/words", bottlenecks="Te lang. " * 200)
    assert "Er passen er 1.200 in het verslag." in long.text
    assert "Te lang. Te lang." in long.html
    running.lock.lock()
    asked = window.press(done, "/words", bottlenecks="Bijna kwijt")
    again = window.press(asked, "unlock", passphrase="een zin die niemand raadt 1729")
    assert "Bijna kwijt" in again.html
    assert "In het magazijn zeiden" in window.get(linked(done, "/issue")).text


def test_report_form_a_has_no_field_for_the_counsellors_text(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED | {"headcount": 12}, *TALKS)
    page = report_page(running, window)
    assert "textarea" not in page.html
    assert "In vorm A staan geen eigen woorden" in page.text
    refused = window.press(page, "/words", signals="Toch iets")
    assert "In vorm A staan geen eigen woorden" in refused.text
    assert "Toch iets" not in window.get(linked(page, "/issue")).text


def test_form_without_the_text_field_leaves_the_text_unchanged(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED | {"until": "2026-12-31"})
    window.press(report_page(running, window), "/words", signals="Roosters.", bottlenecks="Tijd.")
    without_end = event("agreement", "2027-01-01", headcount=400)
    bring_in(running, without_end)
    page = report_page(running, window)
    assert "textarea" not in page.html
    window.press(page, "/words", language="en")
    running.lock.lock()
    asked = window.press(page, "/words", language="en")
    line = json.dumps(without_end | {"until": "2028-12-31"})
    running.office.run("register", "import", "-", given=line)
    again = window.press(asked, "unlock", passphrase="een zin die niemand raadt 1729")
    for shown in (again, report_page(running, window)):
        assert "Roosters." in shown.html
        assert "Tijd." in shown.html


def test_report_is_previewed_issued_once_and_reproduced_exactly(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED, *TALKS)
    page = report_page(running, window)
    assert "Er tellen 12 situaties mee" in page.text
    first = page
    draft = window.get(linked(page, "report.html"))
    assert b"Concept, niet uitgebracht" in draft.body
    last = window.get(linked(page, "/issue"))
    assert "Er tellen 12 situaties mee" not in last.text
    done = window.press(last, "/issue")
    assert "Het verslag is uitgebracht." in done.text
    assert "Er tellen 12 situaties mee" not in done.text
    again = window.press(last, "/issue")
    assert sum(one["event"] == "freeze" for one in exported(running)) == 1
    assert "10 tot en met 19" in again.text
    before = {
        kind: window.get(linked(done, f"report.{kind}")).body
        for kind in ("pdf", "html", "md", "csv", "json")
    }
    running.page.language = "en"
    page = report_page(running, window)
    assert {kind: window.get(linked(page, f"report.{kind}")).body for kind in before} == before
    assert before["pdf"].startswith(b"%PDF")
    assert b"Concept" not in before["html"]
    assert b"4.800" in window.get(linked(done, "bill.md")).body
    running.page.language = "nl"
    assert "al uitgebracht" in window.press(first, "/words", signals="Te laat").text
    with running.lock.use() as place:
        assert annual.show(place, EMPLOYER, str(YEAR), "nl").issued


def test_only_the_previewed_report_is_issued(running: Running, window: Window) -> None:
    bring_in(running, AGREED, *TALKS[:9])
    last = window.get(linked(report_page(running, window), "/issue"))
    bring_in(running, TALKS[9])
    refused = window.press(last, "/issue")
    assert "Het verslag is veranderd sinds je het bekeek." in refused.text
    assert not any(one["event"] == "freeze" for one in exported(running))
    assert "Het verslag is uitgebracht." in window.press(refused, "/issue").text


def test_two_names_are_merged_on_the_employers_page(running: Running, window: Window) -> None:
    bring_in(running, AGREED, *(one | {"employer": "Voorbeeld"} for one in TALKS))
    page = report_page(running, window)
    assert "bij “Dit is dezelfde werkgever als …”" in page.text
    other = employer_page(running, window, "Voorbeeld")
    assert "Lijkt op: Voorbeeld BV." in other.text
    asked = window.press(other, "/same")
    assert "12 vermeldingen gaan van Voorbeeld naar Voorbeeld BV" in asked.text
    assert {one["employer"] for one in exported(running)} == {"Voorbeeld", EMPLOYER}
    done = window.press(asked, "/same")
    assert "Voorbeeld heet nu Voorbeeld BV." in done.text
    assert {one["employer"] for one in exported(running)} == {EMPLOYER}
    assert "Er tellen 12 situaties mee" in report_page(running, window).text


@pytest.fixture
def colleague(tmp_path: Path, peer: Peer, clock: Clock) -> Office:
    """Return another counsellor of the site, with nine talks in 2026 and a card."""
    made = Office(tmp_path / "colleague", peer, clock, "Sam")
    made.set_up()
    lines = [SHARED, *TALKS[:9]]
    made.run("register", "import", "-", given="".join(json.dumps(one) + "\n" for one in lines))
    made.run("card", "--out", str(tmp_path / "sam.card"))
    return made


def chosen(window: Window, page: Answer, raw: bytes) -> Answer:
    return window.upload(page, page.form_to("annual"), [("file", raw)])


def test_counts_are_exported_to_the_colleague_with_confirmed_fingerprint(
    running: Running, window: Window, colleague: Office, tmp_path: Path
) -> None:
    bring_in(running, SHARED, *TALKS[:1])
    bring_in(running, event("case", "2026-05-01", case="K", colleague_counts=True))
    page = report_page(running, window)
    assert "maak je samen met Sam" in page.text
    asked = window.get(linked(page, "/give"))
    assert "Niet meegeteld: 1 situatie, omdat je collega die telt." in asked.text
    assert "geen kaart van een vertrouwenspersoon" in chosen(window, asked, b"iets anders").text
    checked = chosen(window, asked, (tmp_path / "sam.card").read_bytes())
    for group in colleague.identity.fingerprint().split():
        assert group in checked.text
    other = window.press(checked, "/give/file", confirmed="Z" * 43)
    assert "Er is niets gedaan." in other.text
    assert not any(one["event"] == "joint" for one in exported(running))
    given = window.press(checked, "/give/file")
    (tmp_path / "counts.age").write_bytes(given.body)
    colleague.run("annual", "counts", "import", str(tmp_path / "counts.age"), given="y\n")
    assert "10 tot en met 19" in colleague.run("annual", EMPLOYER, str(YEAR)).stdout
    page = report_page(running, window)
    assert "Sam maakt het verslag" in page.text
    assert not any("/issue" in link or "report.pdf" in link for link in page.links)
    again = window.press(checked, "/give/file")
    assert len(again.body) == len(given.body)
    assert sum(one["event"] == "joint" for one in exported(running)) == 1


def test_page_names_all_three_years_that_a_three_year_band_closes(
    running: Running, window: Window, colleague: Office, tmp_path: Path
) -> None:
    three = event("agreement", "2024-01-01", until="2026-12-31", headcount=120, form="A",
                  term_band=True, shared_with="Sam")  # fmt: skip
    bring_in(running, three, event("contact", "2024-04-01"))
    asked = window.get(linked(report_page(running, window), "/give"))
    checked = chosen(window, asked, (tmp_path / "sam.card").read_bytes())
    for page in (asked, checked):
        assert "over 2024 tot en met 2026 niets meer vastleggen" in page.text
    given = window.press(checked, "/give/file")
    (joint,) = (one for one in exported(running) if one["event"] == "joint")
    assert (joint["first_year"], joint["last_year"]) == (2024, 2026)
    # It has no figures, so each counsellor makes their own.
    alone = report_page(running, window, 2025)
    assert "maakt het verslag" not in alone.text
    assert "Ga naar de laatste controle" in alone.text
    between = window.get(f"{alone.path}/give")
    assert "Over 2024 tot en met 2026 kun je niets meer" in between.text
    again = chosen(window, between, (tmp_path / "sam.card").read_bytes())
    assert len(window.press(again, "/give/file").body) == len(given.body)


def test_colleagues_counts_are_imported_and_the_preview_states_what_each_counsellor_learns(
    running: Running, window: Window, colleague: Office, tmp_path: Path
) -> None:
    bring_in(running, SHARED, *TALKS[:1])
    cards = window.get(f"{running.home}cards")
    saved = window.press(window.get(linked(cards, "/cards/site/")), "/file")
    card, out = tmp_path / "own.card", tmp_path / "c.age"
    card.write_bytes(saved.body)
    colleague.run("annual", "counts", "export", EMPLOYER, str(YEAR), "--to", str(card),
                  "--out", str(out), given="y\n")  # fmt: skip
    raw = out.read_bytes()
    asked = window.get(linked(report_page(running, window), "annual/counts"))
    assert "geen aantallen voor jou" in chosen(window, asked, raw[:-1]).text
    checked = chosen(window, asked, raw)
    assert "Sam noemt de werkgever Voorbeeld BV. Het gaat over 2026." in checked.text
    assert "Er is niets gedaan." in window.press(checked, "/keep", confirmed="").text
    done = window.press(checked, "/keep")
    assert "De aantallen van Sam zijn opgenomen." in done.text
    assert "Er tellen 10 situaties mee" in done.text
    assert "De aantallen van Sam tellen mee" in done.text


def test_saved_text_is_kept_under_the_merged_employer_name(
    running: Running, window: Window
) -> None:
    bring_in(running, AGREED)
    window.press(report_page(running, window), "/words", signals="Roosters komen laat.")
    with running.lock.use() as place:
        register.rename(place, EMPLOYER, "Voorbeeld Groep")
    page = report_page(running, window, name="Voorbeeld Groep")
    assert "Roosters komen laat." in page.html
