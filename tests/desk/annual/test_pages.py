"""The accessibility of report and bill PDFs (PDF/UA-1), checked by poppler.

No validator for the whole standard can be installed here. typst refuses most violations of
PDF/UA-1; these tests check what it accepts: names and values without header cells, and a language.
"""

import subprocess
from pathlib import Path

import pytest

from tests.desk.annual.test_gathering import YEAR, trained
from tests.desk.annual.worlds import issue


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
