"""The last step in cleaning the name of a stranger's file, for every operating system."""

import re

_FIRST = " .-~"  # hidden, an option of a command, somebody's home
_LAST = " ."  # Windows drops them: the name would be another
# Windows opens a device for these, also with spaces and any ending behind them.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?",
    re.IGNORECASE | re.DOTALL,
)


def only_a_name(text: str) -> str:
    """Remove what may not begin or end a file name; return an empty text if nothing is left.

    All signs of one end go together: taking off one kind must not uncover another.
    """
    text = text.lstrip(_FIRST).rstrip(_LAST)
    return f"_{text}" if _DEVICE.fullmatch(text) else text
