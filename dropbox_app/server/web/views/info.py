"""The information pages: what happened, the options, the roles, how to verify the site.

Every visitor gets the same bytes. The texts are in the catalogues. All statements in the texts must
be true of this build and this site, and every statement about the law must have a source.
"""

from typing import Any

from flask import Blueprint, Response
from markupsafe import Markup

from dropbox_app.server.config import law, referrals
from dropbox_app.server.config.languages import in_dutch_or_english
from dropbox_app.server.web.routing import LANG
from dropbox_app.server.web.sites import current_site

# The rest of each page's path, in the order of the list under "more".
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("more.before", ("about", "exceptions", "role", "safety")),
    ("more.happened", ("what", "help", "options")),
    ("more.site", ("address", "real", "privacy", "accessibility", "technical")),
)
# The keys of their titles, in that list and in their own headings.
TITLES = {
    "about": "info.title",
    "exceptions": "info.exceptions_title",
    "role": "role.title",
    "safety": "safety.title",
    "what": "what.title",
    "help": "help.title",
    "options": "options.title",
    "address": "address.title",
    "real": "real.title",
    "privacy": "privacy.title",
    "accessibility": "accessibility.title",
    "technical": "technical.title",
}
# The block of each page that states the law.
_LAW = {"exceptions": law.EXCEPTIONS, "privacy": law.PRIVACY}
# "safety" is a step towards the form, so it is in ``front``.
_TEXTS = tuple(page for page in TITLES if page != "safety")
INFO = ("more", *_TEXTS)

blueprint = Blueprint("info", __name__)


@blueprint.get(f"{LANG}/more")
def more(lang: str) -> Response:
    """Show the list of all information pages."""
    contents = {"sections": SECTIONS, "titles": TITLES}
    return current_site().pages.shared_page(
        "more.html", lang, path="more", context=lambda _: contents
    )


def text(lang: str, page: str) -> Response:
    """Show one of the information pages."""
    return current_site().pages.shared_page(
        f"{page}.html", lang, path=page, context=lambda _: _own_context(lang, page)
    )


def _own_context(lang: str, page: str) -> dict[str, Any]:
    """Return the additional values for the template of an information page."""
    read = current_site().read
    if page == "help":
        listed = read.referrals
        doors = listed.by_topic()
        # Repeated with each topic, because visitors from the page "what happened" arrive there,
        # below the top of the page.
        missing = {topic: referrals.unchecked(entries) for topic, entries in doors.items()}
        return {"doors": doors, "compiled": listed.compiled, "unchecked": missing}
    if page not in _LAW:
        return {}
    block = _LAW[page]
    return {
        "law": Markup(read.law_html(in_dutch_or_english(lang), block)),  # noqa: S704 - of custom_pages.render
        "own_law": read.own_law(in_dutch_or_english(lang), block),
    }


for _page in _TEXTS:
    blueprint.add_url_rule(
        f"{LANG}/{_page}", _page, text, methods=["GET"], defaults={"page": _page}
    )
