"""What a site cannot do to its check: end it silently, or keep the desk busy."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dropbox_app.desk.actions import check_site
from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.site_check import cards as card_check
from dropbox_app.desk.site_check import compare, findings, release, visit, words
from dropbox_app.desk.site_check.findings import Finding, Values
from dropbox_app.desk.site_check.matching import Matcher
from dropbox_app.desk.site_check.pages import Pages
from dropbox_app.desk.site_check.values import Shape
from tests.desk.site_check.conftest import Reply, World, body_changed


def set_at(part: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(whole: dict[str, Any]) -> None:
        whole[part][key] = value

    return change


MANIFESTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "an endless number": set_at("klankbord", "statuses", {"x": float("inf")}),
    "an address that no request can have": set_at("manifest", "files", {"/é": ""}),
    "a file that it does not list": set_at("klankbord", "always", ["/zz"]),
    "a version that cannot be written": set_at("manifest", "version", "9\ud800"),
    "a long version": set_at("manifest", "version", "9" * 41),
    "too many files": set_at("manifest", "files", {f"/{n}": "" for n in range(101)}),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_malformed_manifest_of_a_site_is_reported(world: World, name: str) -> None:
    whole = json.loads(release.own_manifest().raw)
    MANIFESTS[name](whole)
    raw = json.dumps(whole).encode()
    world.alter = lambda _number, target, reply: (
        replace(reply, body=raw) if target == release.ADDRESS else reply
    )
    found = world.check().findings
    assert [(one.kind, one.where) for one in found] == [("file", release.ADDRESS)]


def kept(world: World) -> tuple[Finding, ...]:
    with world.open() as place:
        (site,) = check_site.last(place)
    (result,) = site.results
    return result.findings


def test_site_check_that_ends_with_an_error_is_recorded_as_an_alarm(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_given: object) -> None:
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(card_check, "read", read)
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1 >", only=1)
    result = world.check()
    assert result.alarm
    assert {"broken", "differs", "page"} == {one.kind for one in result.findings}
    assert kept(world) == result.findings


def test_site_check_that_exceeds_its_size_or_time_limit_is_recorded_as_an_alarm(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in (("MOST_IN_ALL", 200_000), ("LONGEST", -1.0)):
        with monkeypatch.context() as patch:
            patch.setattr(visit, name, limit)
            result = world.check()
        assert result.alarm
        assert [one.kind for one in result.findings] == ["endless"], name
        assert kept(world) == result.findings
    assert world.check().same


def test_page_longer_than_a_mebibyte_is_reported_as_altered(world: World) -> None:
    world.alter = lambda _number, target, reply: (
        replace(reply, body=reply.body.ljust(visit.MOST_OF_PAGE + 1)) if target == "/nl/" else reply
    )
    assert {(one.kind, one.where) for one in world.check().findings} == {("page", "/nl/")}


def test_number_and_length_of_a_checks_findings_are_limited(world: World) -> None:
    def alter(number: int, target: str, reply: Reply) -> Reply:
        more = tuple((f"X-{target}-{n}-{'x' * 600}", "") for n in range(200))
        return replace(reply, headers=(*reply.headers, *more))

    world.alter = alter
    found = world.check().findings
    assert len(found) == compare.MOST_FOUND
    assert max(len(one.said["name"]) for one in found) <= compare.MOST_LETTERS


def test_site_check_compares_no_further_pages_once_the_desk_is_locked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher, made = Pages.matcher, []
    with world.open() as place:

        def locking(pages: Pages, *given: Any) -> Matcher:  # noqa: ANN401 - passed on as it came
            made.append(given)
            place.break_off()
            return matcher(pages, *given)

        monkeypatch.setattr(Pages, "matcher", locking)
        with pytest.raises(CannotReach):
            check_site.check(place)
    assert len(made) == 1


def test_change_is_detected_even_if_there_are_too_many_values_to_store() -> None:
    def of(last: str) -> Values:
        values = Values()
        values.add("nl/", [("name", f"{n:03}" + "x" * 100) for n in range(80)])
        values.add("nl/", [("name", last)])
        return values

    one, other = of("zz1").kept(), of("zz2").kept()
    assert len(one["name"]) == findings.MOST_OF_SLOT
    (changed,) = findings.changes(one, other)
    assert changed.said["value"] == "name"
    (changed,) = findings.changes({}, one)
    assert len(changed.said["new"]) <= findings.MOST_TOLD


def test_list_with_too_many_cards_is_reported_as_unreadable(world: World) -> None:
    def alter(_number: int, target: str, reply: Reply) -> Reply:
        if target != card_check.ADDRESS:
            return reply
        fields = json.loads(reply.body)
        fields["cards"] *= card_check.MOST_CARDS
        return replace(reply, body=json.dumps(fields).encode())

    world.alter = alter
    assert world.kinds() == ["facts"]


def test_sentence_about_a_lone_surrogate_can_be_encoded() -> None:
    for lang in words.LANGUAGES:
        words.sentence(lang, Finding("version", "", {"name": "9\ud800"})).encode()


def test_unclosed_link_tag_does_not_make_the_comparison_slow() -> None:
    """Otherwise the time would grow with the square of the page's length."""
    begun = time.process_time()
    page = '<a href="mailto:' + "a@" * 20_000
    assert not Matcher(Shape("html", "own")).match(page).fits
    assert time.process_time() - begun < 2


def test_form_that_offers_an_identity_without_a_card_is_reported(world: World) -> None:
    world.alter = lambda _number, target, reply: (
        replace(reply, body=reply.body.replace(world.own.hex.encode(), b"somebody"))
        if target == "/nl/report"
        else reply
    )
    found = world.check().findings
    assert [(one.kind, one.said["name"]) for one in found] == [("groups", "somebody")]


def test_site_check_requests_the_worker_script_as_a_browser_does(sealing: World) -> None:
    sealing.check()
    asked = {
        (headers["Sec-Fetch-Dest"], headers["Sec-Fetch-Mode"])
        for _number, target, headers in sealing.asked
        if target.startswith("/static/worker-")
    }
    assert asked == {("worker", "same-origin")}


def test_site_check_requests_the_manifest_last(sealing: World) -> None:
    sealing.check()
    assert sealing.asked[-1][1] == release.ADDRESS
    assert [target for _, target, _ in sealing.asked].count(release.ADDRESS) == 1
