"""The last step in cleaning a file name chosen by a stranger, for every operating system."""

import re

_FIRST = " .-~"  # a hidden file, a command's option, somebody's home folder
_LAST = " ."  # Windows drops them, which would change the name
# Windows opens a device for these names, even with spaces or an extension after them.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?",
    re.IGNORECASE | re.DOTALL,
)


def only_a_name(text: str) -> str:
    """Remove anything that may not begin or end a file name; return "" if nothing is left.

    All such characters at one end are removed together: removing one kind must not expose another.
    """
    text = text.lstrip(_FIRST).rstrip(_LAST)
    return f"_{text}" if _DEVICE.fullmatch(text) else text
