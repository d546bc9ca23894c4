"""Tables of earlier years: which are read, which are refused, and the register as CSV."""

import csv
import datetime
import io
import zipfile

import pytest
from openpyxl import Workbook  # type: ignore[import-untyped] # ships none

from dropbox_app.desk.actions import earlier as actions
from dropbox_app.desk.actions import register
from dropbox_app.desk.register import earlier, form, tables
from dropbox_app.desk.register.earlier import Read
from dropbox_app.desk.register.events import Event
from dropbox_app.desk.register.form import Refused
from dropbox_app.desk.web.i18n import words
from dropbox_app.desk.web.vocabulary import vocabulary
from tests.desk.conftest import Office

WORDS = vocabulary(words("nl"))
TODAY = datetime.date(2027, 1, 5)
HEAD = "Datum;Werkgever;Minuten"


def read(text: str | bytes) -> list[Read]:
    raw = text.encode() if isinstance(text, str) else text
    return earlier.read(tables.read(raw), WORDS, TODAY)


def events(text: str | bytes) -> list[dict[str, object]]:
    return [dict(form.to_json(one.event.event)) for one in read(text) if one.event]


def faults(text: str | bytes) -> list[str]:
    return [str(fault) for one in read(text) for fault in one.faults]


def refused(raw: bytes) -> str:
    with pytest.raises(Refused) as error:
        read(raw)
    return str(error.value)


def xlsx(*rows: list[object]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_csv_file_from_any_spreadsheet_program_is_read(
    delimiter: str, encoding: str, line_end: str
) -> None:
    text = line_end.join([HEAD, "31-1-2025;Café Één;45", "", ";;", ""]).replace(";", delimiter)
    assert events(text.encode(encoding)) == [
        {"event": "contact", "date": "2025-01-31", "employer": "Café Één", "minutes": 45}
    ]


def test_xlsx_file_is_read_with_dates_and_numbers() -> None:
    made = xlsx(
        ["Dag", "Werkgever", "Minuten", "Wat deed je?", "Onderwerp"],
        [datetime.datetime(2025, 1, 31), "Zorg", 45.0, "luisteren; meedenken, advies", None],  # noqa: DTZ001 - a spreadsheet's day
    )  # fmt: skip
    assert events(made) == [
        {"event": "contact", "date": "2025-01-31", "employer": "Zorg", "minutes": 45,
         "help": ["listening", "advice"]}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("31-1-2025", "2025-01-31"), ("31/01/2025", "2025-01-31"), ("31.1.25", "2025-01-31"),
        ("31 januari 2025", "2025-01-31"), ("31 jan. 2025", "2025-01-31"),
        ("vrijdag 31 januari 2025", "2025-01-31"), ("vr 31 jan 25", "2025-01-31"),
        ("1 mrt 2025", "2025-03-01"), ("1 Maart 2025", "2025-03-01"), ("2025-01-31", "2025-01-31"),
        ("3-4-2025", "2025-04-03"), ("1 mei 2025", "2025-05-01"), ("2 okt 2025", "2025-10-02"),
    ],
)  # fmt: skip
def test_dutch_date_formats_are_read(written: str, day: str) -> None:
    assert [one["date"] for one in events(f"{HEAD}\n{written};Zorg;5")] == [day]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1/31/2025;Zorg;5", "date: '2025-31-01' is no day"),
        ("30-2-2025;Zorg;5", "is no day"),
        ("gisteren;Zorg;5", "'gisteren' is no day"),
        (";Zorg;5", "date: is missing"),
        ("6-1-2027;Zorg;5", "lies ahead"),
        ("5-1-2026;;5", "employer: is missing"),
        ("5-1-2026;Zorg;-5", "minutes: is no whole number"),
        ("5-1-2026;Zorg;7,5", "minutes: is no whole number"),
        ("5-1-2026;Zorg;1441", "minutes: 1441 is out of range"),
        ("5-1-2026;Zorg;=1+1", "minutes: is no whole number"),
    ],
)
def test_error_for_an_invalid_row_states_its_number_and_the_reason(row: str, said: str) -> None:
    (fault,) = faults(f"{HEAD}\n5-1-2026;Zorg;5\n{row}")
    assert fault.startswith("Line 3, ")
    assert said in fault


