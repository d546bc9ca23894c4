"""The accessibility of report and bill PDFs (PDF/UA-1), checked by poppler.

No validator for the whole standard can be installed here. typst refuses most violations of
PDF/UA-1; these tests check what it accepts: names and values without header cells, and a language.
"""

import datetime
import subprocess
from pathlib import Path

import pytest

from dropbox_app.desk.register import events as e
from tests.desk.annual.test_gathering import YEAR, trained
from tests.desk.annual.worlds import agreed, issue


def tags(pdf: Path) -> list[str]:
    """Return the structure of a PDF in reading order."""
    done = subprocess.run(["pdfinfo", "-struct", str(pdf)], capture_output=True, check=True)
    lines = done.stdout.decode(errors="replace").splitlines()  # titles are in another encoding
    return [line.split()[0] for line in lines if line.strip()]


@pytest.mark.parametrize("language", ["nl", "en"])
def test_screen_reader_gets_each_value_with_its_label_under_its_heading(
    tmp_path: Path, language: str
) -> None:
    made = issue(trained("Aanspreken", 400), "Zorg", (YEAR,), formats=("pdf",), language=language)
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
        found = tags(tmp_path / name)
        assert found[:2] == ["Document", "H1"]
        assert not {"Table", "Figure", "Art", "NonStruct"} & set(found)
        assert found.count("Lbl") == found.count("LBody") == found.count("LI") > 0
        assert found.count("H2") == (1 if len(found) < 40 else 10)
        assert b"pdfuaid:part>1<" in data
        assert f"<rdf:li>{language}</rdf:li>".encode() in data


def pages(pdf: bytes, folder: Path) -> list[str]:
    """Return the text of each page of a PDF, as one line."""
    (folder / "one.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", str(folder / "one.pdf"), "-"], capture_output=True, check=True
    )
    return [" ".join(page.split()) for page in done.stdout.decode().split("\f") if page.strip()]


@pytest.mark.parametrize("lines", range(12))
def test_heading_is_on_the_same_page_as_its_list(tmp_path: Path, lines: int) -> None:
    """This holds for any length of the text above: each talk with the management adds a line."""
    first = datetime.date(YEAR, 1, 1)
    seen: list[e.Event] = [
        e.Activity(date=first + datetime.timedelta(days=number), employer="Atelier",
                   what="talk_with_management")
        for number in range(lines)
    ]  # fmt: skip
    sheet = e.Employer(date=first, employer="Atelier", discussed_with=("management",))
    made = issue([*agreed("Atelier", 12), sheet, *seen], "Atelier", (YEAR,), formats=("pdf",))
    pdf = next(data for name, data in made.items() if "verslag" in name)
    for page in pages(pdf, tmp_path):
        if "7. Drie adviezen" in page:
            assert "• " in page.split("7. Drie adviezen")[1].split("8. Hoe dit")[0]
        if "10. Met wie" in page:
            assert "de directie" in page.split("10. Met wie")[1]
