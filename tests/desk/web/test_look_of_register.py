"""The register's pages in Chromium: clicks or keys per contact, and a whole week.

Their appearance is tested in test_look_of_a_day.py.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from dropbox_app.desk.actions import register
from dropbox_app.desk.register.events import Activity, Advice, Contact
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running
from tests.desk.web.test_look_of_managing import enter
from tests.support.browsers import chromium, here
from tests.support.fake_server import Peer, Reporter
from tests.support.presses import Presses

pytestmark = here("chromium")
__all__ = ["chromium"]

CALL, WEEK = 40, 25 * 60  # seconds
BOUNDS = {
    "test_recording_a_call_with_a_new_case_takes_nine_clicks": CALL,
    "test_recording_a_call_by_keyboard_takes_thirty_keystrokes": CALL,
    "test_week_of_25_employers_is_recorded_by_mouse_within_25_minutes": WEEK,
}


@pytest.fixture
def presses(
    running: Running,
    chromium: Browser,
    tmp_path: Path,
    long_run: bool,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Presses]:
    """Yield an unlocked page that counts presses; with --long it prints the counts at the end."""
    page = enter(running, chromium, "light", tmp_path)
    page.fill("#passphrase", PASSPHRASE)
    page.click("main button.button")
    page.wait_for_selector("[data-page=today]")
    made = Presses(page)
    yield made
    page.context.close()
    if long_run:
        table = made.table(request.node.name, BOUNDS[request.node.name])
        with capsys.disabled():
            print(f"\n{table}")  # noqa: T201 - for people


def test_recording_a_call_with_a_new_case_takes_nine_clicks(presses: Presses) -> None:
    presses.click(".ways a[href$=contact]")
    presses.until("[data-page=contact]")
    for choice in ("minutes][value='45'", "how][value=telephone", "channel][value=telephone",
                   "topic][value=labour_conflict", "which][value=new",
                   "help][value=listening", "help][value=advice"):  # fmt: skip
        presses.click(f"label:has([name={choice}])")
    presses.click("main button.button")
    presses.until("main [role=status]")
    assert presses.clicks == 9
    assert presses.by_hand <= CALL


def test_recording_a_call_by_keyboard_takes_thirty_keystrokes(presses: Presses) -> None:
    presses.tab_to(".ways a[href$=contact]")
    presses.press("Enter")
    presses.until("[data-page=contact]")
    presses.tab_to("#other_minutes")
    presses.press("4", "5")
    presses.tab_to("[name=how]")
    presses.press("ArrowDown", "ArrowDown")  # from "I don't know" down to telephone
    presses.tab_to("[name=topic]")
    presses.press("ArrowDown")
    presses.press("Enter")
    presses.until("main [role=status]")
    assert presses.keys <= 30
    assert presses.by_hand <= CALL


@pytest.fixture
def conversations(office: Office, peer: Peer) -> None:
    """Fetch five conversations."""
    for _ in range(5):
        Reporter(peer, office.identity).report("Het gaat over mijn chef.")
    office.fetch()


@pytest.mark.long
@pytest.mark.usefixtures("conversations")
def test_week_of_25_employers_is_recorded_by_mouse_within_25_minutes(
    running: Running, presses: Presses
) -> None:
    """The week has 20 calls, 5 conversations, 3 trainings and 4 talks with managers."""
    names = iter(employers(running) * 2)  # each call is for a different employer
    for number in range(20):
        call(presses, next(names), new=number % 4 == 0)
    for number in range(5):
        presses.click(".ways a[href$=threads]")
        presses.until("[data-page=threads]")
        presses.click(f".rows .row >> nth={number} >> a")
        presses.until("[data-page=thread]")
        presses.click("main a[href*=case]")
        presses.until("[data-page=case]")
        presses.click("main a[href$=sheet]")
        presses.until("[data-page=case-sheet]")
        for choice in ("main_group][value=unwanted_behaviour", "role][value=affected"):
            presses.click(f"label:has([name={choice}])")
        presses.click("main button.button")
        presses.until("[data-page=case] [role=status]")
    for kind, choice, count in (("activity", "what][value=training", 3), ("advice", "", 4)):
        for _ in range(count):
            work(presses, next(names), kind, choice)
    with running.lock.use() as place:
        kept = register.every(place)
    of = [one for one in kept if isinstance(one, Contact | Activity | Advice)]
    assert Counter(one.kind for one in of) == {"contact": 20, "activity": 3, "advice": 4}
    assert len({one.employer for one in of}) == 25
    assert presses.clicks == 252
    assert presses.keys == 0
    assert presses.seconds <= WEEK


def employers(running: Running) -> list[str]:
    """Return the names of 25 employers in the register."""
    with running.lock.use() as place:
        fixed = {"event": "employer", "date": place.machine.today().isoformat()}
        lines = [json.dumps(fixed | {"employer": f"Werkgever {number}"}) for number in range(24)]
        register.bring_in(place, "\n".join(lines).encode())
        return register.employers(place)


def call(presses: Presses, employer: str, *, new: bool) -> None:
    """Record a call of twenty minutes."""
    presses.click(".ways a[href$=contact]")
    presses.until("[data-page=contact] form.contact")
    presses.choose("#employer", employer)
    choices = ["minutes][value='20'", "how][value=telephone", "topic][value=labour_conflict"]
    choices += ["which][value=new"] if new else []
    for choice in (*choices, "help][value=listening"):
        presses.click(f"label:has([name={choice}])")
    presses.click("form.contact button.button")
    presses.until("main [role=status]")


def work(presses: Presses, employer: str, kind: str, choice: str) -> None:
    """Record a training or advice of ninety minutes."""
    presses.click(".ways a[href$=all]")
    presses.until("[data-page=more]")
    presses.click("main a[href$=work]")
    presses.until("[data-page=work]")
    presses.click(f"#{kind} summary")
    presses.choose(f"#{kind}-employer", employer)
    if choice:
        presses.click(f"#{kind} label:has([name={choice}])")
    presses.click(f"#{kind} label:has([name=minutes][value='90'])")
    presses.click(f"#{kind} button")
    presses.until("main [role=status]")
