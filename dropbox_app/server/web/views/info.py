"""The pages to read before one writes: what is it, what can be done, who does what, is this real.

All are the same for everybody, see ``stills``. Their texts are in the catalogues; what they say
has to be true of this build and this site, and what they say of the law has to have a source.
"""

from dropbox_app.server.web.page_cache import Still

# The rest of each page's path, in the order in which "more" lists them, by its headings.
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("more.before", ("about", "exceptions", "role", "safety")),
    ("more.happened", ("what", "options")),
    ("more.site", ("real", "privacy", "accessibility", "technical")),
)
# What each is called there and in its own heading.
TITLES = {
    "about": "info.title",
    "exceptions": "info.exceptions_title",
    "role": "role.title",
    "safety": "safety.title",
    "what": "what.title",
    "options": "options.title",
    "real": "real.title",
    "privacy": "privacy.title",
    "accessibility": "accessibility.title",
    "technical": "technical.title",
}
# "safety" is a step of the way to the form, and is served with that.
INFO = ("more", *(page for page in TITLES if page != "safety"))


def info_stills() -> list[Still]:
    """All of these pages."""
    contents = {"sections": SECTIONS, "titles": TITLES}
    more = Still("more.html", "more", context=lambda *_: contents)
    return [more, *(Still(f"{page}.html", page) for page in INFO if page != "more")]
