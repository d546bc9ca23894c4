"""The text on the law: the site's own text, or a draft that is part of the program.

The statements about this program are fixed in the templates and tested. The statements about the
law are blocks that a site can replace with ``content/{nl,en}/BLOCK.md``. The pages name the author
of the text, the person who reviewed it, and the day of the review. No lawyer has reviewed the
drafts.
"""

import functools
import importlib.resources

DRAFTS = ("general", "education", "government")
EXCEPTIONS, PRIVACY = BLOCKS = ("law-exceptions", "law-privacy")


@functools.cache
def draft(name: str, lang: str, block: str) -> str:
    """Return a draft as Markdown. All drafts in DRAFTS share the block on privacy."""
    folder = importlib.resources.files("dropbox_app.server.config") / "law"
    of = name if block == EXCEPTIONS else DRAFTS[0]
    return (folder / of / lang / f"{block}.md").read_text("utf-8")
