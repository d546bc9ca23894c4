"""Make the release manifest: what a reporter's browser gets from every site of this release.

The part ``manifest`` has the names that WEBCAT uses (see dropbox_app/DECISIONS.md). The part
``klankbord`` has what WEBCAT has no name for.
"""

import json
import tomllib
from pathlib import Path

from dropbox_app.desk.site_check import release
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.web.assets import read_style, sealing_assets
from dropbox_app.server.web.i18n import PAGE_LANGUAGES
from dropbox_app.server.web.rendering import HTML, TYPING
from dropbox_app.server.web.security_headers import HEADERS, HSTS, POLICY, SEALING_POLICY

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "dropbox_app" / release.FILE
STYLE_TYPE = "text/css; charset=utf-8"
WITH_CLIENT = ("report", "return")


def written() -> str:
    """Return the manifest of this checkout. The same files give the same text."""
    style, client = read_style(), sealing_assets().by_name
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    sheet = f"/static/{style.name}"
    files = {f"/static/{name}": asset.content for name, asset in client.items()}
    files[sheet] = style.content
    kinds = {f"/static/{name}": asset.kind for name, asset in client.items()}
    whole = {
        "manifest": {
            "name": "klankbord",
            "version": version,
            "default_csp": HEADERS[POLICY],
            "extra_csp": {
                f"/{lang}/{page}": SEALING_POLICY for lang in PAGE_LANGUAGES for page in WITH_CLIENT
            },
            "files": {address: sha256_hex(raw) for address, raw in files.items()},
            "wasm": [],
        },
        "klankbord": {
            "always": [sheet],
            "content_types": {**kinds, sheet: STYLE_TYPE, "": HTML},
            "headers": [[name, value] for name, value in HEADERS.items() if name != POLICY],
            "headers_over_https": [["Strict-Transport-Security", HSTS]],
            "statuses": {page: int(TYPING.split()[0]) for page in WITH_CLIENT},
            "templates": release.digest(release.sources()),
        },
    }
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"
