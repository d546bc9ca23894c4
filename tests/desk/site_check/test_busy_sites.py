"""A site that is busy or restarts during its check: calm, and nothing untrue about its values."""

from dataclasses import replace
from pathlib import Path

from dropbox_app.desk.site_check import release
from tests.desk.site_check.conftest import Alter, Reply, World, body_changed

BUSY_PAGE = b"<!doctype html><title>Busy</title><p>Try again."


def busy_at(address: str, only: int | None = None) -> Alter:
    """Return nginx's response when its limits are reached or the app is down."""

    def alter(number: int, target: str, reply: Reply) -> Reply:
        if target != address or (only is not None and number % 3 != only):
            return reply
        return replace(reply, status=503, body=BUSY_PAGE)

    return alter


# One visitor, or both: the page that states a setting, and what no reader asks for.
BUSY = (
    ("/nl/technical", None), ("/nl/technical", 1), ("/api/site", 2), (release.ADDRESS, None),
)  # fmt: skip


def test_busy_response_is_no_alarm_whatever_was_requested(world: World) -> None:
    world.check()
    for address, only in BUSY:
        world.alter = busy_at(address, only)
        assert world.kinds() == ["busy"], (address, only)
    world.alter = lambda _number, _target, reply: reply
    assert world.check().findings == ()


def test_site_whose_first_page_is_busy_is_no_alarm_in_any_language(tmp_path: Path) -> None:
    """That page names the languages, which are on every other page."""
    world = World(tmp_path, languages=("nl", "en", "pl"))
    for only in (None, 1):
        world.alter = busy_at("/", only)
        assert world.kinds() == ["busy"]
    world.close()


def test_altered_page_is_reported_although_the_page_with_the_settings_is_busy(
    sealing: World,
) -> None:
    busy = busy_at("/nl/technical")
    other = body_changed("/nl/report", b"<h1>", b"<h1 >")
    sealing.alter = lambda number, target, reply: busy(number, target, other(number, target, reply))
    assert sealing.kinds() == ["busy", "page"]


def test_site_that_is_down_behind_its_web_server_is_no_alarm(world: World) -> None:
    world.check()
    world.alter = lambda _number, _target, reply: replace(reply, status=503, body=BUSY_PAGE)
    assert world.kinds() == ["busy"]
    world.alter = lambda _number, _target, reply: reply
    assert world.check().findings == ()


def test_changed_value_on_a_page_is_reported_although_another_page_was_busy(world: World) -> None:
    world.check()
    busy, other = busy_at("/nl/role"), body_changed("/nl/", b"030\xc2\xa0123", b"030\xc2\xa0999")
    world.alter = lambda number, target, reply: busy(number, target, other(number, target, reply))
    assert world.kinds() == ["busy", "changed"]
    assert world.kinds() == ["busy", "changed"], "it is told until a check is complete"
    world.alter = other
    assert world.kinds() == ["changed"]
    assert world.kinds() == []


def test_values_are_compared_only_with_those_of_a_complete_check(world: World) -> None:
    """The result does not say that the site's texts were noted until they were."""
    noted = "This was the first complete check"
    world.alter = busy_at("/nl/")
    said = world.run("check-site").output
    assert "too busy" in said
    assert noted not in said
    world.alter = lambda _number, _target, reply: reply
    said = world.run("check-site").output
    assert "No difference found" in said
    assert noted in said
    assert noted not in world.run("check-site").output
