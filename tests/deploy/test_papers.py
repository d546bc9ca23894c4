"""The papers describe the code correctly, in both languages, with the same blanks."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import click
import pytest

from dropbox_app.desk.cli.main import main as desk
from dropbox_app.desk.keys.schedule import KEEP_AT_MOST, KEEP_DAYS
from dropbox_app.server.cli.main import main as server
from dropbox_app.server.config.settings import BACKUPS_KEPT, Retention, Settings
from dropbox_app.server.web.ended_sessions import LONGEST
from dropbox_app.server.web.session import IDLE

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ROOT / "deploy" / "papers"
NAMES = (
    "agreement-sheet.md",
    "assignment.md",
    "bill.md",
    "breach-note.md",
    "dpia.md",
    "independence-checklist.md",
    "processing-agreement.md",
    "record-of-processing.md",
)
BOTH = [f"{lang}/{name}" for lang in ("nl", "en") for name in NAMES]
TOP = {
    "nl": "> Concept van 29 november 2026, niet gelezen door een jurist. "
    "Dit is een sjabloon en geen juridisch advies.",
    "en": "> Draft of 29 November 2026, not read by a lawyer. "
    "This is a template, not legal advice.",
}
# Code spans that are neither settings nor commands: files, and other programs.
OTHERS = {
    "SECURITY.md",
    "[ ... ]",
    "hs_ed25519_secret_key",
    "site.toml",
    "systemctl stop klankbord tor",
}
SETTING = re.compile(r"\((`[^)]*`)\)")


def text(name: str) -> str:
    return (PAPERS / name).read_text("utf-8")


def parts(name: str) -> dict[str, str]:
    """Return the text under each numbered heading by number; "" for the text above them."""
    found = re.split(r"^## (\d+)\. .*$", text(name), flags=re.MULTILINE)
    return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}


def settings() -> dict[str, object]:
    """Return every setting by the name used in the papers, with its default."""
    found: dict[str, object] = {item.name: item.default for item in dataclasses.fields(Settings)}
    for item in dataclasses.fields(Retention):
        found[f"retention.{item.name}"] = item.default
    return found


def test_every_paper_exists_in_both_languages() -> None:
    there = {str(path.relative_to(PAPERS)) for path in PAPERS.rglob("*") if path.is_file()}
    assert there == set(BOTH)


@pytest.mark.parametrize("paper", BOTH)
def test_each_paper_begins_with_its_version_and_says_that_it_is_an_unreviewed_draft(
    paper: str,
) -> None:
    top = text(paper).split("\n\n")[1]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert top.startswith(TOP[paper[:2]])
    assert re.search(rf"(version|versie) {re.escape(version)} ", top)


@pytest.mark.parametrize("name", NAMES)
def test_papers_in_both_languages_have_the_same_parts_blanks_numbers_and_names(name: str) -> None:
    nl, en = parts(f"nl/{name}"), parts(f"en/{name}")
    assert list(nl) == list(en) == ["", *(str(n) for n in range(1, len(nl)))]
    for number, dutch in nl.items():
        english = en[number]
        for what in (r"\[ \.\.\. \]", r"^\| ", r"^- ", r"^\d\. ", r"`[^`]+`", r"\d+", r"\*\*"):
            here, there = (
                sorted(re.findall(what, part, re.MULTILINE)) for part in (dutch, english)
            )
            assert here == there, (name, number, what)


@pytest.mark.parametrize("paper", BOTH)
def test_all_blanks_in_a_paper_look_the_same(paper: str) -> None:
    assert "[ ... ]" in text(paper)
    assert re.findall(r"\[(?! \.\.\. \])[^\]]*\]", text(paper)) == []
    assert not re.search(r"_{3,}|\.{4,}|TODO|XXX|\{", text(paper))


@pytest.mark.parametrize("paper", BOTH)
def test_number_next_to_the_name_of_a_setting_is_its_default_value(paper: str) -> None:
    known = settings()
    source = text(paper).replace("\n", " ")
    told = re.findall(r"(\d+)(?: (?:dagen|days))? \(`([\w.]+)`\)", source)
    for number, name in told:
        assert int(number) == known[name], name
    # Every number of days is a setting's or the program's own.
    bare = re.findall(r"(\d+) (?:dagen|days)(?! \(`)", source)
    assert set(map(int, bare)) <= {KEEP_DAYS, KEEP_AT_MOST, BACKUPS_KEPT}
    assert set(re.findall(r"`(retention\.[^`]*)`", source)) <= set(known)


@pytest.mark.parametrize(
    "paper", [p for p in BOTH if p.endswith(("sheet.md", "dpia.md", "ing.md"))]
)
def test_paper_states_retention_of_backups_on_the_server_and_of_all_copies(paper: str) -> None:
    (line,) = (line for line in text(paper).splitlines() if "`retention.backup`" in line)
    assert re.findall(r"(\d+) (?:dagen|days)", line) == [
        str(BACKUPS_KEPT), str(Retention.backup),
    ]  # fmt: skip


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_dpia_states_every_retention_period(lang: str) -> None:
    for item in dataclasses.fields(Retention):
        assert f"`retention.{item.name}`" in text(f"{lang}/dpia.md")


@pytest.mark.parametrize("paper", BOTH)
def test_papers_state_actual_cookie_lifetime(paper: str) -> None:
    minutes = re.findall(r"(\d+) (?:minuten|minutes)", text(paper))
    hours = re.findall(r"(\d+) (?:uur|hours)", text(paper))
    assert set(minutes) <= {str(IDLE // 60)}
    assert set(hours) <= {str(LONGEST // 3600)}
    if paper.endswith(("dpia.md", "record-of-processing.md")):
        assert minutes
        assert hours


@pytest.mark.parametrize("paper", BOTH)
def test_every_code_span_in_a_paper_names_a_setting_or_a_command(paper: str) -> None:
    assert isinstance(server, click.Group)
    assert isinstance(desk, click.Group)
    card = server.commands["card"]
    assert isinstance(card, click.Group)
    known = settings().keys() | OTHERS | desk.commands.keys()
    known |= {f"klankbord-server {name}" for name in server.commands}
    known |= {f"klankbord-desk {name}" for name in desk.commands}
    known |= {f"card {name}" for name in card.commands}
    known.add("klankbord-server card retire NAME")
    assert set(re.findall(r"`([^`]+)`", text(paper))) - known == set()


@pytest.mark.parametrize("paper", BOTH)
def test_no_legal_claim_is_stated_as_fact(paper: str) -> None:
    """Only a lawyer can say which article applies, so no paper names one or its deadlines."""
    assert not re.search(
        r"\b(art(ikel|icle|\.)|GDPR|AVG|UAVG|Wbk|Arbo|72)\b", text(paper), re.IGNORECASE
    )


FORMS = {"nl": ("minder dan 250", "250 tot en met 999", "1.000 of meer"),
         "en": ("less than 250", "250 to 999", "1,000 or more")}  # fmt: skip


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_assignment_specifies_the_report_form_in_advance(
    lang: str,
) -> None:
    """A bill based on the work done would reveal it, so both papers fix the form in advance."""
    rows = [line for line in parts(f"{lang}/assignment.md")["3"].splitlines() if line[:1] == "|"]
    for row, form, size in zip(rows[2:], "ABC", FORMS[lang], strict=True):
        assert row.startswith(f"| {form} | {size} |")
    assert re.search(r"\| (geen|none) \|$", rows[2])
    bounds = re.findall(r"\d+", rows[3].partition("999")[2])
    assert list(map(int, bounds)) == [0, 9, 10, 19, 20, 39, 40]
    never = {"nl": ("uren", "gesprekken", "reizen"), "en": ("hours", "conversations", "travel")}
    for paper, part in (("assignment.md", "4"), ("bill.md", "3")):
        assert all(word in parts(f"{lang}/{paper}")[part].lower() for word in never[lang])
    former = {"nl": "voor wie vertrouwenspersoon was", "en": "for a former counsellor"}[lang]
    assert former in parts(f"{lang}/assignment.md")["5"]