def test_unknown_category_is_reported_with_the_valid_ones() -> None:
    (fault,) = faults("Dag;Werkgever;Waar ging het over?\n5-1-2026;Zorg;roddel")
    assert "'roddel' is not known" in fault
    assert "arbeidsconflict" in fault
    (fault,) = faults("Dag;Werkgever;Soort\n5-1-2026;Zorg;freeze")
    assert "is not taken from a table" in fault


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Dag;Werkgever;Schoenmaat", "this column is not known"),
        ("Dag;Werkgever;Datum", "are both date"),
        ("Werkgever;Minuten", "date: there is no column"),
        ("Dag;Minuten", "employer: there is no column"),
    ],
)
def test_invalid_header_is_refused_with_advice(header: str, said: str) -> None:
    assert said in refused(f"{header}\n5-1-2026;Zorg;5".encode())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("date,employer,minutes,notes\n1-2-2026,X,30,belde, erg van slag", "'erg van slag'"),
        ("Dag;;Werkgever\n1-2-2026;let op;X", "'let op'"),
        ("Dag;Werkgever;\n1-2-2026;X;7", "'7'"),
    ],
)
def test_filled_cell_in_a_column_without_a_title_is_reported_as_a_fault(
    table: str, said: str
) -> None:
    (fault,) = faults(table)
    assert fault.startswith(f"Line 2, {said}")
    assert "no title above it" in fault
    assert faults("Dag;Werkgever;\n1-2-2026;X;") == faults("Dag;Werkgever\n1-2-2026;X;;") == []


def bomb(parts: int, size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(parts):
            made.writestr(f"xl/worksheets/sheet{number}.xml", bytes(size))
    return out.getvalue()


ENTITIES = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)


def changed(part: str, before: str, after: str, packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an xlsx file with one of its parts replaced."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx(["Dag"]))) as old,
        zipfile.ZipFile(out, "w", packed) as new,
    ):
        for name in old.namelist():
            text = old.read(name).decode()
            new.writestr(name, text.replace(before, after, 1) if name == part else text)
            assert name != part or before in text
    return out.getvalue()


SHEET, STYLES = "xl/worksheets/sheet1.xml", "xl/styles.xml"


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRINGS = (
    '<Override PartName="/xl/sharedStrings.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)


def with_entities() -> bytes:
    """Return an xlsx file whose only cell would expand to a billion letters."""
    return changed(SHEET, "<worksheet", f"{ENTITIES}<worksheet")


@pytest.mark.parametrize(
    ("part", "before", "tag"),
    [
        (STYLES, "</fonts>", "<font/>"), (SHEET, "</sheetData>", "<row/>"),
        (SHEET, "</row>", "<c/>"), ("xl/workbook.xml", "</sheets>", "<sheet/>"),
    ],
)  # fmt: skip
def test_table_that_would_expand_to_too_many_objects_is_refused_before_it_is_read(
    part: str, before: str, tag: str
) -> None:
    most = tables.MAX_TAGS if part == SHEET else tables.MAX_OTHER_TAGS
    assert "too much" in refused(changed(part, before, tag * most + before))


def test_file_that_lists_one_sheet_many_times_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "MAX_SECONDS", 0)
    assert "too much" in refused(xlsx(["Dag", "Werkgever"], ["5-1-2026", "Zorg"]))


def test_xlsx_part_with_unusual_compression_is_refused() -> None:
    assert "too much" in refused(changed(SHEET, "<row", "<row", zipfile.ZIP_LZMA))


