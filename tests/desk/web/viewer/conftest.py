"""The viewer in Debian's Chromium, and with --long in its Firefox, as a counsellor uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from dropbox_app.desk.web import frame_page
from tests.support.browsers import BOTH, Start, browsers
from tests.support.net import Net
from tests.support.viewer_site import ViewerSite


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    folder: Path = tmp_path_factory.mktemp("net")
    with Net(folder, {}).running() as net, browsers(net) as starting:
        yield starting


@pytest.fixture(scope="module")
def one_site() -> Iterator[ViewerSite]:
    with ViewerSite().running() as made:
        yield made


@pytest.fixture
def site(one_site: ViewerSite) -> ViewerSite:
    """Return the unmodified site."""
    one_site.frame = frame_page.built()
    for kept in (one_site.files, one_site.kept, one_site.broken, one_site.asked):
        kept.clear()
    return one_site


@pytest.fixture(scope="module", params=BOTH)
def page(request: pytest.FixtureRequest, start: Start, one_site: ViewerSite) -> Iterator[Page]:
    """Open the desk's page in a new browser; each file has a frame."""
    context = start(str(request.param), True).new_context()
    made = context.new_page()
    one_site.frame = frame_page.built()  # this runs before the test's own fixtures
    one_site.open(made)
    yield made
    context.close()
