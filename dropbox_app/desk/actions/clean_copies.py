"""Save a copy of a reporter's file that contains only the pictures rendered by the browser."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dropbox_app.desk.actions import readable, threads
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.threads import attachments
from dropbox_app.desk.untrusted_files import types
from dropbox_app.desk.untrusted_files.inspect import safe_name

Form = Literal["png", "jpeg", "pdf"]

MOST_PAGES = 50
MOST_BYTES = 64 * 1024 * 1024  # bytes of one picture; a PNG with 16 million pixels is never larger
POINTS = 72 / 150  # points of a PDF page per pixel: the browser draws 150 pixels to the inch
_ENDING = {"png": ".png", "jpeg": ".jpg", "pdf": ".pdf"}
_PICTURE = {"png": types.PNG, "jpeg": types.JPEG, "pdf": types.JPEG}


@dataclass(frozen=True)
class Drawn:
    """One page as a PNG or JPEG picture, and its size in pixels."""

    width: int
    height: int
    picture: bytes


def keep(
    place: Workplace,
    thread: str,
    file: str,
    out: Path,
    form: Form,
    pages: Sequence[Drawn],
    site: str = "",
) -> Path:
    """Write the pages of a file, as rendered by the browser, to ``out``; return the path.

    The copy is one picture as ``png`` or ``jpeg``, or up to 50 JPEG pictures as ``pdf``. If ``out``
    is a folder, the copy is named after the file, with a number if that name is taken. Raises
    NotFound, Unfit, AlreadyThere.
    """
    opened = threads.read(place, thread, site)
    found = attachments.find(opened.case, file)
    if found.attachment is None:
        raise Unfit(f"Nothing was written. {attachments.SAID[found.state]}.")
    most = MOST_PAGES if form == "pdf" else 1
    if not 1 <= len(pages) <= most:
        raise Unfit(f"Nothing was written: a copy has 1 to {most} pages, not {len(pages)}.")
    if any(not _sound(page, form) for page in pages):
        raise Unfit("Nothing was written: what the browser sent is not the pictures it drew.")
    made = document(pages) if form == "pdf" else pages[0].picture
    name = f"{Path(safe_name(found.attachment.name)).stem}.cleaned{_ENDING[form]}"
    return readable.write(out, name, [made], opened.desk.today)


def document(pages: Sequence[Drawn]) -> bytes:
    """Return a PDF with one unchanged JPEG picture on each page, without date or author.

    Raises Unfit on a computer for which typst is not available.
    """
    try:
        import typst
    except ImportError:  # not available for Windows on ARM
        raise Unfit(
            "Nothing was written: this computer has no typst, which makes PDF documents."
        ) from None
    lines = ["#set document(date: none)", "#set page(margin: 0pt)"]
    inputs = {}
    for number, page in enumerate(pages, start=1):
        size = f"width: {page.width * POINTS}pt, height: {page.height * POINTS}pt"
        lines.append(f'#page({size}, image("{number}.svg", width: 100%, height: 100%))')
        inputs[f"{number}.svg"] = _wrapped(page).encode("ascii")
    inputs["main"] = "\n".join(lines).encode("ascii")
    # typst also accepts a project in memory, although its types do not say so.
    made: bytes = typst.compile(  # type: ignore[call-overload] # see above
        inputs, format="pdf", ignore_system_fonts=True, pdf_tags=False
    )
    return made


def _wrapped(page: Drawn) -> str:
    """Return an SVG that contains the picture, because typst can read only text from memory."""
    size = f'width="{page.width}" height="{page.height}"'
    data = base64.b64encode(page.picture).decode("ascii")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
        f'<image {size} href="data:image/jpeg;base64,{data}"/></svg>'
    )


def _sound(page: Drawn, form: Form) -> bool:
    fits = page.width > 0 and page.height > 0 and len(page.picture) <= MOST_BYTES
    return fits and types.recognise(page.picture[: types.HEAD]) is _PICTURE[form]
