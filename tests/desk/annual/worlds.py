"""Random registers for the annual report tests, and everything issued from them."""

import datetime
from collections.abc import Iterable, Mapping, Sequence

from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual import render
from dropbox_app.desk.annual.report import OwnWords
from dropbox_app.desk.register import events as e

TODAY = datetime.date(2030, 2, 1)
FIRST_YEAR = 2025
YEARS = (2025, 2026, 2027)
TEXT_FORMATS = ("md", "html", "csv", "json")

Cells = Mapping[tuple[str, int, str], int]  # situations by employer, year and main group


def day(year: int, number: int) -> datetime.date:
    """Return a day of the year, always the same for the same number."""
    return datetime.date(year, 1, 1) + datetime.timedelta(days=number * 7 % 365)


def agreed(employer: str, headcount: int, *, term_band: bool = False, price: int = 2_400,
           group: str = "") -> list[e.Event]:  # fmt: skip
    """Return an employer with an agreement for all of YEARS."""
    first = datetime.date(FIRST_YEAR, 1, 1)
    last = datetime.date(YEARS[-1], 12, 31)
    return [
        e.Employer(date=first, employer=employer, headcount=headcount, group=group),
        e.Agreement(
            date=first,
            employer=employer,
            until=last,
            headcount=headcount,
            price=price,
            term_band=term_band,
        ),
    ]


def cases(cells: Cells, mark: str = "") -> list[e.Case]:
    """Return as many cases as the cells specify, each a separate situation."""
    return [
        e.Case(date=day(year, number), employer=employer, case=f"{mark}{year}-{group}-{number}",
               main_group=group)
        for (employer, year, group), count in cells.items()
        for number in range(count)
    ]  # fmt: skip


def issue(
    events: Sequence[e.Event],
    employer: str,
    years: Iterable[int] = YEARS,
    *,
    formats: Iterable[str] = TEXT_FORMATS,
    own: OwnWords | None = None,
    joint: Mapping[str, int] | None = None,
    language: str = "nl",
) -> dict[str, bytes]:
    """Return one employer's reports and bills over the years, by file name."""
    known, files = list(events), {}
    for year in years:
        made = drafts.draft(known, employer, year, today=TODAY, counsellor="Noor Jansen",
                            language=language, own=own, joint=joint)  # fmt: skip
        bill = render.bill(drafts.bill(known, employer, year), language)
        for one in (made.report, bill):
            for kind in formats:
                files[f"{one.name}.{kind}"] = render.report(one, kind)
        known.append(
            e.Freeze(
                date=TODAY,
                employer=employer,
                first_year=year,
                last_year=year,
                form=made.form,
                advice=made.advice,
            )
        )
    return files
