"""The last step in cleaning a file name from an untrusted source, for every operating system."""

import re

_FIRST = " .-~"  # these mark a hidden file, a command's option, or a home folder
_LAST = " ."  # Windows removes them, which would change the name
# Windows opens a device for these names, even if spaces or an extension follow.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?",
    re.IGNORECASE | re.DOTALL,
)


def only_a_name(text: str) -> str:
    """Remove characters that may not begin or end a file name; return "" if nothing is left.

    All such characters at one end are removed together, so that removing one kind cannot expose
    another.
    """
    text = text.lstrip(_FIRST).rstrip(_LAST)
    return f"_{text}" if _DEVICE.fullmatch(text) else text
