"""Shared by the rules of all blueprints: the language in front of a path, and a bare redirect."""

from flask import Response

from dropbox_app.server.web.i18n import PAGE_LANGUAGES

LANG = f"/<any({', '.join(PAGE_LANGUAGES)}):lang>"


def see_other(address: str) -> Response:
    """A redirect with status 303, without werkzeug's page that repeats the address."""
    return Response(status=303, headers={"Location": address})


def language_of(path: str) -> str | None:
    """The language that a path begins with; None if it begins with no language of pages."""
    first = path.split("/")[1] if path.startswith("/") else ""
    return first if first in PAGE_LANGUAGES else None
