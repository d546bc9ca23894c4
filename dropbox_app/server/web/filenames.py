"""Clean file names chosen by other people before they are signed, shown or sent."""

import re
import unicodedata
from urllib.parse import quote

from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.file_name import only_a_name
from dropbox_app.protocol.messages import MAX_FILE_NAME

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")
_UNKNOWN = "application/octet-stream"
# Invisible characters, and those that reverse text: a name that ends in "gnp.exe" must not look
# like "exe.png".
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
_JOINER = "\u200d"  # joins the parts of one emoji
# Characters that some operating systems do not allow in a name.
_UNSAFE = re.compile(r'[<>:"/\\|?*%]')
_LONGEST_END = 20  # maximum bytes of an extension, such as .docx, that is kept in a shortened name


def clean_name(name: str, fallback: str) -> str:
    """Return a one-line name without folders, at most MAX_FILE_NAME bytes, or ``fallback``."""
    name = name.replace("\\", "/").rpartition("/")[2]
    kept = (c for c in clean_text(name) if c == _JOINER or unicodedata.category(c) not in _UNSEEN)
    name = " ".join("".join(kept).split())
    if not name.replace(_JOINER, "").strip(". "):
        return fallback
    return _cut(name, MAX_FILE_NAME)


def clean_type(content_type: str) -> str:
    """Return the media type if a message may contain it, otherwise a neutral one."""
    found = content_type.partition(";")[0].strip().lower()
    return found if _MEDIA_TYPE.fullmatch(found) else _UNKNOWN


def disposition(name: str, fallback: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266, RFC 8187)."""
    seen = clean_name(name, fallback).replace(_JOINER, "")
    safe = only_a_name(_UNSAFE.sub("_", seen)) or fallback
    plain = "".join(c if c.isascii() else "_" for c in safe)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def _cut(name: str, size: int) -> str:
    """Return the beginning of a name and its extension, which shows the file type."""
    raw = name.encode()
    if len(raw) <= size:
        return name
    stem, dot, end = name.rpartition(".")
    ending = (dot + end).encode() if stem and len(end.encode()) < _LONGEST_END else b""
    return raw[: size - len(ending)].decode("utf-8", "ignore") + ending.decode()
