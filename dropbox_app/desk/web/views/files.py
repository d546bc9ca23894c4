"""The page of one file in a conversation: its kind, a view of it, a clean copy, the original."""

from pathlib import Path
from typing import Any, get_args

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import clean_copies, files
from dropbox_app.desk.actions.clean_copies import Drawn, Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.threads.attachments import READY
from dropbox_app.desk.untrusted_files import types
from dropbox_app.desk.untrusted_files.inspect import Sign, safe_name
from dropbox_app.desk.untrusted_files.types import Kind
from dropbox_app.desk.web import frame_page, here, stranger_bytes
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.here import without_desk
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("files", __name__)

MOST_NUMBERED = 100  # files of one day in one folder

# The names of kinds on a page. Other kinds are unknown.
_KINDS: dict[Kind, str] = {
    **dict.fromkeys((*types.PICTURES, types.TIFF, types.HEIC), "file.kind.picture"),
    **dict.fromkeys((types.MP3, types.OGG, types.FLAC, types.WAV, types.AMR, types.M4A),
                    "file.kind.sound"),
    **dict.fromkeys((types.MP4, types.AVI, types.MKV), "file.kind.film"),
    **dict.fromkeys((types.DOCX, types.XLSX, types.PPTX, types.ODT, types.ODS, types.ODP,
                     types.OFFICE, types.RTF, types.EPUB), "file.kind.office"),
    **dict.fromkeys((types.ZIP, types.ARCHIVE), "file.kind.archive"),
    **dict.fromkeys((types.PROGRAM, types.SCRIPT, types.SHORTCUT, types.POSTSCRIPT),
                    "file.kind.program"),
    **dict.fromkeys((types.HTML, types.SVG), "file.kind.page"),
    types.PDF: "file.kind.pdf",
    types.TEXT: "file.kind.text",
    types.EMPTY: "file.kind.empty",
}  # fmt: skip
_SIGNS: dict[Sign, str] = {
    "other_kind": "file.sign.other_kind",
    "other_name": "file.sign.other_name",
    "several": "file.sign.several",
    "script": "file.sign.script",
    "launch": "file.sign.launch",
    "files": "file.sign.files",
    "macros": "file.sign.macros",
    "acts": "file.sign.acts",
    "hidden_name": "file.sign.hidden_name",
}
_STATES = {
    "here": "file.state.here",
    "waiting": "file.state.waiting",
    "missing": "file.state.missing",
    "withheld": "file.state.withheld",
    "swapped": "file.state.swapped",
    "lost": "file.state.lost",
    "altered": "file.state.altered",
    "closed": "file.state.closed",
    "damaged": "file.state.damaged",
    "other_size": "file.state.other_size",
    "elsewhere": "file.state.elsewhere",
    "added": "file.state.added",
    "early": "file.state.early",
}


@blueprint.app_context_processor
def _words() -> dict[str, Any]:
    def file_handle(thread: str, item: str) -> str:
        return here.page().files.of(thread, item)

    def file_state(state: str) -> str:
        return here.told().say(_STATES[state])

    return {"file_handle": file_handle, "file_state": file_state, "safe_name": safe_name}


@blueprint.get("/frame")
@without_desk
def frame() -> ResponseReturnValue:
    """Return the page of the hidden frame, which contains none of the desk's data."""
    return frame_page.built().response()


@blueprint.get("/t/<thread>/f/<file>")
def show(thread: str, file: str) -> ResponseReturnValue:
    """Show the kind of one file, and what can be done with it."""
    return _page(thread, file)


@blueprint.get("/t/<thread>/f/<file>/content")
def content(thread: str, file: str) -> ResponseReturnValue:
    """Send a file's bytes to the script that displays it."""
    site, mailbox = here.thread_of(thread)
    drawn = files.to_draw(here.place(), mailbox, here.file_of(file), site)
    return stranger_bytes.response(drawn.pieces, drawn.size)


@blueprint.post("/t/<thread>/f/<file>/save")
def save(thread: str, file: str) -> ResponseReturnValue:
    """Write the original file to the given folder."""
    site, mailbox = here.thread_of(thread)
    looked = files.look(here.place(), mailbox, here.file_of(file), site)
    harmless = looked.findings is not None and files.harmless(looked.findings)
    if not (harmless or request.form.get("sure") == "1"):
        return _page(thread, file, problem=here.told().say("save.unsure")), 409
    try:
        folder = chosen_folder()
        saved = files.save(here.place(), mailbox, here.file_of(file), folder, site=site, look=False)
    except (KlankbordError, OSError) as error:
        return _page(thread, file, problem=sentence(here.told(), error)), 409
    return _page(thread, file, saved=str(saved.path))


@blueprint.post("/t/<thread>/f/<file>/copy")
def copy(thread: str, file: str) -> ResponseReturnValue:
    """Write the pictures that the browser rendered to the folder, and respond to the script."""
    site, mailbox = here.thread_of(thread)
    told = here.told()
    try:
        form = _form()
        path = clean_copies.keep(
            here.place(), mailbox, here.file_of(file), chosen_folder(), form, _drawn(), site
        )
    except (KlankbordError, OSError) as error:
        return {"kept": False, "said": sentence(told, error)}
    return {"kept": True, "said": told.say("file.kept", path=path)}


def _page(thread: str, file: str, problem: str = "", saved: str = "") -> str:
    site, mailbox = here.thread_of(thread)
    looked = files.look(here.place(), mailbox, here.file_of(file), site)
    kind = looked.findings.kind if looked.findings else types.UNKNOWN
    ready = looked.file.state in READY
    return render_template(
        "file.html",
        thread=thread,
        file=file,
        looked=looked.file,
        kind=kind,
        kind_key=_KINDS.get(kind, "file.kind.unknown"),
        signs=[_SIGNS[sign] for sign in (looked.findings.signs if looked.findings else ())],
        harmless=looked.findings is not None and files.harmless(looked.findings),
        ready=ready,
        drawable=ready and kind in types.DRAWN,
        folder=request.form.get("folder") or str(usual_folder()),
        problem=problem,
        saved=saved,
    )


def chosen_folder() -> Path:
    """Return the folder given in the form. Raises Unfit if the folder does not exist."""
    path = Path(request.form.get("folder", "").strip()).expanduser()
    if not path.is_absolute() or not path.is_dir():
        raise Unfit("The folder is not there.", "no_folder")
    return path


def usual_folder() -> Path:
    """Return the person's folder for downloads, or else their home folder."""
    downloads = Path.home() / "Downloads"
    return downloads if downloads.is_dir() else Path.home()


def free_path(folder: Path, day: str, ending: str = "") -> Path:
    """Return an unused path in a folder: the day, with a number if necessary."""
    names = (f"{day}-{number}" if number > 1 else day for number in range(1, MOST_NUMBERED))
    paths = (folder / f"{name}{ending}" for name in names)
    return next((path for path in paths if not path.exists()), folder / f"{day}{ending}")


def _form() -> Form:
    given = request.form.get("form", "")
    for form in get_args(Form):
        if given == form:
            return given  # type: ignore[return-value] # it is one of them
    raise Unfit("The form of a copy is png, jpeg or pdf.")


def _drawn() -> list[Drawn]:
    """Return the pages that the script sent: pictures, and their sizes in pixels."""
    pictures = request.files.getlist("page")
    widths, heights = (request.form.getlist(name, type=int) for name in ("width", "height"))
    if not len(pictures) == len(widths) == len(heights):
        raise Unfit("Each page of a copy comes with its width and height.")
    return [
        Drawn(width, height, picture.read())
        for width, height, picture in zip(widths, heights, pictures, strict=True)
    ]
