"""The page that exports the register to a file and imports earlier years from a table."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook  # type: ignore[import-untyped] # ships none

from dropbox_app.desk.register.tables import MAX_FILE
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_register import bring_in, event, exported
from tests.support.plain_browser import Page as Answer

TABLE = (
    b"Dag;Werkgever;Minuten;Jouw aantekening\r\n6-1-2026;Zorg;20;\r\n7-1-2026;Zorg;15;Aantekening"
)


@pytest.fixture
def window(running: Running) -> Window:
    return running.at_work()


def look(running: Running, window: Window, raw: bytes) -> Answer:
    page = window.get(f"{running.home}exchange")
    return window.upload(page, page.form_to("/look"), [("jaar.csv", raw)])


def take(window: Window, looked: Answer, **values: str) -> Answer:
    return window.submit(looked, looked.form_to("/take"), **values)


def test_table_is_previewed_before_import_and_imported_once(
    running: Running, window: Window
) -> None:
    looked = look(running, window, TABLE)
    assert "Regel 2 · wordt overgenomen" in looked.text
    assert (
        "Niet bewaard, omdat je bij deze werkgever minder vastlegt: jouw aantekening" in looked.text
    )
    assert exported(running) == []
    assert "2 regels zijn overgenomen" in take(window, looked).text
    kept = exported(running)
    assert [one["minutes"] for one in kept] == [20, 15]
    assert "Alles staat er al" in look(running, window, TABLE).text
    take(window, looked)  # the button of a page reached with "Back"
    assert exported(running) == kept


def test_preview_shows_only_the_notes_that_would_be_kept(running: Running, window: Window) -> None:
    assert "Aantekening" not in look(running, window, TABLE).text
    bring_in(running, event("employer", "2026-01-01", recording="full") | {"employer": "Zorg"})
    assert "Aantekening" in look(running, window, TABLE).text
    long = look(running, window, TABLE + b" " + b"lang " * 100).text
    assert "Aantekening lang lang" in long
    assert "lang " * 90 not in long


def test_invalid_row_is_listed_first_and_blocks_the_import(
    running: Running, window: Window
) -> None:
    looked = look(running, window, TABLE + b"\r\n8-1-2026;Zorg;veel;")
    assert looked.status == 422
    assert looked.text.index("Regel 4 · klopt niet") < looked.text.index("Regel 2 ·")
    assert "Minuten: vul een heel getal in, van 0 tot 1.440." in looked.text
    assert not [form for form in looked.forms if "/take" in form.action]


def test_import_is_previewed_again_if_the_register_changed(
    running: Running, window: Window
) -> None:
    looked = look(running, window, TABLE)
    bring_in(running, event("employer") | {"employer": "ZORG"})
    again = take(window, looked)
    assert again.status == 422
    assert "klopt niet" in again.text
    assert len(exported(running)) == 1


def test_rows_are_added_to_an_existing_case_only_if_ticked(
    running: Running, window: Window
) -> None:
    bring_in(running, event("case", case="2026-1", label="Rooster"))
    before = exported(running)
    looked = look(running, window, b"Dag;Werkgever;Zaak\n6-1-2026;Voorbeeld BV;2026-1")
    assert "2026-1 (Rooster), bij Voorbeeld BV, geopend op 5 januari" in looked.text
    refused = take(window, looked)
    assert refused.status == 422
    assert "Er is niets overgenomen." in refused.text
    assert exported(running) == before
    assert "1 regel is overgenomen" in take(window, refused, into="2026-1").text


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "Kies eerst een bestand."),
        (b"Dag;Minuten\n6-1-2026;5", "Er is geen kolom Werkgever."),
        (b"Dag;Werkgever;Schoenmaat\n", "De kolom Schoenmaat is niet bekend."),
        (b"PK\x03\x04", "Dit xlsx-bestand is niet te lezen."),
        (bytes(5 * 1024 * 1024), "Het bestand is groter dan 4 MB."),
    ],
)
def test_unsuitable_file_is_reported_in_the_page_language(
    running: Running, window: Window, raw: bytes, said: str
) -> None:
    answer = look(running, window, raw)
    assert answer.status == 422
    assert said in answer.text


def xlsx(size: int) -> bytes:
    """Return a one-row xlsx of this size, padded with an incompressible picture."""
    book, out = Workbook(), io.BytesIO()
    book.active.append(["Dag", "Werkgever", "Minuten"])
    book.active.append(["6-1-2026", "Zorg", 20])
    book.save(out)

    def with_picture(length: int) -> bytes:
        made = io.BytesIO(out.getvalue())
        with zipfile.ZipFile(made, "a") as packed:
            packed.writestr("xl/media/image1.png", os.urandom(length))
        return made.getvalue()

    return with_picture(size - len(with_picture(0)))


def test_xlsx_at_the_stated_limit_is_accepted_and_a_larger_one_refused(
    running: Running, window: Window
) -> None:
    assert "4 MB" in window.get(f"{running.home}exchange").text
    raw = xlsx(MAX_FILE)
    assert len(raw) == MAX_FILE == 4 * 1024 * 1024
    assert "1 regel is overgenomen" in take(window, look(running, window, raw)).text
    assert [one["minutes"] for one in exported(running)] == [20]
    refused = look(running, window, xlsx(MAX_FILE + 1))
    assert refused.status == 422
    assert "Het bestand is groter dan 4 MB." in refused.text


@pytest.mark.parametrize("table", ["", "x", "eJwrSS0uAQAEXQHB", "//8="])
def test_incomplete_upload_is_refused(running: Running, window: Window, table: str) -> None:
    looked = look(running, window, TABLE)
    assert take(window, looked, table=table).status in (409, 422)
    assert exported(running) == []


@pytest.mark.parametrize(("form", "ending"), [("csv", ".csv"), ("jsonl", ".jsonl")])
def test_register_export_requires_confirming_that_it_is_unencrypted(
    running: Running, window: Window, tmp_path: Path, form: str, ending: str
) -> None:
    bring_in(running, event("contact", minutes=20))
    folder = tmp_path / "out"
    folder.mkdir()
    page = window.get(f"{running.home}exchange")
    values = {"format": form, "folder": str(folder)}
    unsure = window.submit(page, page.form_to("/out"), **values)
    assert unsure.status == 422
    assert not list(folder.iterdir())
    window.submit(page, page.form_to("/out"), **values, sure="1")
    (file,) = folder.iterdir()
    assert file.suffix == ending
    assert file.stat().st_mode & 0o077 == 0
    assert "Voorbeeld BV" in file.read_text()
