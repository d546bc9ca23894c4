"""A first day at the desk in Chromium: each page is complete, readable and as in the guide.

The day uses the buttons in the guide's pictures, from the first run to the register, the annual
report and all settings. By default every third page is checked, and with --long, as in CI, every
page. CI checks Dutch pages in light colours here, and English ones in dark colours in the files
test_look_of_managing.py and test_look_of_conversations.py.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.desk.web.test_look_of_managing import LOOKS, check
from tests.support import by_keyboard
from tests.support.browsers import chromium, here
from tests.support.desk_tour import GUIDE, tour

pytestmark = here("chromium")
__all__ = ["chromium"]


@pytest.mark.parametrize(
    ("language", "scheme"),
    [LOOKS[0], pytest.param(*LOOKS[1], marks=[pytest.mark.long, pytest.mark.spare])],
)
def test_every_page_is_readable_and_every_guide_picture_shows_a_page(
    chromium: Browser, tmp_path: Path, language: str, scheme: str, long_run: bool
) -> None:
    context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type] # one of two
    met: list[str] = []
    walked = set[str | None]()
    for name, page in tour(tmp_path, context, language):
        if long_run or len(met) % 3 == 0:
            check(page)
        kind = page.get_attribute("body", "data-page")
        if long_run and kind not in walked:  # those that follow no form: test_every_page.py
            walked.add(kind)
            assert by_keyboard.walk(page) == [], name
        met.append(name)
    context.close()
    assert [name for name in met if name in GUIDE] == list(GUIDE)
    assert len(met) == len(set(met))
