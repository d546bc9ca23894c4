"""What was last read of a site without a fault: its settings and its own pages, nothing else.

With it a bad edit takes no site down, not even over a restart. One file in the site's folder,
replaced whole; all in it is public.
"""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from dropbox_app.server.store.files import replace_whole

FILE = "last-good"


def load(folder: Path) -> dict[str, str]:
    """Texts by the names of their files; empty if there is none, or it is damaged."""
    try:
        files = json.loads((folder / FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        return {}
    return files


def store(folder: Path, files: Mapping[str, str], day: datetime.date) -> None:
    """Keep them for the next start. Raises OSError."""
    text = json.dumps(files, ensure_ascii=False, sort_keys=True, indent=1)
    replace_whole(folder / FILE, text.encode("utf-8"), day)
