"""Sealing browsers at both kinds of address: an onion without https, and a domain."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.server.config import settings
from tests.e2e.test_origins import ADDRESSES, ONION
from tests.support.browsers import Person, Start, browsers, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.net import Net
from tests.support.sealing_person import open_sealing
from tests.support.steps import STORY, the_only_thread

LANG = "nl"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, mould: tuple[Path, int]) -> Iterator[Start]:
    places = {("melden.voorbeeld.example", 443): mould[1], (ONION, 80): mould[1]}
    with Net(tmp_path_factory.mktemp("net"), places).running() as net, browsers(net) as starting:
        yield starting


@pytest.fixture
def sealing(tmp_path: Path, mould: tuple[Path, int]) -> Iterator[DropBox]:
    """Yield a drop box at all of these addresses, whose settings let browsers seal."""
    shutil.copytree(mould[0] / "server", tmp_path / "server")
    box = DropBox(tmp_path / "server", port=mould[1])
    origins = [box.url, *(address.own for address in ADDRESSES.values())]
    box.server("move", *(part for origin in origins for part in ("--origin", origin)))
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    box.serve()
    try:
        yield box
    finally:
        box.stop()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        pytest.param("chromium", "onion", marks=here("chromium")),
        pytest.param("chromium", "https", marks=here("chromium")),
        pytest.param("firefox", "onion", marks=[here("firefox"), pytest.mark.long]),  # as in CI
    ],
)
def test_report_can_be_sealed_and_read_at_every_address(
    start: Start, sealing: DropBox, counsellor: Counsellor, name: str, address: str
) -> None:
    """Chromium treats an onion without https as insecure, where scripts have fewer functions."""
    home = ADDRESSES[address].own
    person = Person(start, name, home)
    open_sealing(person.page, f"{home}/{LANG}/report")
    secure = person.page.evaluate("isSecureContext")
    assert secure == ((name, address) != ("chromium", "onion"))
    person.write("text", STORY[LANG])
    person.page.click("#main-form button.button")
    person.page.wait_for_selector("ol.code li")
    code = " ".join(person.page.locator("ol.code li").all_inner_texts())
    person.close()
    counsellor.desk("fetch")
    read = counsellor.read(the_only_thread(counsellor))
    assert [message["text"] for message in read["messages"]] == [STORY[LANG]]

    later = Person(start, name, home)
    open_sealing(later.page, f"{home}/{LANG}/return")
    later.write("code", code)
    later.page.click("[data-seal=return] button.button")
    later.page.get_by_text(STORY[LANG]).first.wait_for()
    assert later.cookies == {}
    later.close()
