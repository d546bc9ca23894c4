"""Snippets: opening texts for answers in Dutch and English, and the counsellor's own versions.

The default texts are in ``desk/snippets``. The counsellor's versions are stored in the desk's
database and backups.
"""

import functools
import importlib.resources
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import notebook
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.retrieval_code import LANGUAGES

MAX_SNIPPET = 10_000  # characters


@dataclass(frozen=True)
class Snippet:
    """An opening text for an answer. ``own``: ``text`` is the counsellor's own version."""

    name: str
    language: str
    title: str
    text: str
    own: bool


def snippets(place: Workplace, language: str = "") -> list[Snippet]:
    """Return all snippets in their default order, in one language or in each.

    Raises NotFound if there are no snippets in that language.
    """
    own = notebook.snippets(place.database)
    return [
        Snippet(name, one, title, own.get((name, one), text), (name, one) in own)
        for one in ((_known(language),) if language else LANGUAGES)
        for name, (title, text) in _shipped(one).items()
    ]


def snippet(place: Workplace, name: str, language: str) -> Snippet:
    """Return one snippet. Raises NotFound."""
    found = [one for one in snippets(place, language) if one.name == name]
    if not found:
        names = ", ".join(_shipped(language))
        raise NotFound(f"There is no snippet of this name. There are: {names}.")
    return found[0]


def edit(place: Workplace, name: str, language: str, text: str) -> Snippet:
    """Store the counsellor's own version of a snippet, or raise NotFound or Unfit.

    If the text equals the default, the counsellor's version is removed instead.
    """
    was = snippet(place, name, language)
    kept = clean_text(text).strip()
    if not kept:
        raise Unfit("A snippet needs a text. The snippet is as it was.", "snippet_empty")
    if len(kept) > MAX_SNIPPET:
        raise Unfit(
            f"A snippet has at most {MAX_SNIPPET:,} characters; this one has {len(kept):,}. The "
            "snippet is as it was.",
            "snippet_long", most=MAX_SNIPPET, given=len(kept),
        )  # fmt: skip
    _, shipped = _shipped(language)[was.name]
    notebook.keep_snippet(place.database, name, language, "" if kept == shipped else kept)
    return snippet(place, name, language)


def go_back(place: Workplace, name: str, language: str) -> Snippet:
    """Remove the counsellor's version of a snippet; return the default one. Raises NotFound."""
    was = snippet(place, name, language)
    notebook.keep_snippet(place.database, was.name, language, "")
    return snippet(place, name, language)


def _known(language: str) -> str:
    if language not in LANGUAGES:
        raise NotFound(f"There are snippets in {', '.join(LANGUAGES)}, and in no other language.")
    return language


@functools.cache
def _shipped(language: str) -> Mapping[str, tuple[str, str]]:
    """Return the title and text of each snippet in a language, by name."""
    folder = importlib.resources.files("dropbox_app.desk") / "snippets"
    found = tomllib.loads((folder / f"{language}.toml").read_text("utf-8"))
    return {name: (one["title"], one["text"].strip()) for name, one in found.items()}
