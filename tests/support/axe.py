"""axe, an independent accessibility checker, applied to a page."""

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships none
from playwright.sync_api import Page

# What it found nothing wrong with, which is a thousand elements a page, is not handed over. Style
# sheets are not fetched once more: only a rule on them would need it that is off by itself.
_FIND = """axe.run({resultTypes: ['violations'], preload: {assets: ['media']}})
    .then(found => found.violations)"""


def violations(shown: Page) -> list[tuple[str, list[str]]]:
    """Return axe's findings: the rule, and the elements that violate it.

    It is brought to that page alone: half a megabyte, which each page that is met would compile.
    """
    shown.evaluate(Axe().axe_script)
    found = shown.evaluate(_FIND)
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
