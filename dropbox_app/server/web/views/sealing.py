"""The files of a browser that seals by itself; only on a site that lets it."""

from flask import Blueprint, Response
from werkzeug.exceptions import abort

from dropbox_app.server.web.assets import sealing_assets
from dropbox_app.server.web.rendering import takes_gzip
from dropbox_app.server.web.sites import current_site

blueprint = Blueprint("sealing", __name__)


def asset(name: str) -> Response:
    """Send one of the files: the client, its worker, the word lists or the licences."""
    if not current_site().settings.reporter.seal_in_browser:
        abort(404)
    file = sealing_assets().by_name[name]
    if takes_gzip():
        headers = {"Content-Encoding": "gzip"}
        return Response(file.packed, content_type=file.kind, headers=headers)
    return Response(file.content, content_type=file.kind)


for _name in sealing_assets().by_name:
    blueprint.add_url_rule(
        f"/static/{_name}",
        _name.partition(".")[0],
        asset,
        methods=["GET"],
        defaults={"name": _name},
    )
