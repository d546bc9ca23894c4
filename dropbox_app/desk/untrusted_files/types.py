"""The kinds of file that the desk recognises by their first bytes, names and types.

The table is part of the program, because the desk's own process only compares the bytes of
untrusted files. All code that parses a file runs in the sandbox.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HEAD = 4_096  # bytes that are read from the start
MAX_TYPE_PART = 60  # characters (SPEC section 4); PowerPoint's own type has one more


@dataclass(frozen=True)
class Kind:
    """A kind of file. ``word`` completes the sentence "The file is ...".

    ``acts``: opening it can run a program.
    """

    word: str
    mime: str
    extensions: tuple[str, ...] = ()
    acts: bool = False

    @property
    def declared(self) -> str:
        """Return the type as a message can state it: at most 60 characters for each part."""
        fits = all(len(part) <= MAX_TYPE_PART for part in self.mime.split("/"))
        return self.mime if fits else "application/octet-stream"

    @property
    def extension(self) -> str:
        """Return the usual extension of a name, with its dot."""
        return f".{self.extensions[0]}" if self.extensions else ""


EMPTY = Kind("an empty file", "application/octet-stream")
UNKNOWN = Kind("of a kind that is not known here", "application/octet-stream")
TEXT = Kind("a text", "text/plain", ("txt", "text", "md", "log", "csv", "json", "eml", "ics"))
PDF = Kind("a PDF document", "application/pdf", ("pdf",))
PNG = Kind("a PNG picture", "image/png", ("png",))
JPEG = Kind("a JPEG picture", "image/jpeg", ("jpg", "jpeg", "jpe", "jfif"))
GIF = Kind("a GIF picture", "image/gif", ("gif",))
WEBP = Kind("a WebP picture", "image/webp", ("webp",))
BMP = Kind("a BMP picture", "image/bmp", ("bmp",))
TIFF = Kind("a TIFF picture", "image/tiff", ("tif", "tiff"))
HEIC = Kind("a HEIC picture", "image/heic", ("heic", "heif"))
AVIF = Kind("an AVIF picture", "image/avif", ("avif",))
SVG = Kind("a drawing (SVG), which can hold script like a web page", "image/svg+xml",
           ("svg", "svgz"), acts=True)  # fmt: skip
HTML = Kind("a web page", "text/html", ("html", "htm", "xhtml", "mhtml", "shtml"), acts=True)
PROGRAM = Kind(
    "a program",
    "application/x-executable",
    ("exe", "com", "scr", "msi", "dll", "sys", "pif", "cpl", "apk", "jar", "app", "deb", "rpm"),
    acts=True,
)
SCRIPT = Kind(
    "a script, that is a program",
    "text/x-script",
    ("sh", "bat", "cmd", "ps1", "js", "jse", "mjs", "vbs", "vbe", "wsf", "hta", "py", "pl", "rb",
     "php", "reg", "command", "scpt", "jnlp"),
    acts=True,
)  # fmt: skip
SHORTCUT = Kind("a shortcut to something else", "application/x-shortcut",
                ("lnk", "url", "desktop", "webloc"), acts=True)  # fmt: skip
POSTSCRIPT = Kind("a PostScript file, that is a program", "application/postscript",
                  ("ps", "eps"), acts=True)  # fmt: skip
ZIP = Kind("a zip archive", "application/zip", ("zip",))
DOCX = Kind("a Word document",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ("docx", "docm"))  # fmt: skip
XLSX = Kind("an Excel sheet",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ("xlsx", "xlsm"))  # fmt: skip
PPTX = Kind("a PowerPoint presentation",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            ("pptx", "pptm"))  # fmt: skip
ODT = Kind("an OpenDocument text", "application/vnd.oasis.opendocument.text", ("odt",))
ODS = Kind("an OpenDocument sheet", "application/vnd.oasis.opendocument.spreadsheet", ("ods",))
ODP = Kind("an OpenDocument presentation", "application/vnd.oasis.opendocument.presentation",
           ("odp",))  # fmt: skip
EPUB = Kind("an e-book (EPUB)", "application/epub+zip", ("epub",))
OFFICE = Kind("an older Office document or an Outlook message", "application/x-ole-storage",
              ("doc", "xls", "ppt", "msg"))  # fmt: skip
RTF = Kind("an RTF document", "application/rtf", ("rtf",))
ARCHIVE = Kind("an archive", "application/x-archive",
               ("7z", "rar", "gz", "tgz", "xz", "bz2", "tar", "zst"))  # fmt: skip
MP3 = Kind("an MP3 recording", "audio/mpeg", ("mp3", "mpga"))
OGG = Kind("an Ogg recording", "audio/ogg", ("ogg", "oga", "opus", "spx"))
FLAC = Kind("a FLAC recording", "audio/flac", ("flac",))
WAV = Kind("a WAV recording", "audio/x-wav", ("wav",))
AMR = Kind("an AMR recording", "audio/amr", ("amr",))
M4A = Kind("an M4A recording", "audio/mp4", ("m4a", "aac", "m4b"))
MP4 = Kind("an MP4 film", "video/mp4", ("mp4", "m4v", "mov", "3gp"))
AVI = Kind("an AVI film", "video/x-msvideo", ("avi",))
MKV = Kind("a Matroska or WebM film", "video/webm", ("webm", "mkv"))

KINDS = tuple(value for value in globals().values() if isinstance(value, Kind))
PICTURES = (PNG, JPEG, GIF, WEBP, BMP, AVIF)  # the kinds that every browser draws
DRAWN = (*PICTURES, PDF)  # in the browser's sandbox: desk/web/viewer

_BY_EXTENSION: Mapping[str, Kind] = {e: kind for kind in KINDS for e in kind.extensions}
_BY_MIME: Mapping[str, Kind] = {
    **{kind.mime: kind for kind in KINDS if kind not in (EMPTY, UNKNOWN)},
    "image/jpg": JPEG,
    "image/heif": HEIC,
    "image/x-ms-bmp": BMP,
    "application/xhtml+xml": HTML,
    "audio/wav": WAV,
    "audio/wave": WAV,
    "audio/mp3": MP3,
    "audio/x-m4a": M4A,
    "audio/aac": M4A,
    "audio/3gpp": MP4,
    "video/quicktime": MP4,
    "video/3gpp": MP4,
    "video/x-matroska": MKV,
    "audio/webm": MKV,
    "video/avi": AVI,
    "application/msword": OFFICE,
    "application/vnd.ms-excel": OFFICE,
    "application/vnd.ms-powerpoint": OFFICE,
    "application/vnd.ms-outlook": OFFICE,
    "application/x-zip-compressed": ZIP,
    "application/x-msdownload": PROGRAM,
    "application/vnd.microsoft.portable-executable": PROGRAM,
    "application/javascript": SCRIPT,
    "text/javascript": SCRIPT,
    "text/rtf": RTF,
    "text/csv": TEXT,
    "text/markdown": TEXT,
    "application/json": TEXT,
    "message/rfc822": TEXT,
}

_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"%!PS", POSTSCRIPT),
    (b"\xc5\xd0\xd3\xc6", POSTSCRIPT),
    (b"{\\rtf", RTF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE),
    (b"MZ", PROGRAM),
    (b"\x7fELF", PROGRAM),
    (b"\xcf\xfa\xed\xfe", PROGRAM),
    (b"\xce\xfa\xed\xfe", PROGRAM),
    (b"\xca\xfe\xba\xbe", PROGRAM),
    (b"L\0\0\0\x01\x14\x02\0", SHORTCUT),
    (b"[InternetShortcut]", SHORTCUT),
    (b"[Desktop Entry]", SHORTCUT),
    (b"#!AMR", AMR),
    (b"#!", SCRIPT),
    (b"<?php", SCRIPT),
    (b"ID3", MP3),
    (b"\xff\xfb", MP3),
    (b"\xff\xf3", MP3),
    (b"OggS", OGG),
    (b"fLaC", FLAC),
    (b"\x1aE\xdf\xa3", MKV),
    (b"\x1f\x8b", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!", ARCHIVE),
    (b"\xfd7zXZ\0", ARCHIVE),
    (b"BZh", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),
)
_RIFF = {b"WEBP": WEBP, b"WAVE": WAV, b"AVI ": AVI}
_HEIF = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
_OPEN_DOCUMENT = {kind.mime.encode(): kind for kind in (ODT, ODS, ODP, EPUB)}
_OFFICE_PARTS = {b"word/": DOCX, b"xl/": XLSX, b"ppt/": PPTX}
_MARKUP = re.compile(rb"<(!doctype\s+html|html|head|body|script|iframe|svg)[\s>/]", re.IGNORECASE)
_CONTROLS = bytes({*range(32)} - {*b"\t\n\r\f\x1b"})


def recognise(head: bytes, *, zip_parts: bytes = b"") -> Kind:
    """Return the kind of a file by its first HEAD bytes and, for a zip file, the names in it."""
    if not head:
        return EMPTY
    if head[:4] == b"PK\3\4":
        return _zipped(head, zip_parts)
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _boxed(head[8:12])
    if b"%PDF-" in head[:1_024] and not head.startswith(tuple(m for m, _ in _MAGIC)):
        return PDF
    for magic, kind in _MAGIC:
        if head.startswith(magic) and not (magic == b"BM" and head[6:10] != bytes(4)):
            return kind
    if head[257:262] == b"ustar":
        return ARCHIVE
    return _written(head)


def claims(name: str, declared: str) -> Iterator[tuple[str, Kind]]:
    """Yield the kinds that the name and the declared type claim, if the desk knows them."""
    end = name.rpartition(".")[2].lower() if "." in name else ""
    if end in _BY_EXTENSION:
        yield f"its name ends in .{end}", _BY_EXTENSION[end]
    if declared in _BY_MIME:
        yield f"its sender's program says {declared}", _BY_MIME[declared]


def _zipped(head: bytes, parts: bytes) -> Kind:
    for mime, kind in _OPEN_DOCUMENT.items():
        if head[30:38] == b"mimetype" and head[38:].startswith(mime):
            return kind
    for part, kind in _OFFICE_PARTS.items():
        if b"[Content_Types].xml" in head + parts and part in head + parts:
            return kind
    if b"META-INF/MANIFEST.MF" in head or b"AndroidManifest.xml" in head + parts:
        return PROGRAM
    return ZIP


def _boxed(brand: bytes) -> Kind:
    if brand in _HEIF:
        return HEIC
    if brand in (b"avif", b"avis"):
        return AVIF
    return M4A if brand in (b"M4A ", b"M4B ") else MP4


def _written(head: bytes) -> Kind:
    """Return the kind for text, or for data that looks like it; otherwise unknown."""
    text = head
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = head.decode("utf-16", "replace").encode()
    found = _MARKUP.search(text)
    if found:
        return SVG if found[1].lower() == b"svg" else HTML
    if any(byte in _CONTROLS for byte in text):
        return UNKNOWN
    try:
        text[: len(text) - 4 if len(text) == HEAD else None].decode()
    except UnicodeDecodeError as error:
        # A character may be cut at the end of the bytes.
        return TEXT if error.start > len(text) - 8 and len(head) == HEAD else UNKNOWN
    return TEXT
