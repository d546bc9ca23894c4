"""The contents and accessibility of printables, which contain no secret."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from dropbox_app.desk.actions import printables
from dropbox_app.desk.actions.printables import Kind
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.printables import print as prints
from dropbox_app.desk.printables.print import Site
from dropbox_app.desk.web import forms
from dropbox_app.desk.web.i18n import words
from dropbox_app.desk.web.views import contact
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Peer

GROUPS = "3f9a c2e1 07b4 5d68 91ce a2f0 4b7d 8e13 d65a 20fc"
ONION = f"http://{'b' * 56}.onion"
SITE = Site("Zorg & Co", "Noor Jansen", ("https://vp.example.org", ONION), GROUPS)


def text_of(pdf: bytes, tmp_path: Path) -> str:
    """Return the text of the PDF in reading order."""
    (tmp_path / "a.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "a.pdf"), "-"], capture_output=True, check=True
    )
    return " ".join(done.stdout.decode().split())


def facts_of(pdf: bytes, tmp_path: Path) -> Mapping[str, str]:
    (tmp_path / "a.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["pdfinfo", str(tmp_path / "a.pdf")], capture_output=True, text=True, check=True
    )
    return dict(re.findall(r"^([^:]+):\s*(.*)$", done.stdout, re.MULTILINE))


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("kind", ["poster", "cards"])
def test_poster_and_cards_show_fingerprint_name_and_address(
    tmp_path: Path, kind: str, language: str
) -> None:
    make = prints.poster if kind == "poster" else prints.cards
    said = text_of(make(SITE, language, "06 12345678", "9-17"), tmp_path)
    assert "Noor Jansen" in said
    assert "06 12345678" in said
    assert "112" in said
    assert "vp.example.org" in said.replace(" ", "")
    assert GROUPS.replace(" ", "") in said.replace(" ", "") or kind == "cards"
    assert all(group in said for group in GROUPS.split())
    assert "{" not in said


@pytest.mark.parametrize("language", ["nl", "en"])
def test_every_pdf_is_accessible_and_contains_no_date_or_author(
    tmp_path: Path, language: str
) -> None:
    for make in (prints.poster, prints.cards):
        made = make(SITE, language)
        facts = facts_of(made, tmp_path)
        assert (facts["Tagged"], facts["Pages"]) == ("yes", "1")
        assert facts["Page size"].endswith("(A4)")
        assert not {"Author", "CreationDate", "ModDate"} & facts.keys()
        assert b"pdfuaid:part>1<" in made
        assert make(SITE, language) == made, "the same bytes each time"


def test_sheet_of_a_site_without_clearnet_address_shows_the_onion_address(tmp_path: Path) -> None:
    onion = Site("Zorg", "Noor", (ONION,), GROUPS)
    for make in (prints.poster, prints.cards):
        said = text_of(make(onion, "nl"), tmp_path).replace(" ", "")
        assert said.count("b" * 20) >= 1
    assert "Tor Browser" in text_of(prints.poster(onion, "nl"), tmp_path)


@pytest.mark.parametrize(
    "name", ["#panic()", "= Kop", "*vet* _en_", "\\u{41}", "José Ångström", "Ελένη", "Ольга", '"'],
)  # fmt: skip
def test_name_is_printed_literally_and_never_as_markup(tmp_path: Path, name: str) -> None:
    site = Site(name, name, ("https://vp.example.org",), GROUPS)
    assert name in text_of(prints.poster(site, "nl"), tmp_path)


def test_long_name_and_address_fit_one_page(tmp_path: Path) -> None:
    site = Site(
        "Stichting voor Algemeen en Bijzonder Onderwijs in de Noordelijke Provincies",
        "Mr. drs. Wilhelmina van den Bosch-Oosterhuis tot Schalkwijk",
        ("https://vertrouwenspersoon.een-heel-lange-naam-van-een-werkgever.example.org", ONION),
        GROUPS,
    )
    for make in (prints.poster, prints.cards):
        for language in ("nl", "en"):
            made = make(site, language, "x" * prints.MAX_LINE, "y" * prints.MAX_LINE)
            assert facts_of(made, tmp_path)["Pages"] == "1"


def test_overlong_line_on_a_poster_is_refused() -> None:
    with pytest.raises(Unfit, match="at most 100"):
        prints.poster(SITE, "nl", "0" * 101)


def test_intranet_text_has_the_information_of_the_poster_without_markup() -> None:
    said = prints.intranet(SITE, "nl", "06 12345678", "9-17")
    assert f"Controlecode van Noor Jansen: {GROUPS}" in said
    assert "Liever bellen? 06 12345678, 9-17" in said
    assert ONION in said
    assert "{" not in said
    assert "Liever bellen?" not in prints.intranet(SITE, "nl")


@pytest.mark.parametrize("kind", ["poster", "cards", "text"])
def test_command_writes_a_new_file_with_the_desks_fingerprint(
    office: Office, tmp_path: Path, kind: Kind
) -> None:
    out = tmp_path / "out"
    office.run("poster", "--kind", kind, "--lang", "en", "--out", str(out))
    made = out.read_bytes()
    said = made.decode() if kind == "text" else text_of(made, tmp_path)
    assert all(group in said for group in office.identity.fingerprint().split())
    assert Peer.origin in said.replace(" ", "")
    before = made
    office.run("poster", "--kind", kind, "--out", str(out), code=1)
    assert out.read_bytes() == before


def test_recovery_sheet_names_each_site_and_contains_no_secret(
    office: Office, thread: str, tmp_path: Path
) -> None:
    office.run("label", thread, "Rooster zorgteam")
    office.run("recovery-sheet", "--out", str(tmp_path / "sheet.pdf"))
    said = text_of((tmp_path / "sheet.pdf").read_bytes(), tmp_path)
    assert "Voorbeeld BV" in said
    assert office.identity.fingerprint() in said
    for secret in (PASSPHRASE, "Rooster", thread[:8], "AGE-SECRET"):
        assert secret not in said


def test_recovery_sheet_of_many_sites_has_enough_pages(tmp_path: Path) -> None:
    made = prints.recovery([SITE] * 25, "nl")
    assert int(facts_of(made, tmp_path)["Pages"]) > 3
    assert text_of(made, tmp_path).count("Zorg & Co") == 25


def test_unsupported_language_is_refused(office: Office) -> None:
    with office.open() as place, pytest.raises(Unfit, match="nl, en"):
        printables.of_site(place, "poster", "fr")


@pytest.mark.parametrize("language", ["nl", "en"])
def test_call_sheet_has_the_questions_of_the_form_and_no_desk_data(
    office: Office, tmp_path: Path, language: str
) -> None:
    out = tmp_path / "call.pdf"
    office.run("call-sheet", "--lang", language, "--out", str(out))
    said = text_of(out.read_bytes(), tmp_path)
    told = words(language)
    for name in contact.ON_PAPER:
        for _, label in forms.asked(told, "contact")[name].options:
            assert label in said
    assert "112" in said
    assert not any(name in said for name in ("Els de Vries", "Voorbeeld BV"))
    facts = facts_of(out.read_bytes(), tmp_path)
    assert (facts["Tagged"], facts["Pages"]) == ("yes", "1")
