"""The release manifest in this tree, compared with what the code sends."""

import json

from dropbox_app.desk.site_check import pages, release
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.web.assets import read_style, release_manifest, sealing_assets
from dropbox_app.server.web.i18n import PAGE_LANGUAGES
from dropbox_app.server.web.rendering import environment
from dropbox_app.server.web.views import info
from tests.support import release_manifest as generator


def test_manifest_matches_this_source_tree() -> None:
    """If this fails, run scripts/dev/make_manifest."""
    assert generator.PAGE.read_text("utf-8") == generator.written()


def test_desk_and_sites_have_the_same_manifest() -> None:
    assert release.own_manifest().raw == release_manifest() == generator.PAGE.read_bytes()


def test_manifest_lists_every_file_that_a_browser_loads() -> None:
    files = json.loads(release_manifest())["manifest"]["files"]
    loaded = {name: one.content for name, one in sealing_assets().by_name.items()}
    loaded[read_style().name] = read_style().content
    assert files == {f"/static/{name}": sha256_hex(raw) for name, raw in loaded.items()}


def test_desk_knows_every_page_language_and_template() -> None:
    assert pages.LANGUAGES == PAGE_LANGUAGES
    assert set(release.own().texts) == set(PAGE_LANGUAGES)
    assert set(environment().list_templates()) == set(release.own().templates)
    listed = {page for _, found in info.SECTIONS for page in found}
    assert listed <= set(pages.PATHS)
