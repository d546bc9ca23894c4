"""``klankbord-desk annual``: preview, files, issuing, the bill, and refusals."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from dropbox_app.desk.cli.main import main
from tests.desk.conftest import Office

LINES = [
    {"event": "employer", "date": "2024-01-01", "employer": "Voorbeeld BV", "headcount": 400,
     "avoid": ["Magazijn"]},
    {"event": "agreement", "date": "2024-01-01", "employer": "Voorbeeld BV", "headcount": 400,
     "form": "B", "until": "2027-12-31", "price": 4800},
    {"event": "checklist", "date": "2025-03-01", "employer": "Voorbeeld BV",
     "items": {"poster": "no"}},
    {"event": "activity", "date": "2025-09-10", "employer": "Voorbeeld BV", "what": "training",
     "title": "Aanspreken", "people": 22, "price": 900},
    *({"event": "contact", "date": f"2025-04-{day:02}", "employer": "Voorbeeld BV"}
      for day in range(1, 13)),
]  # fmt: skip
ASK = ("annual", "voorbeeld", "2025")


@pytest.fixture
def kept(office: Office) -> Office:
    """Return a desk whose register has an employer of 400 people and twelve contacts in 2025."""
    text = "".join(json.dumps(one) + "\n" for one in LINES)
    office.run("register", "import", "-", given=text)
    return office


def test_all_report_formats_have_the_same_contents(kept: Office, tmp_path: Path) -> None:
    for kind in ("json", "html", "md", "csv"):
        printed = kept.run(*ASK, "--format", kind).stdout
        assert "10 tot en met 19" in printed
        assert "12" not in printed.replace("12-31", "").replace("31 december", "")
    assert "Report of the confidential counsellor for 2025" in kept.run(*ASK, "--lang", "en").stdout
    out = tmp_path / "report.pdf"
    kept.run(*ASK, "--format", "pdf", "--out", str(out))
    assert out.read_bytes().startswith(b"%PDF")
    assert b"Noor" not in out.read_bytes()[-2_000:]
    kept.run(*ASK, "--format", "pdf", code=2)


def test_preview_tells_counsellor_what_the_report_omits(kept: Office) -> None:
    shown = kept.run(*ASK, "--preview").stdout
    assert "Er tellen 12 situaties mee" in shown
    assert "Een bandbreedte kan laten zien dat er ook anderen kwamen." in shown
    assert "geen programma bewijst dat ze veilig zijn" in shown


def test_exact_employer_name_takes_precedence_regardless_of_case_and_spaces(
    kept: Office,
) -> None:
    expected = kept.run(*ASK, "--format", "html").stdout
    other = {"event": "contact", "date": "2025-05-01", "employer": "Voorbeeld BV Noord"}
    kept.run("register", "import", "-", given=json.dumps(other))
    for name in ("voorbeeld bv", " Voorbeeld  BV "):
        assert kept.run("annual", name, *ASK[2:], "--format", "html").stdout == expected
    assert "More than one" in kept.run("annual", "voorbeeld", *ASK[2:], code=1).stderr


def test_preview_warns_about_revealing_words_in_the_counsellors_text(
    kept: Office, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("In het magazijn zeiden drie mensen hetzelfde.")
    shown = kept.run(*ASK, "--preview", "--signals", str(words)).stdout
    assert "“magazijn” (een afdeling of plaats)" in shown
    assert "“drie” (een aantal)" in shown
    assert "magazijn" in kept.run(*ASK, "--signals", str(words)).stdout
    words.write_text("Vanuit Windows.", encoding="utf-8-sig")
    assert "\ufeff" not in kept.run(*ASK, "--signals", str(words), "--format", "html").stdout
    words.write_text("Café", encoding="cp1252")
    told = kept.run(*ASK, "--signals", str(words), code=1).stderr
    assert "is not text in UTF-8. Save it as UTF-8 and try again" in told


def test_issued_report_is_reproduced_exactly_and_its_year_is_closed(kept: Office) -> None:
    draft = kept.run(*ASK, "--format", "html").stdout
    kept.run(*ASK, "--freeze")
    before = kept.run(*ASK, "--format", "html").stdout
    assert draft.replace("Concept, niet uitgebracht: ", "") == before != draft
    later = {"event": "checklist", "date": "2026-01-05", "employer": "Voorbeeld BV",
             "items": {"poster": "yes"}}  # fmt: skip
    kept.run("register", "import", "-", given=json.dumps(later))
    assert kept.run(*ASK, "--format", "html").stdout == before
    again = kept.run(*ASK, "--freeze", code=1).stderr
    assert "issued already" in again
    closed = {"event": "contact", "date": "2025-05-01", "employer": "Voorbeeld BV"}
    told = kept.run("register", "import", "-", given=json.dumps(closed), code=1).stderr
    assert "does not change any more" in told
    assert "in nl" in kept.run(*ASK, "--lang", "en", code=1).stderr


def test_bill_lists_fixed_price_and_ordered_work(kept: Office) -> None:
    printed = kept.run(*ASK, "--bill", "--format", "csv").stdout
    assert "€ 4.800" in printed
    assert "€ 900" in printed
    assert "€ 5.700" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("annual", "Voorbeeld BV", "2025-H1"), "whole calendar year"),
        (("annual", "Voorbeeld BV", "2027"), "is not over"),
        (("annual", "Voorbeeld BV", "2019"), "no appointment"),
        (("annual", "Ander BV", "2025"), "No employer"),
    ],
)
def test_report_that_the_rules_forbid_is_refused_with_advice(
    kept: Office, arguments: tuple[str, ...], told: str
) -> None:
    assert told in kept.run(*arguments, code=1).stderr


def test_register_contents_are_written_only_to_the_requested_file(
    kept: Office, tmp_path: Path
) -> None:
    out = tmp_path / "asked.md"
    kept.run(*ASK, "--freeze")
    kept.run(*ASK, "--out", str(out))
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            path = Path(folder, name)
            if path != out:
                assert b"Aanspreken" not in path.read_bytes(), path


class Terminal(io.TextIOWrapper):
    """An output stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_names_are_escaped_in_terminal_but_not_in_files(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "Voor\u202ebeeld BV"
    text = "".join(json.dumps(one).replace("Voorbeeld BV", name) + "\n" for one in LINES)
    office.run("register", "import", "-", given=text)
    exported = office.run("register", "export", "--json").stdout
    assert exported.isascii()
    assert json.loads(exported.splitlines()[0])["employer"] == name
    ask = ("annual", name, "2025")
    assert name in office.run(*ask).stdout
    shown = Terminal(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", shown)
    options = ["--dir", str(office.folder), "--passphrase-file", str(office.passphrase_file)]
    main.main([*options, *ask], obj=office.machine, standalone_mode=False)
    shown.flush()
    printed = shown.buffer.getvalue().decode()  # type: ignore[attr-defined]  # a BytesIO
    assert "Voor<U+202E>beeld BV" in printed
    assert "\u202e" not in printed
    assert len(printed.splitlines()) > 5
