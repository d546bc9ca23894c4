"""The backup page: make a backup, test one, get the recovery sheet.

A backup is restored during the first run.
"""

from pathlib import Path

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import backups, printables
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.views.posters import as_file
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("backups", __name__, url_prefix="/backups")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """Explain backups, and ask where to write a new one."""
    return _page("", "")


@blueprint.post("/make")
def make() -> ResponseReturnValue:
    """Write a backup to the given file. The program writes the file, not the browser."""
    given = request.form.get("path", "").strip()
    path = Path(given).expanduser()
    if not given or not path.is_absolute():
        return _page(here.told().say("backup.whole_path"), given), 422
    try:
        here.page().lock.settle_all()  # a fetch would write while the files are read
        backups.backup(here.place(), path)
    except (KlankbordError, OSError) as error:
        return _page(sentence(here.told(), error), given), 422
    return render_template("backup_made.html", path=str(path))


@blueprint.post("/try")
def rehearse() -> ResponseReturnValue:
    """Read a whole backup, and show its contents."""
    given, chosen = request.form.get("path", "").strip(), request.form.get("passphrase", "")
    lock = here.page().lock
    try:
        held = backups.rehearse(Path(given).expanduser(), chosen, lock.machine, lock.folder)
    except (KlankbordError, OSError) as error:
        return _page(sentence(here.told(), error), "", given), 422
    return render_template("backup_tried.html", held=held, path=given)


@blueprint.get("/sheet")
def sheet() -> ResponseReturnValue:
    """Send the recovery sheet, to print and keep in a safe."""
    return as_file(printables.recovery_sheet(here.place(), here.page().language))


def _page(problem: str, path: str, tried: str = "") -> str:
    today = here.place().machine.today()
    proposed = path or str(Path.home() / f"klankbord-{today}.age")
    return render_template("backups.html", problem=problem, path=proposed, tried=tried or proposed)
