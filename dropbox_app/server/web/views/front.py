"""The pages that lead to the form, the exits from the site, and the style sheet.

Every visitor gets the same bytes of each page (see ``PageRenderer.shared_page``).
"""

from flask import Blueprint, Response

from dropbox_app.server.config.languages import ALWAYS
from dropbox_app.server.web.assets import read_style, release_manifest
from dropbox_app.server.web.rendering import takes_gzip
from dropbox_app.server.web.routing import LANG, see_other
from dropbox_app.server.web.session import current_session
from dropbox_app.server.web.sites import current_site

blueprint = Blueprint("front", __name__)


@blueprint.get("/")
def choose() -> Response:
    """Show the language selection."""
    return current_site().pages.shared_page("choose.html", ALWAYS[0], path=None)


@blueprint.get(LANG)
def without_slash(lang: str) -> Response:
    """Redirect from an address with a trailing slash; werkzeug's redirect repeats the query."""
    return see_other(f"/{lang}/")


@blueprint.get(f"{LANG}/")
def landing(lang: str) -> Response:
    """Show the landing page."""
    return current_site().pages.shared_page("landing.html", lang, path="")


@blueprint.get(f"{LANG}/safety")
def safety(lang: str) -> Response:
    """Show the page on safety, with the onion addresses of the site."""
    site = current_site()
    onions = tuple(origin for origin in site.settings.origins if origin.endswith(".onion"))
    return site.pages.shared_page(
        "safety.html", lang, path="safety", context=lambda _: {"onions": onions}
    )


@blueprint.get(f"{LANG}/withdrawn")
def withdrawn(lang: str) -> Response:
    """Show the page after a withdrawal."""
    return current_site().pages.shared_page("done.html", lang, path="withdrawn")


@blueprint.get(f"{LANG}/leave")
def leave(lang: str) -> Response:
    """End the session first, then redirect to a harmless site."""
    current_session().end()
    return see_other(current_site().settings.leave_to)


@blueprint.get(f"{LANG}/stop")
def stop(lang: str) -> Response:
    """End the session and redirect to the landing page."""
    current_session().end()
    return see_other(f"/{lang}/")


@blueprint.get(f"/static/{read_style().name}")
def style() -> Response:
    """Send the style sheet, the only file under /static/, which is the same at every host name."""
    sheet, kind = read_style(), "text/css; charset=utf-8"
    if takes_gzip():
        return Response(sheet.packed, content_type=kind, headers={"Content-Encoding": "gzip"})
    return Response(sheet.content, content_type=kind)


@blueprint.get("/release-manifest.json")
def manifest() -> Response:
    """Send the release manifest, which, like the style sheet's name, reveals only the release."""
    return Response(release_manifest(), content_type="application/json")
