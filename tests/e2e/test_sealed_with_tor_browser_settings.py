"""Sealing in Debian's Firefox with the settings of Tor Browser that could affect it.

This is not Tor Browser: its patches are missing. Its settings round clocks, forget everything
with the window and, at the security level "Safer", disable the compiler.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.test_sealed_files import at_the_desk, choose, is_sent, saved, send, some_files
from tests.e2e.test_sealed_journey import Meet, meet, relay, usual_codes
from tests.support.browsers import FIREFOX, PROGRAMS, Start, driver, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.lean_browser import INTERPRETED
from tests.support.relay import Relay
from tests.support.sealing_person import LANG, PLAIN, SEALING
from tests.support.steps import ANSWER, STORY, the_only_thread

__all__ = ["meet", "relay", "usual_codes"]  # fixtures

pytestmark = [here("firefox"), pytest.mark.long, pytest.mark.usefixtures("usual_codes")]

STANDARD: dict[str, str | float | bool] = {
    "browser.cache.disk.enable": False,
    "browser.privatebrowsing.autostart": True,
    "dom.serviceWorkers.enabled": False,
    "media.peerconnection.enabled": False,
    "privacy.firstparty.isolate": True,
    "privacy.resistFingerprinting": True,
    "privacy.resistFingerprinting.letterboxing": True,
    "webgl.disabled": True,
}
SAFER: dict[str, str | float | bool] = {
    "gfx.font_rendering.graphite.enabled": False,
    "gfx.font_rendering.opentype_svg.enabled": False,
    **INTERPRETED,
    "mathml.disabled": True,
    "svg.disabled": True,
}
in_firefox = pytest.mark.parametrize("meet", ["firefox"], indirect=True)


@pytest.fixture(params=["standard"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Yield a function that returns a Firefox at this security level."""
    safer = SAFER if request.param == "safer" else {}
    with driver() as playwright:
        browser = playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=PROGRAMS["firefox"],
            firefox_user_prefs={**FIREFOX, **STANDARD, **safer},
        )

        def the_same(_name: str, _scripts: bool) -> Browser:
            return browser

        yield the_same
        browser.close()


@in_firefox
def test_conversation_with_files_is_sealed_at_the_standard_level(
    meet: Meet, relay: Relay, box: DropBox, counsellor: Counsellor, tmp_path: Path
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    given = some_files()
    choose(writer, given)
    send(writer)
    is_sent(writer)
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents

    (tmp_path / "verslag.txt").write_bytes(b"Wat ik deed.\n" * 50)
    counsellor.reply(the_only_thread(counsellor), ANSWER[LANG], tmp_path / "verslag.txt")
    reader = meet()
    reader.returns(code)
    assert ANSWER[LANG] in reader.messages
    assert saved(reader, "verslag.txt") == b"Wat ik deed.\n" * 50
    reader.withdraws()
    assert relay.sent("POST", f"/{LANG}/") == []


@in_firefox
@pytest.mark.parametrize("start", ["safer"], indirect=True)
def test_browser_at_the_safer_level_says_whether_it_seals_and_the_report_arrives(
    meet: Meet, relay: Relay, counsellor: Counsellor
) -> None:
    """Without its compiler it seals on a fast computer only."""
    writer = meet()
    writer.page.goto(f"/{LANG}/report")
    sealing, plain = writer.page.locator(SEALING), writer.page.get_by_text(PLAIN)
    sealing.or_(plain).first.wait_for(state="attached", timeout=60_000)
    assert sealing.count() != plain.count()
    writer.writes(STORY[LANG])
    writer.code()
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
