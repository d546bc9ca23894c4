"""Save a whole conversation, with its messages and files, unencrypted in one new folder."""

from collections.abc import Iterator

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import files
from dropbox_app.desk.actions.files import SavedAll
from dropbox_app.desk.actions.threads import Opened
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import Words
from dropbox_app.desk.web.reading import Conversation, Shown, conversation
from dropbox_app.desk.web.views.files import chosen_folder, free_path, usual_folder
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("save_all", __name__, url_prefix="/t/<handle>/save")


@blueprint.get("/")
def ask(handle: str) -> ResponseReturnValue:
    """Ask for the folder, and whether to include files that could be harmful."""
    here.thread_of(handle)
    return _page(handle)


@blueprint.post("/")
def save(handle: str) -> ResponseReturnValue:
    """Write everything to a new folder within the given one."""
    site, mailbox = here.thread_of(handle)
    told, place = here.told(), here.place()

    def text(opened: Opened) -> Iterator[tuple[str, bytes]]:
        return _texts(conversation(opened.case, told), told)

    try:
        out = free_path(chosen_folder(), here.page().lock.machine.today().isoformat())
        others = request.form.get("others") == "1"
        done = files.save_all(place, mailbox, out, text, others=others, site=site)
    except (KlankbordError, OSError) as error:
        return _page(handle, problem=sentence(told, error)), 409
    return _page(handle, done=done)


def _page(handle: str, problem: str = "", done: SavedAll | None = None) -> str:
    folder = request.form.get("folder") or str(usual_folder())
    return render_template(
        "save_all.html", handle=handle, folder=folder, problem=problem, done=done
    )


def _texts(read: Conversation, told: Words) -> Iterator[tuple[str, bytes]]:
    for number, one in enumerate(read.messages, start=1):
        yield f"{number:03}.txt", "\n".join(_lines(one, told)).encode("utf-8", "replace") + b"\n"
    if read.findings:
        yield "000.txt", "\n".join(read.findings).encode("utf-8", "replace") + b"\n"


def _lines(one: Shown, told: Words) -> Iterator[str]:
    yield f"{one.who} · {one.kind}" + (f" · {one.day.isoformat()}" if one.day else "")
    if one.doubt:
        yield f"{told.say('doubt.title')} {one.doubt}"
    if one.remark:
        yield one.remark
    if one.waiting:
        yield told.say("thread.waits")
    for part in one.parts:
        yield ""
        if part.label:
            yield part.label
        yield part.text
