"""The contact for concerns about a counsellor, and reporters who are accused themselves."""

from pathlib import Path

import pytest

from dropbox_app.server.config import check, settings
from dropbox_app.server.config.settings import OtherContact
from dropbox_app.server.errors import SettingsError
from tests.server.web.conftest import SITE, House

KIM = OtherContact("Kim Bos", "030 765 43 21")
both = pytest.mark.parametrize("lang", ["nl", "en"])


@both
@pytest.mark.parametrize("page", ["", "role"])
def test_contact_for_complaints_about_a_counsellor_is_shown_with_a_dialable_number(
    tmp_path: Path, lang: str, page: str
) -> None:
    for count in (1, 2):
        names = ("Noor Visser", "Sam Jansen")[:count]
        house = House(tmp_path / str(count), names, other_contact=KIM)
        shown = house.browser().get(f"/{lang}/{page}")
        assert "Kim Bos, 030 765 43 21" in shown.text
        assert 'href="tel:0307654321"' in shown.html
        choose = {"nl": "Kies dan iemand anders.", "en": "Then choose someone else."}[lang]
        assert (choose in shown.text) == (count == 2)
        house.close()


@both
def test_page_suggests_other_help_if_there_is_one_counsellor_and_no_other_contact(
    house: House, lang: str
) -> None:
    text = house.browser().get(f"/{lang}/").text
    assert {"nl": "bijvoorbeeld je huisarts", "en": "such as your doctor"}[lang] in text


def test_single_counsellor_without_another_contact_is_reported_as_a_fault(tmp_path: Path) -> None:
    house = House(tmp_path / "one")
    (said,) = check.no_other_contact(house.site, house.clock.today())
    assert "there is one counsellor" in said
    house.welcome("Sam Jansen")
    assert list(check.no_other_contact(house.site, house.clock.today())) == []
    house.close()
    with_kim = House(tmp_path / "kim", other_contact=KIM)
    assert list(check.no_other_contact(with_kim.site, with_kim.clock.today())) == []
    with_kim.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("other_contact = 3", "must be a table such as"),
        ('other_contact = { name = "Kim" }', "a name and a phone, or neither"),
        ('other_contact = { phone = "112" }', "a name and a phone, or neither"),
        ('other_contact = { name = "Kim", phone = "later" }', "must be a telephone number"),
        ('other_contact = { name = "Kim", mail = "x" }', "must be a table such as"),
    ],
)
def test_invalid_other_contact_is_reported(line: str, said: str) -> None:
    text = f'site = "{SITE}"\nname = "X"\norigins = ["https://x.example"]\n{line}\n'
    with pytest.raises(SettingsError, match=said):
        settings.parse(text, Path("site.toml"))


@both
def test_reporters_statement_that_they_are_accused_reaches_the_counsellor(
    house: House, lang: str
) -> None:
    browser = house.browser()
    label = {"nl": "Ik word ergens van beschuldigd", "en": "I am accused of something"}[lang]
    assert label in browser.get(f"/{lang}/report").text
    page = browser.tell("Iets.", lang, topics=["accused"])
    assert page.code
    (message,) = house.counsellors[0].only_thread().genuine()
    assert message.body["answers"] == {"topics": ["accused"]}
