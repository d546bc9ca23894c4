"""Helpers for all blueprints: the language at the start of a path, and a plain redirect."""

from flask import Response

from dropbox_app.server.web.i18n import PAGE_LANGUAGES

LANG = f"/<any({', '.join(PAGE_LANGUAGES)}):lang>"


def see_other(address: str) -> Response:
    """Return a redirect with status 303, without werkzeug's page, which repeats the address."""
    return Response(status=303, headers={"Location": address})


def language_of(path: str) -> str | None:
    """Return the language at the start of a path; None if there is none."""
    first = path.split("/")[1] if path.startswith("/") else ""
    return first if first in PAGE_LANGUAGES else None
