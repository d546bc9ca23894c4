"""The counsellor's guide names existing parts of the desk's pages, with pictures.

desk/web/test_look_of_a_day.py tests that a day proceeds as the guide describes.
"""

import io
import re
import tomllib
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tests.support.desk_tour import GUIDE

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "deploy" / "guide"
LANGUAGES = ("nl", "en")


def guide(lang: str) -> str:
    return (FOLDER / f"counsellor.{lang}.md").read_text("utf-8")


def words_of_the_desk(lang: str) -> set[str]:
    """Return every text of the catalogue, and the title of every snippet."""
    desk = ROOT / "dropbox_app" / "desk"
    raw = (desk / "web" / "translations" / lang / "LC_MESSAGES" / "messages.po").read_bytes()
    texts = {str(message.string) for message in read_po(io.BytesIO(raw))}
    snippets = tomllib.loads((desk / "snippets" / f"{lang}.toml").read_text("utf-8"))
    return texts | {one["title"] for one in snippets.values()}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_button_and_page_in_the_guide_exists(lang: str) -> None:
    known = words_of_the_desk(lang)
    named = [
        one
        for bold in re.findall(r"\*\*(.+?)\*\*", guide(lang), re.DOTALL)
        for one in " ".join(bold.split()).split(" · ")
    ]
    assert len(named) > 30
    assert [one for one in named if one not in known and one.removesuffix(".") not in known] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_guide_shows_each_picture_with_a_description(lang: str) -> None:
    shown = re.findall(r"!\[([^]]{20,})\]\(pictures/(\S+)\)", guide(lang))
    assert [name for _, name in shown] == [f"{name}.{lang}.png" for name in GUIDE]
    assert guide(lang).count("![") == len(shown)


def test_picture_folder_contains_exactly_the_pictures_in_the_guide_and_all_are_small() -> None:
    there = {path.name: path.stat().st_size for path in (FOLDER / "pictures").iterdir()}
    assert set(there) == {f"{name}.{lang}.png" for name in GUIDE for lang in LANGUAGES}
    assert max(there.values()) < 60_000


@pytest.mark.parametrize("lang", LANGUAGES)
def test_counsellors_guide_contains_no_commands(lang: str) -> None:
    assert "`" not in guide(lang)
    assert "klankbord-" not in guide(lang)


def test_guides_in_both_languages_have_the_same_steps() -> None:
    shapes = [re.findall(r"^(#+|\d\.|-|!\[)", guide(lang), re.MULTILINE) for lang in LANGUAGES]
    assert shapes[0] == shapes[1]
