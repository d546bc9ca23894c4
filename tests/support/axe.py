"""axe, an independent accessibility checker, applied to a page."""

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships none
from playwright.sync_api import BrowserContext, Page

# What it found nothing wrong with, which is a thousand elements a page, is not handed over. Style
# sheets are not fetched once more: only a rule on them would need it that is off by itself.
_FIND = """axe.run({resultTypes: ['violations'], preload: {assets: ['media']}})
    .then(found => found.violations)"""


def bring(context: BrowserContext) -> None:
    """Inject axe into every page that this context opens from now on, but not into frames.

    It is sent once, because it is half a megabyte and each page needs it.
    """
    context.add_init_script(f"if (self === top) {{ {Axe().axe_script} }}")


def violations(shown: Page) -> list[tuple[str, list[str]]]:
    """Return axe's findings: the rule, and the elements that violate it."""
    found = shown.evaluate(_FIND)
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