def test_long_text_repeated_in_many_cells_is_refused() -> None:
    texts = f"<sst xmlns='{MAIN}'><si><t>{'x' * 7_999} </t></si></sst>"
    cells = ("<row>" + '<c t="s"><v>0</v></c>' * 100 + "</row>") * 11
    out = io.BytesIO(changed(SHEET, "</sheetData>", f"{cells}</sheetData>"))
    with zipfile.ZipFile(out) as old, zipfile.ZipFile(made := io.BytesIO(), "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            new.writestr(name, text.replace("</Types>", f"{STRINGS}</Types>"))
        new.writestr("xl/sharedStrings.xml", texts)
    assert "too much" in refused(made.getvalue())


def test_cell_far_below_the_others_is_read() -> None:
    raw = changed(SHEET, "</sheetData>", '<row r="99999"><c><v>5</v></c></row></sheetData>')
    assert [number for number, _ in tables.read(raw)] == [1, 99_999]


def test_xlsx_of_ten_thousand_rows_is_read() -> None:
    rows = f"<row>{'<c><v>5</v></c>' * 4}</row>" * 10_000
    assert len(tables.read(changed(SHEET, "</sheetData>", f"{rows}</sheetData>"))) == 10_001


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (bytes(tables.MAX_FILE + 1), "more than 4 MB"),
        (b"", "there is no row"),
        (b"\n;;\n", "there is no row"),
        (b"\xd0\xcf\x11\xe0\0\0", "no CSV and no xlsx"),
        (b"PK\x03\x04rest", "cannot be read"),
        (bomb(3, 3 * tables.MIB), "more than 8 MB"),
        (bomb(tables.MAX_PARTS + 1, 1), "more than 8 MB"),
        (with_entities(), "too much"),
        ((HEAD + "\n" + "5-1-2026;Zorg;5\n" * 10_001).encode(), "more than 10,000 rows"),
        (b";".join([b"x"] * 101), "more than 100 columns"),
        (b'Dag;"Werk\n', "quotation mark"),
        (b"Dag;" + b"x" * 8_001, "more than 8,000 characters"),
    ],
)  # fmt: skip
def test_oversized_or_damaged_file_is_refused_with_advice(raw: bytes, said: str) -> None:
    assert said in refused(raw)


def test_ten_thousand_rows_are_read() -> None:
    assert len(read(HEAD + "\n" + "5-1-2026;Zorg;5\n" * 10_000)) == 10_000


def test_case_row_without_a_name_is_refused() -> None:
    (fault,) = faults("Dag;Werkgever;Soort;Zaak\n5-1-2026;Zorg;case;")
    assert "case: is missing" in fault


TABLE = """Dag;Werkgever;Soort;Zaak;Minuten;Aantekening
5-1-2026;Zorg;case;2026-x;;
6-1-2026;Zorg;contact;2026-x;20;kort
7-1-2026;Zorg;;;15;
7-1-2026;Zorg;;;15;
8-1-2026;Zorg;training, voorlichting, gesprek met de directie;;90;
"""


def test_importing_a_table_twice_duplicates_nothing(office: Office) -> None:
    raw = "\n".join(line for line in TABLE.splitlines()[:-1]).encode()
    with office.open() as place:
        looked = actions.look(place, raw, WORDS)
        assert register.every(place) == []
        assert (looked.added.kept, dict(looked.faults)) == (4, {})
        assert actions.take(place, raw, WORDS).kept == 4
        before = register.every(place)
        again = actions.look(place, raw, WORDS)
        assert (again.added.kept, again.added.there, again.new) == (0, 4, {})
        assert actions.take(place, raw, WORDS).kept == 0
        assert register.every(place) == before


def test_case_named_by_several_rows_is_opened_once_on_the_earliest_date(office: Office) -> None:
    raw = b"Dag;Werkgever;Zaak;Minuten\n9-1-2026;Zorg;Z;5\n6-1-2026;Zorg;Z;10"
    with office.open() as place:
        assert actions.take(place, raw, WORDS).kept == 3
        (case,) = register.all_cases(place)
        assert (case.opened.isoformat(), case.contacts, case.minutes) == ("2026-01-06", 2, 15)
        assert actions.take(place, raw, WORDS).kept == 0


