"""The shape of a page: what fits it, and that no page makes the comparison slow."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.site_check import values
from dropbox_app.desk.site_check.matching import Matcher, TooLong
from dropbox_app.desk.site_check.shapes import Reader
from dropbox_app.desk.site_check.values import Unknown


def matcher(template: str, **known: object) -> Matcher:
    return Matcher(Reader({"x": template}, known, {}).read("x"))


def test_template_value_matches_any_text_without_markup() -> None:
    page = matcher("<p>{{ name }}</p>")
    found = page.match("<p>Sam &amp; Els</p>")
    assert found.fits
    assert found.slots == (("name", "Sam &amp; Els"),)
    for wrong in ("<p><b>Sam</b></p>", '<p>"</p>', "<p>'</p>", "<p>Sam</p> ", "<p>Sam</p"):
        assert not page.match(wrong).fits


def test_template_condition_and_loop_match_every_possible_outcome_and_no_other() -> None:
    page = matcher(
        "{% if a %}<b>{{ a }}</b>{% else %}<i>-</i>{% endif %}{% for x in y %}<u>{% endfor %}"
    )
    for text in ("<i>-</i>", "<b>1</b><u>", "<b></b><u><u><u>"):
        assert page.match(text).fits, text
    for text in ("", "<b>1</b><i>-</i>", "<u><i>-</i>", "<i>-</i><u"):
        assert not page.match(text).fits, text


def test_template_with_known_values_has_only_one_possible_outcome() -> None:
    page = matcher(
        "{% if a %}<b>{% endif %}{% for x in y %}{{ x }},{% endfor %}", a=False, y=["1", "<"]
    )
    assert page.match("1,&lt;,").fits
    assert not page.match("<b>1,&lt;,").fits


def test_custom_text_may_contain_only_tags_that_markdown_produces() -> None:
    page = matcher("<main>{{ own }}</main>")
    assert page.match('<main><p>a <a href="https://example.org/">b</a></p>\n</main>').fits
    for bad in (
        "<script>1</script>", '<a href="javascript:1">', '<p onclick="1">', "<img>", "<form>",
        '<a href="https://a" target="b">', "<style>", '<meta http-equiv="refresh">', "<iframe>",
    ):  # fmt: skip
        assert not page.match(f"<main>{bad}</main>").fits, bad


def test_position_of_the_first_difference_is_returned() -> None:
    assert matcher("<p>one</p><p>{{ x }}</p>").match("<p>one</p><p>a</b>").until == 16


@pytest.mark.parametrize("page", ["<p>a" * 20_000, "a" * 200_000, "<p></p>" * 20_000 + "x"])
def test_no_page_makes_the_comparison_slow(page: str) -> None:
    shape = matcher(
        "{% for a in b %}{% for c in d %}<p>{{ c }}{% if e %}</p>{% endif %}{% endfor %}{{ f }}"
        "{% endfor %}{{ own }}!"
    )
    began = time.process_time()
    with contextlib.suppress(TooLong):  # also an end
        assert not shape.match(page).fits
    assert time.process_time() - began < 10


@given(st.text(), st.text())
def test_escaped_text_matches_a_template_value_and_is_unescaped_correctly(
    before: str, text: str
) -> None:
    page = matcher("{{ fixed }}<p>{{ name }}</p>", fixed=before)
    found = page.match(f"{values.escape(before)}<p>{values.escape(text)}</p>")
    assert found.fits
    assert values.unescape(found.slots[0][1]) == text


def test_page_is_compared_with_the_release_text_before_any_custom_text() -> None:
    own = Unknown("own")
    shape = values.either([values.shape_of(own), values.shape_of(values.Text(("<p>a</p>",), True))])
    assert Matcher(shape).match("<p>a</p>").slots == ()
    assert Matcher(shape).match("<p>b</p>").slots == (("own", "<p>b</p>"),)
