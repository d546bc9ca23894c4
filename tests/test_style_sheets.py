"""The style sheets of site and desk: every colour pair in use is readable."""

import re
from itertools import product
from pathlib import Path

import pytest

import dropbox_app.desk.web
from dropbox_app.server.web.assets import read_style

SITE = read_style().content.decode()
DESK = (Path(dropbox_app.desk.web.__file__).parent / "static" / "style.css").read_text()
GROUNDS = ("paper", "tint", "note", "field")
# Text colours and their backgrounds: 4.5 is WCAG's AA contrast for text of any size.
TEXT = [
    *product(("ink",), GROUNDS),
    *product(("quiet", "accent"), ("paper", "tint", "field")),
    *product(("accent",), ("note",)),  # a link in a note
    *product(("out",), ("paper", "tint", "note")),
    ("on-accent", "accent"),
    ("on-out", "out"),
]
# Lines that must only be visible: those of fields and boxes, rings, outlines.
SEEN = [
    *product(("line",), GROUNDS),
    *product(("accent", "out"), GROUNDS),
]


@pytest.fixture(params=["site", "desk"])
def rules(request: pytest.FixtureRequest) -> str:
    """Return a style sheet without its comments."""
    sheet = SITE if request.param == "site" else DESK
    return re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)


def schemes(rules: str) -> dict[str, dict[str, str]]:
    """Return the custom properties of each scheme, as a browser resolves them."""
    light, dark = re.findall(
        r":root \{(.*?)\}", rules.partition("@media (prefers-contrast")[0], re.S
    )
    found = re.compile(r"--([a-z-]+): (#[0-9a-f]{6});")
    return {"light": dict(found.findall(light)), "dark": dict(found.findall(light + dark))}


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_specifies() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_sufficient_contrast(rules: str, scheme: str) -> None:
    colours = schemes(rules)[scheme]
    low = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in TEXT
        if contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    }
    assert low == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_meaningful_line_has_sufficient_contrast(rules: str, scheme: str) -> None:
    colours = schemes(rules)[scheme]
    low = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in SEEN
        if contrast(colours[pair[0]], colours[pair[1]]) < 3
    }
    assert low == {}


def test_dark_mode_changes_every_colour_and_rules_use_only_colour_variables(rules: str) -> None:
    light, dark = schemes(rules).values()
    assert light.keys() == dark.keys()
    assert not {name for name in light if light[name] == dark[name]}
    screen = rules.partition("@media print")[0]
    rules = re.sub(r":root \{.*?\}", "", screen, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|rgba?\(|hsla?\(", rules)
    assert set(re.findall(r"var\(--([a-z-]+)\)", rules)) <= set(light)


def test_only_checked_colour_pairs_are_used(rules: str) -> None:
    """A new text or background colour must be added to the pairs above."""
    screen = rules.partition("@media (forced-colors")[0]
    used = set(re.findall(r"(?<!-)color: var\(--([a-z-]+)\)", screen))
    assert used <= {text for text, _ in TEXT}
    grounds = set(re.findall(r"background: var\(--([a-z-]+)\)", screen))
    assert grounds <= {ground for _, ground in TEXT}


def test_style_sheet_loads_nothing_and_has_no_animation(rules: str) -> None:
    for word in ("url(", "@import", "@font-face", "animation", "transition", "gradient", "shadow"):
        assert word not in rules, word


def test_focus_is_always_visible(rules: str) -> None:
    """There is one outline of 3 px; only the main part, which is not a control, has none."""
    assert re.search(
        r":focus-visible \{ outline: 3px solid var\(--accent\); outline-offset: 2px", rules
    )
    assert re.findall(r"([^{}]+)\{[^}]*outline: none", rules) == ["\nmain:focus "]


def test_sizes_scale_with_the_readers_text_size(rules: str) -> None:
    """All font sizes are from the design and relative, so zooming text works."""
    sizes = set(re.findall(r"font-size: ([^;]+);", rules))
    assert sizes - {"min(1.35rem, 8.5vw)"} == {"112.5%", "1rem", "1.25rem", "min(1.6rem, 14vw)"}


def test_forced_colours_and_print_are_supported(rules: str) -> None:
    for block in ("(forced-colors: active)", "(prefers-color-scheme: dark)", "print"):
        assert f"@media {block}" in rules


def test_slip_is_printed_without_a_margin() -> None:
    assert "@page slip { margin: 0 }" in re.sub(r"margin: 0;", "margin: 0", SITE)


@pytest.mark.parametrize("sheet", [SITE, DESK], ids=["site", "desk"])
def test_style_sheet_stays_small(sheet: str) -> None:
    assert len(sheet) <= 12 * 1024
