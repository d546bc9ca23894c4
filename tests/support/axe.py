"""axe, an independent accessibility checker, applied to a page."""

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships none
from playwright.sync_api import Page

# Elements without findings, about a thousand per page, are not returned. Style sheets are not
# fetched again: only one rule would need that, and it is off by default.
_FIND = """axe.run({resultTypes: ['violations'], preload: {assets: ['media']}})
    .then(found => found.violations)"""


def violations(shown: Page) -> list[tuple[str, list[str]]]:
    """Return axe's findings: the rule, and the elements that violate it.

    axe is loaded only into that page, because every page would have to compile its 500 kB.
    """
    shown.evaluate(Axe().axe_script)
    found = shown.evaluate(_FIND)
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
