"""Help in two clicks; the texts on the law, with their author and reviewer."""

import datetime
import re

import pytest

from dropbox_app.server.config import check, law, loader, referrals, settings_writer
from dropbox_app.server.config.referrals import TOPICS, shipped
from dropbox_app.server.config.settings import FILE_NAME, Law
from dropbox_app.server.web.i18n import words
from tests.server.config.test_referrals import OWN
from tests.server.web.conftest import House
from tests.server.web.test_before import check_shape

both = pytest.mark.parametrize("lang", ["nl", "en"])
TODAY = datetime.date(2026, 11, 29)


@both
@pytest.mark.parametrize("topic", TOPICS)
def test_help_is_two_clicks_from_the_first_page(house: House, lang: str, topic: str) -> None:
    """The second click is a link within the page, so the server does not learn the choice."""
    first = house.browser().get(f"/{lang}/")
    assert f"/{lang}/what" in first.links
    what = house.browser().get(f"/{lang}/what")
    assert f"/{lang}/help#{topic}" in what.links
    page = house.browser().get(f"/{lang}/help")
    check_shape(page)
    assert f"#{topic}" in page.links
    _, _, part = page.html.partition(f'id="{topic}"')
    part = part.partition("<h2")[0]
    for entry in shipped().by_topic()[topic]:
        assert entry.name in part
        assert entry.why(lang) in re.sub("<[^>]+>", "", part)
        assert ('href="tel:112"' in part) >= (" 112." in entry.why(lang))
        if entry.phone:
            assert f'href="tel:{re.sub("[^0-9]", "", entry.phone)}"' in part


@both
def test_centre_open_day_and_night_is_listed_first_for_sexual_violence(
    house: House, lang: str
) -> None:
    page = house.browser().get(f"/{lang}/help")
    _, _, part = page.html.partition('id="sexual_harassment"')
    assert part.index("tel:08000188") < part.index("tel:09008844")


@both
def test_page_states_the_date_of_the_list(house: House, lang: str) -> None:
    day = words(lang).date(shipped().compiled, TODAY).replace("\u00a0", " ")
    text = house.browser().get(f"/{lang}/help").text
    assert day in text.replace("\u00a0", " ")


@both
@pytest.mark.parametrize("draft", law.DRAFTS)
def test_draft_says_that_no_lawyer_has_read_it(
    tmp_path_factory: pytest.TempPathFactory, lang: str, draft: str
) -> None:
    house = House(tmp_path_factory.mktemp("site") / "x", law=Law(draft=draft))
    for page in ("exceptions", "privacy"):
        text = house.browser().get(f"/{lang}/{page}").text
        assert words(lang).say("law.draft") in text
        assert words(lang).say("law.unread") in text
    said = house.browser().get(f"/{lang}/exceptions").text
    civil = {"nl": "Ambtenaren hebben de plicht", "en": "Civil servants have a duty"}[lang]
    school = {"nl": "In het onderwijs", "en": "In education"}[lang]
    assert (civil in said, school in said) == (draft == "government", draft == "education")
    house.close()


@pytest.mark.parametrize("draft", law.DRAFTS)
def test_draft_has_the_same_parts_in_both_languages(draft: str) -> None:
    for block in law.BLOCKS:
        nl, en = (re.sub(r"[^#\-\n]|(?<!\n)-", "", law.draft(draft, lang, block)) for lang in
                  ("nl", "en"))  # fmt: skip
        assert [line[:2] for line in nl.splitlines()] == [line[:2] for line in en.splitlines()]


def test_no_draft_tells_a_reporter_to_go_to_the_police() -> None:
    for draft in law.DRAFTS:
        assert "moet je" not in law.draft(draft, "nl", law.EXCEPTIONS)
        assert "you must" not in law.draft(draft, "en", law.EXCEPTIONS)


