"""The text on the law: the site's own, or one of the drafts that come with the program.

The statements about this program are fixed in the templates and tested. The statements about the
law are not: they are in blocks that a site can replace with ``content/{nl,en}/BLOCK.md``, and the
pages say whose text it is and who read it on which day. No lawyer has read the drafts.
"""

import functools
import importlib.resources

DRAFTS = ("general", "education", "government")
EXCEPTIONS, PRIVACY = BLOCKS = ("law-exceptions", "law-privacy")


@functools.cache
def draft(name: str, lang: str, block: str) -> str:
    """Return a draft as Markdown. The block on privacy is the same for all of DRAFTS."""
    folder = importlib.resources.files("dropbox_app.server.config") / "law"
    of = name if block == EXCEPTIONS else DRAFTS[0]
    return (folder / of / lang / f"{block}.md").read_text("utf-8")
