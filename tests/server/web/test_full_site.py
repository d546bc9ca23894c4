"""A site that reporters fill stops at its limit: the page they get, and what still works."""

from pathlib import Path

import pytest

from dropbox_app.server.config.settings import Limits
from dropbox_app.server.store.sqlite import SqliteStore
from tests.server.web.conftest import Browser, House
from tests.server.web.test_report import kept
from tests.support.plain_browser import Page

SITE_BYTES = 2_000_000
PAGES = 32_768  # bytes that the last report may take in the database beyond its own size
TEXT = "Een lang verhaal. " * 40 + "Einde."
NO_ROOM = "Er is nu geen ruimte voor nieuwe berichten. Je bericht is niet verstuurd."


def is_refused(page: Page, text: str) -> None:
    assert page.status == 503
    assert NO_ROOM in page.text
    assert kept(page) == text


def filled(house: House, most: int) -> tuple[Browser, str, int]:
    """Send reports until one is refused; return the first reporter, the code and the number."""
    first = house.browser()
    code = first.tell(TEXT).code
    first.come_back(code)
    for number in range(1, most):
        page = house.browser().tell(TEXT)
        if page.status != 200:
            is_refused(page, TEXT)
            return first, code, number
    raise AssertionError("nothing was refused")


def test_reports_are_refused_above_a_limit_while_answers_are_still_accepted(tmp_path: Path) -> None:
    house = House(tmp_path / "site", limits=Limits(site_bytes=SITE_BYTES, free_bytes=1))
    noor = house.counsellors[0]
    first, code, count = filled(house, 300)
    assert SITE_BYTES * 0.9 < house.store.used() <= SITE_BYTES * 0.95 + PAGES
    assert house.stored() == count
    is_refused(first.write_on(TEXT), TEXT)
    threads = list(noor.threads().values())
    for thread in threads[:5]:
        noor.write("reply", {"text": "Ik heb het gelezen."}, thread)
    assert house.store.used() <= SITE_BYTES
    read = [house.browser().come_back(code).text, *(m.text for t in noor.threads().values()
            for m in t.genuine())]  # fmt: skip
    assert sum(text == "Ik heb het gelezen." for text in read) == 5
    page = first.get("/nl/withdraw")
    assert first.submit(page, page.form_with("sure"), sure="y").path == "/nl/withdrawn"
    house.close()


def test_nearly_full_disk_stops_reports_on_all_sites_before_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minimum applies to the disk, which all sites of a server share."""
    floor = 1_000_000
    houses = [House(tmp_path / name, limits=Limits(free_bytes=floor)) for name in ("a", "b")]
    reporters = [house.browser() for house in houses]
    monkeypatch.setattr(SqliteStore, "free", lambda self: 10 * floor)
    for house, reporter in zip(houses, reporters, strict=True):
        reporter.come_back(reporter.tell(TEXT).code)
        assert house.stored() == 1
    monkeypatch.setattr(SqliteStore, "free", lambda self: floor - 1)
    for house, reporter in zip(houses, reporters, strict=True):
        is_refused(house.browser().tell(TEXT), TEXT)
        is_refused(reporter.write_on(TEXT), TEXT)
        house.counsellors[0].write("reply", {"text": "Ik heb het gelezen."})
        assert "Ik heb het gelezen." in reporter.get("/nl/conversation").text
    for house in houses:
        house.close()
