"""The bill of a year: a price fixed for the whole term, and the ordered trainings.

The bill lists no hours, talks or travel. A bill that depended on hours, talks or travel would
reveal the amount of work, even if only in the next term.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from dropbox_app.desk.annual.report import Training
from dropbox_app.desk.annual.suppression import Form
from dropbox_app.desk.errors import Unfit


@dataclass(frozen=True)
class Ordered:
    """A training that the employer ordered, with its own price in whole euros."""

    training: Training
    price: int


@dataclass(frozen=True)
class Bill:
    """The amounts that one employer pays for one calendar year, in whole euros."""

    employer: str
    year: int
    form: Form
    fixed: int
    ordered: tuple[Ordered, ...]

    @property
    def day(self) -> datetime.date:
        """Return the date of the bill: the last day of its year, regardless of when it is made."""
        return datetime.date(self.year, 12, 31)

    @property
    def total(self) -> int:
        """Return the sum in whole euros."""
        return self.fixed + sum(one.price for one in self.ordered)


def bill(
    employer: str, year: int, form: Form, yearly: int | None, ordered: Sequence[Ordered]
) -> Bill:
    """Return the bill of a year.

    ``form`` is the form of the report; in form A, trainings have no names. ``yearly`` is the agreed
    price of a whole calendar year in euros. Raises Unfit if ``yearly`` is None, because a price set
    afterwards would depend on the work.
    """
    if yearly is None:
        raise Unfit(
            f"No fixed price is written down for {employer}. It is agreed before a term begins"
            " and stays for the whole term: add it to the agreement.",
            "no_price", employer=employer,
        )  # fmt: skip
    own = sorted((o for o in ordered if o.training.day.year == year), key=lambda one: one.training)
    return Bill(employer, year, form, yearly, tuple(own))


def euros(amount: int, language: str) -> str:
    """Return an amount as written in nl or en: ``€ 1.250`` or ``€ 1,250``."""
    written = f"{amount:,}"
    return "€ " + (written.replace(",", ".") if language == "nl" else written)
