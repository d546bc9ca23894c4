"""Write a report or a bill as Markdown, HTML, PDF, CSV or JSON.

The same report always produces the same bytes. No file contains an author, a time, a program
version or the reason for a figure.
"""

import csv
import datetime
import html
import importlib.resources
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from dropbox_app.desk.annual.bill import Bill, euros
from dropbox_app.desk.annual.report import Report, Section, day_in, texts
from dropbox_app.desk.errors import Unfit

FORMATS = ("md", "html", "pdf", "csv", "json")

# What Markdown reads as more than text: signs anywhere, an entity, and the beginnings of a list or
# a quotation. A hyphen or a full stop within a line is none of these.
_MARKUP = re.compile(r"(\A\d{1,9}(?=[.)](?:\s|\Z)))|[\\`*_{}\[\]<#|~]|&(?=#?\w+;)|\A[-+>]")
_STYLE = (
    "body{font:1.05rem/1.5 Georgia,serif;max-width:42rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}h1{font-size:1.7rem;line-height:1.25}h2{font-size:1.2rem;"
    "margin:2rem 0 .5rem}table{border-collapse:collapse;width:100%}th,td{text-align:start;"
    "vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid #bbb}"
    "th{font-weight:600;width:45%}li{margin:.4rem 0}"
    "@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}"
    "li,tr{break-inside:avoid}}"
)


def report(made: Report, kind: str) -> bytes:
    """Return a report in one of FORMATS, in UTF-8 if it is text. Raises Unfit."""
    if kind == "pdf":
        return _pdf(as_json(made))
    writers = {"md": _markdown, "html": _html, "csv": _csv, "json": _json}
    if kind not in writers:
        raise Unfit(f"A report is made as one of: {', '.join(FORMATS)}.", "report_format")
    return writers[kind](made).encode("utf-8")


def bill(made: Bill, language: str) -> Report:
    """Return a bill as a report of one section, so that it can be written in each format."""
    every = texts(language)
    say = every["bill"]
    rows = [(say["fixed"].format(year=made.year), euros(made.fixed, language))]
    rows += [
        (
            f"{day_in(one.training.day, language)}: {one.training.name(made.form, every)}",
            euros(one.price, language),
        )
        for one in made.ordered
    ]
    rows.append((say["total"], euros(made.total, language)))
    section = Section("bill", say["description"], (say["note"],), (), tuple(rows))
    title = say["title"].format(employer=made.employer, year=made.year)
    return Report(language, title, made.employer, made.year, made.day, (section,), say["file"])


def as_json(made: Report) -> dict[str, Any]:
    """Return the JSON form, from which ``from_json`` restores the same report."""
    return {
        "title": made.title,
        "language": made.language,
        "employer": made.employer,
        "year": made.year,
        "date": made.day.isoformat(),
        "date_line": _date_line(made),
        "file": made.file,
        "sections": [
            {
                "slot": one.slot,
                "heading": one.heading,
                "sentences": list(one.sentences),
                "points": list(one.points),
                "caption": one.caption,
                "figures": [{"label": label, "value": value} for label, value in one.figures],
            }
            for one in made.sections
        ],
    }


def from_json(value: Mapping[str, Any]) -> Report:
    """Read an issued report from its JSON form."""
    return Report(
        language=value["language"],
        title=value["title"],
        employer=value["employer"],
        year=value["year"],
        day=datetime.date.fromisoformat(value["date"]),
        sections=tuple(
            Section(
                one["slot"],
                one["heading"],
                tuple(one["sentences"]),
                tuple(one["points"]),
                tuple((row["label"], row["value"]) for row in one["figures"]),
                one["caption"],
            )
            for one in value["sections"]
        ),
        file=value["file"],
    )


def _date_line(made: Report) -> str:
    say = texts(made.language)
    return str(say["day"].format(day=day_in(made.day, made.language)))


def _json(made: Report) -> str:
    return json.dumps(as_json(made), ensure_ascii=False, indent=2) + "\n"


def _csv(made: Report) -> str:
    """Return CSV rows with the columns section, kind and text.

    An apostrophe before a text keeps a spreadsheet from running it as a formula.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("section", "heading", "kind", "label", "value"))
    for one in made.sections:
        rows = [("sentence", "", text) for text in one.sentences]
        rows += [("point", "", text) for text in one.points]
        rows += [("sentence", "", one.caption)] if one.caption else []
        rows += [("figure", label, value) for label, value in one.figures]
        for row in rows:
            writer.writerow([_inert(cell) for cell in (one.slot, one.heading, *row)])
    return out.getvalue()


def _inert(cell: str) -> str:
    return "'" + cell if cell[:1] in set("=+-@\t\r") else cell


def _markdown(made: Report) -> str:
    lines = [f"# {_plain(made.title)}", "", _plain(_date_line(made)), ""]
    for number, one in enumerate(made.sections, 1):
        lines += [f"## {number}. {_plain(one.heading)}", ""]
        for text in one.sentences:
            lines += [_plain(text), ""]
        if one.points:
            lines += [*(f"- {_plain(text)}" for text in one.points), ""]
        if one.caption:
            lines += [_plain(one.caption), ""]
        if one.figures:
            lines += ["| | |", "|---|---|"]
            lines += [f"| {_plain(label)} | {_plain(value)} |" for label, value in one.figures]
            lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    line = " ".join(text.split())
    # The number of a list is not escaped itself, but the sign after it.
    return _MARKUP.sub(lambda one: f"{one[1]}\\" if one[1] else f"\\{one[0]}", line)


def _html(made: Report) -> str:
    esc = html.escape
    parts = [
        f'<!doctype html>\n<html lang="{made.language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{esc(made.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{esc(made.title)}</h1>\n<p>{esc(_date_line(made))}</p>\n"
    ]
    for number, one in enumerate(made.sections, 1):
        parts.append(f"<section>\n<h2>{number}. {esc(one.heading)}</h2>\n")
        parts += [f"<p>{esc(text)}</p>\n" for text in one.sentences]
        if one.points:
            points = "".join(f"<li>{esc(text)}</li>\n" for text in one.points)
            parts.append(f"<ul>\n{points}</ul>\n")
        if one.caption:
            parts.append(f"<p>{esc(one.caption)}</p>\n")
        if one.figures:
            rows = "".join(
                f'<tr><th scope="row">{esc(label)}</th><td>{esc(value)}</td></tr>\n'
                for label, value in one.figures
            )
            parts.append(f"<table>\n{rows}</table>\n")
        parts.append("</section>\n")
    return "".join([*parts, "</main>\n</body>\n</html>\n"])


def _pdf(data: Mapping[str, Any]) -> bytes:
    """Return the pages as PDF: tagged (PDF/UA-1), without author or time."""
    try:
        import typst
    except ImportError:
        sentence = "This computer lacks typst, which makes the PDF; use another format or computer."
        raise Unfit(sentence, "no_typst") from None
    page = (importlib.resources.files("dropbox_app.desk.annual") / "report.typ").read_bytes()
    for system_fonts in (False, True):
        fields = json.dumps({**data, "fallback": system_fonts})
        try:
            made = typst.compile(
                page, format="pdf", pdf_standards=["ua-1"], sys_inputs={"data": fields},
                ignore_system_fonts=not system_fonts,
            )  # fmt: skip
        except typst.TypstError:
            continue
        return bytes(made)
    sentence = "The report has letters that no font of this computer has, so it cannot be printed."
    raise Unfit(sentence, "no_font")