def test_site_text_is_shown_with_author_reviewer_and_date(house: House) -> None:
    read_on = datetime.date(2026, 10, 1)
    known = Law(author="mr. A. Bakker", read_by="mr. B. de Wit", read_on=read_on)
    path = house.folder / FILE_NAME
    path.write_text(settings_writer.write(house.site.settings).replace(
        'author = ""\n', f'author = "{known.author}"\n'
    ).replace('read_by = ""', f'read_by = "{known.read_by}"').replace(
        'read_on = ""', "read_on = 2026-10-01"
    ))  # fmt: skip
    for lang, said in (("nl", "Onze eigen regel."), ("en", "A rule of our own.")):
        own = house.folder / "content" / lang / "law-exceptions.md"
        own.parent.mkdir(parents=True)
        own.write_text(said)
    house.restart()
    page = house.browser().get("/nl/exceptions")
    assert "Onze eigen regel." in page.text
    assert "moord" not in page.text
    shown = page.text.replace("\u00a0", " ")
    assert "Deze tekst over de wet is van mr. A. Bakker." in shown
    assert "Gelezen door mr. B. de Wit op 1 oktober." in shown
    check_shape(page)
    # The block that the site did not write is still the draft, read by the same lawyer.
    assert words("nl").say("law.draft") in house.browser().get("/nl/privacy").text
    read = loader.read(house.folder).sites[0]
    assert not any("law" in said for said in check.stale_texts(read, TODAY))
    (old,) = (s for s in check.stale_texts(read, read_on.replace(year=2028)) if "law" in s)
    assert "read it again" in old


def test_unreviewed_or_anonymous_text_is_reported(house: House) -> None:
    own = house.folder / "content" / "nl" / "law-privacy.md"
    own.parent.mkdir(parents=True)
    own.write_text("Iets.")
    said = " ".join(check.stale_texts(loader.read(house.folder).sites[0], TODAY))
    assert "no lawyer has read" in said
    assert "name the author" in said


@both
def test_privacy_page_states_controller_purpose_recipients_retention_and_rights(
    house: House, lang: str
) -> None:
    page = house.browser().get(f"/{lang}/privacy")
    headings = re.findall("<h2[^>]*>([^<]*)</h2>", page.html)
    say = words(lang).say
    for key in ("who", "purpose", "receivers", "not", "kept", "long"):
        assert say(f"privacy.{key}_title") in headings
    rights = {"nl": ["Je rechten", "Een klacht over privacy"],
              "en": ["Your rights", "A complaint about privacy"]}[lang]  # fmt: skip
    assert set(rights) <= set(headings)
    assert f"/{lang}/privacy" in house.browser().get(f"/{lang}/report").links


def test_site_can_replace_the_list_of_organisations_and_an_invalid_list_is_ignored(
    house: House,
) -> None:
    path = house.folder / "content" / referrals.FILE_NAME
    path.parent.mkdir()
    path.write_text(OWN)
    read = loader.read(house.folder)
    assert read.faults == ()
    assert [one.name for one in read.sites[0].referrals.entries] == ["Klachtencommissie"]
    assert not any("referrals" in said for said in notes(read))
    path.write_text(OWN.replace("030 111 22 33", "nobody"))
    read = loader.read(house.folder)
    (fault,) = read.faults
    assert "telephone number" in fault.said
    assert read.sites[0].referrals is referrals.shipped()
    assert any("nobody has checked within a year: Centrum Seksueel" in said for said in notes(read))


@both
def test_unchecked_entry_is_not_described_as_checked(house: House, lang: str) -> None:
    """The page says that none or not all were checked; the operator is told which."""
    none, some = (words(lang).say(key) for key in ("help.unchecked_all", "help.unchecked"))
    assert all(entry.checked is None for entry in shipped().entries)
    text = house.browser().get(f"/{lang}/help").text
    assert (none in text, some in text) == (True, False)
    # At each topic: a visitor who follows "what happened" lands there and may see nothing else.
    assert text.count(none) == len(shipped().by_topic())
    told = " ".join(notes(loader.read(house.folder)))
    unchecked = [entry.name for entry in shipped().entries if entry.checked is None]
    assert unchecked[0] in told
    assert f"and {len(unchecked) - check.SHOWN} more" in told
    path = house.folder / "content" / referrals.FILE_NAME
    path.parent.mkdir()
    without = OWN.partition("[[referral]]")[2].replace("checked = 2026-11-01\n", "")
    for listed, wanted in ((OWN + "[[referral]]" + without, (False, True)), (OWN, (False, False))):
        path.write_text(listed)
        house.restart()
        text = house.browser().get(f"/{lang}/help").text
        assert (none in text, some in text) == wanted


def notes(read: loader.Reading) -> list[str]:
    return list(check.stale_texts(read.sites[0], datetime.date(2026, 11, 29)))


@both
def test_safety_page_also_links_to_the_help_page(house: House, lang: str) -> None:
    """From there the choice is a link within the page, so this also takes two clicks."""
    assert f"/{lang}/help" in house.browser().get(f"/{lang}/safety").links
