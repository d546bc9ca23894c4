"""A browser that alters the pixels that a page reads back, like Tor Browser."""

from tests.support.browsers import PROGRAMS, driver, here
from tests.support.hostile_files import small_png
from tests.support.viewer_site import ViewerSite


@here("firefox")
def test_browser_that_alters_images_is_detected_and_nothing_is_shown_or_kept(
    site: ViewerSite,
) -> None:
    with driver() as playwright:
        running = playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=PROGRAMS["firefox"],
            firefox_user_prefs={"privacy.resistFingerprinting": True},
        )
        page = running.new_page()
        site.open(page)
        told = site.look(page, "image/png", small_png())
        running.close()
    assert (told["fault"], told["seen"]) == ("altered", [])
