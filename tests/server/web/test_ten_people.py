"""Ten people in need: each finds a right door from the first page in two clicks, no script."""

from pathlib import Path

import pytest

from dropbox_app.server.config.settings import OtherContact
from tests.server.web.conftest import House

# Who comes; the links they follow from the first page, one a click; what they then find.
PEOPLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "assaulted yesterday evening": (
        ("/nl/what", "/nl/help#sexual_harassment"),
        ("Centrum Seksueel Geweld", "0800-0188", "dag en nacht"),
    ),
    "discriminated against": (("/nl/what", "/nl/help#discrimination"), ("0800-0880",)),
    "saw a fraud": (("/nl/what", "/nl/help#wrongdoing"), ("Huis voor Klokkenluiders",)),
    "quarrels with a manager": (("/nl/what", "/nl/help#conflict"), ("Mediator", "Vakbond")),
    "is accused": (("/nl/what", "/nl/help#accused"), ("Juridisch Loket",)),
    "a trainee": ((), ("Voor iedereen die met Bakkerij De Korenaar te maken heeft.",)),
    "is not sure that it is bad enough": (("/nl/about",), ("Is dit erg genoeg?",)),
    "has a complaint about the counsellor": ((), ("Kim Bos", "030 765 43 21")),
    "wants to stop": (("/nl/about",), ("Je kunt ook stoppen.",)),
    "has lost the paper": (
        ("/nl/return", "/nl/safety"),
        ("Verder",),
    ),
}


@pytest.mark.parametrize("who", PEOPLE)
def test_each_finds_a_door_in_two_clicks(tmp_path: Path, who: str) -> None:
    house = House(tmp_path / "site", other_contact=OtherContact("Kim Bos", "030 765 43 21"))
    clicks, found = PEOPLE[who]
    assert len(clicks) <= 2
    browser = house.browser()
    page = browser.get("/nl/")
    for link in clicks:
        assert link in page.links
        page = browser.get(link.partition("#")[0])
    text = page.text.replace("\u2060", "").replace("\u00a0", " ")
    assert all(one in text for one in found)
    house.close()


def test_who_has_lost_the_paper_is_told_so_and_what_to_do(house: House) -> None:
    text = house.browser().get("/nl/return").text
    assert "Code kwijt? Stuur een nieuw bericht." in text