OTHER = "Dag;Werkgever;Zaak;Minuten\n6-1-2026;Zorg;2026-1;20\n7-1-2026;Zorg;2026-1;15"


def test_rows_are_added_to_an_existing_case_only_if_confirmed(
    office: Office,
) -> None:
    raw = OTHER.encode()
    with office.open() as place:
        actions.take(place, b"Dag;Werkgever;Zaak\n5-1-2026;Zorg;2026-1", WORDS)
        before = register.every(place)
        looked = actions.look(place, raw, WORDS)
        assert [(row, one.reference) for row, one in looked.into.items()] == [(2, "2026-1")]
        for said in ((), ("2026-2",)):
            with pytest.raises(Refused, match="has a case 2026-1 already, opened on 2026-01-05"):
                actions.take(place, raw, WORDS, said)
        assert register.every(place) == before
        assert actions.take(place, raw, WORDS, ("2026-1",)).kept == 2


def test_extended_table_continues_its_own_cases_without_confirmation(office: Office) -> None:
    with office.open() as place:
        actions.take(place, OTHER.encode(), WORDS)
        longer = f"{OTHER}\n8-1-2026;Zorg;2026-1;10".encode()
        assert actions.look(place, longer, WORDS).into == {}
        assert actions.take(place, longer, WORDS).kept == 1


def test_command_adds_rows_to_an_existing_case_only_if_the_case_is_named(
    office: Office,
) -> None:
    office.run("register", "import", "-", given="date;employer;case\n2026-01-05;Zorg;2026-1")
    refused = office.run("register", "import", "-", given=OTHER, code=1)
    assert "--into 2026-1" in refused.stderr
    done = office.run("register", "import", "--into", "2026-1", "-", given=OTHER)
    assert done.stdout.startswith("2 events were kept")


def test_table_with_one_invalid_row_is_not_imported(office: Office) -> None:
    raw = f"{HEAD}\n5-1-2026;Zorg;5\n6-1-2026;Zorg;veel".encode()
    with office.open() as place:
        assert list(actions.look(place, raw, WORDS).faults) == [3]
        with pytest.raises(Refused):
            actions.take(place, raw, WORDS)
        assert register.every(place) == []


def event(**fields: object) -> Event:
    return form.read({"event": "contact", "date": "2026-01-05", "employer": "Zorg", **fields})  # type: ignore[dict-item] # JSON


@pytest.mark.parametrize(
    "text", ["=1+1", "+31 6", "-5", "@SUM(A1)", "'=1+1", "''", '=HYPERLINK("x")', "gewoon; tekst"]
)
def test_exported_table_contains_no_formula_and_round_trips(text: str) -> None:
    raw = tables.write([event(notes=text, employer=text)])
    (back,) = events(raw)
    assert (back["notes"], back["employer"]) == (text, text)
    of_names = tables.write([event(event="employer", avoid=[text])])  # a list, in one cell
    for written in (raw, of_names):
        rows = list(csv.reader(io.StringIO(written.decode("utf-8-sig")), delimiter=";"))
        cells = [cell for row in rows for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_exported_table_has_every_event_and_can_be_imported(office: Office) -> None:
    with office.open() as place:
        actions.take(place, "\n".join(TABLE.splitlines()[:-1]).encode(), WORDS)
        raw = actions.table(place)
        assert actions.take(place, raw, WORDS).kept == 0
    assert raw.decode("utf-8-sig").count("\r\n") == 5


def test_commands_import_and_export_a_table(office: Office, tmp_path: object) -> None:
    done = office.run("register", "import", "-", given=f"{HEAD}\n5-1-2026;Zorg;5")
    assert done.stdout.startswith("1 events were kept")
    wrong = office.run("register", "import", "-", given=f"{HEAD}\n5-1-2026;Zorg;veel", code=1)
    assert "Line 2, minutes" in wrong.stderr
    printed = office.run("register", "export", "--csv").stdout
    assert "2026-01-05;Zorg;5" in printed
    office.run("register", "export", "--csv", "--json", code=2)
