"""What a check of a site finds: nothing on an unaltered site, and each alteration by its name."""

import datetime
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.desk.actions import check_site
from dropbox_app.desk.site_check import findings, release
from dropbox_app.desk.sync import own_card
from dropbox_app.protocol.card import Away
from dropbox_app.server.config.settings import Crisis, OtherContact, Own, Reporter
from dropbox_app.server.web.i18n import PAGE_LANGUAGES
from tests.desk.site_check.conftest import Reply, World, body_changed
from tests.server.web.conftest import ONION, SECURE, Counsellor

SCRIPT = "/static/client-[0-9a-f]{16}[.]js"


def test_check_of_an_unaltered_site_finds_no_difference(
    world: World, request: pytest.FixtureRequest
) -> None:
    """Five checks by default, and a hundred with --long."""
    for number in range(100 if request.config.getoption("--long") else 5):
        assert world.check().findings == (), number
        if number % 4 == 3:
            world.house.clock.pass_days(1)


def test_check_of_an_unaltered_site_whose_pages_seal_messages_finds_no_difference(
    sealing: World, request: pytest.FixtureRequest
) -> None:
    for number in range(100 if request.config.getoption("--long") else 2):
        sealing.packed = number % 2 == 0
        assert sealing.check().findings == (), number


CRISIS = (Crisis("112", "Gevaar", "Danger"),)
SETTINGS: dict[str, dict[str, Any]] = {
    "all languages": {
        "languages": PAGE_LANGUAGES,
        "reporter": Reporter(seal_in_browser=True),
        "crisis": CRISIS,
    },
    "nothing set": {"run_by": "", "phone": "", "hours": ""},
    "employer": {"run_by_is_employer": True, "controller": "Bakkerij <De> \"Korenaar\" & 'zoon'"},
    "own numbers": {
        "phone": "",
        "telephones": (Own("sam", "06-1234 5678", "ma 9-12"), Own("els", "+31 (0)30 123 45 67")),
        "other_contact": OtherContact("Kim O'Neil", "030 765 43 21"),
    },
    "crisis": {"crisis": CRISIS},
    "an employer, long": {"name": "X" * 190, "run_by_is_employer": True, "run_by": ""},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_check_of_an_unaltered_site_with_other_settings_finds_no_difference(
    tmp_path: Path, name: str
) -> None:
    made = World(tmp_path, **SETTINGS[name])
    assert made.check().findings == ()
    made.close()


def test_check_of_an_unaltered_site_with_a_custom_text_finds_no_difference(world: World) -> None:
    for lang in ("nl", "en"):
        folder = world.house.folder / "content" / lang
        folder.mkdir(parents=True)
        for page in ("what", "about", "privacy", "law-privacy"):
            text = (
                "## Kop\n\nTekst *met* [een link](https://example.org/a?b=c) & `code`.\n\n- een\n"
            )
            (folder / f"{page}.md").write_text(text)
    world.house.restart()
    assert world.check().findings == ()


def test_check_of_an_unaltered_site_tolerates_absent_and_silent_counsellors(world: World) -> None:
    sam = world.house.counsellors[0]
    until = world.house.clock.today() + datetime.timedelta(days=20)
    world.house.site.update(
        sam.identity, sam.card(away=Away(until, world.own)), world.house.clock.today()
    )
    assert world.check().findings == ()
    world.house.clock.pass_days(25)  # now both desks are silent
    assert world.check().findings == ()
    world.house.clock.pass_days(150)  # and now no card can be written to
    assert world.check().findings == ()


def test_requests_of_a_check_look_like_those_of_a_visitor(world: World) -> None:
    world.check()
    assert world.visitors == 3
    for _number, _target, headers in world.asked:
        assert headers["User-Agent"].startswith("Mozilla/5.0 ")
        assert {"Cookie", "Authorization", "Referer"}.isdisjoint(headers)
        assert "klankbord" not in " ".join(headers.values()).lower()
    # Neither of the two visitors asks for what only a check wants.
    assert {number for number, target, _ in world.asked if target == release.ADDRESS} == {3}


def kinds_at(world: World) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in world.check().findings:
        found.setdefault(one.kind, set()).add(one.where)
    return found


def test_single_altered_byte_of_a_script_is_reported(sealing: World) -> None:
    sealing.alter = body_changed(SCRIPT, b"a", b"b")
    found = kinds_at(sealing)
    assert [*found] == ["file"]
    (address,) = found["file"]
    assert address.startswith("/static/client-")


def test_script_altered_for_one_visitor_is_reported(sealing: World) -> None:
    sealing.alter = body_changed(SCRIPT, b"a", b"b", only=2)
    assert [*kinds_at(sealing)] == ["differs", "file"]


@pytest.mark.parametrize("path", ["", "safety", "report", "return", "technical", "help"])
def test_page_altered_for_one_visitor_is_reported(world: World, path: str) -> None:
    world.alter = body_changed(f"/nl/{path}", b"<h1>", b"<h1 >", only=1)
    assert kinds_at(world) == {"differs": {f"/nl/{path}"}, "page": {f"/nl/{path}"}}


def test_telephone_number_altered_for_one_visitor_is_reported(world: World) -> None:
    """The release does not contain the number, so only the two visits show it."""
    world.alter = body_changed("/nl/", b"030\xc2\xa0123", b"030\xc2\xa0999", only=2)
    assert kinds_at(world)["differs"] == {"/nl/"}


def test_telephone_number_altered_for_everybody_is_reported_by_the_next_check(world: World) -> None:
    assert world.check().same
    world.alter = lambda _number, _target, reply: replace(
        reply, body=reply.body.replace(b"030\xc2\xa0123", b"030\xc2\xa0999")
    )
    first = world.check()
    assert {one.kind for one in first.findings} == {"changed"}
    assert not first.alarm
    (said,) = (one.said for one in first.findings if one.said["value"] == "contacts[].phone")
    assert said["old"].endswith("123\xa045\xa067")
    assert said["new"].endswith("999\xa045\xa067")
    assert world.check().same, "the change was told once"


ALTERED: dict[str, Callable[[Reply], Reply]] = {
    "a script": lambda r: replace(r, body=r.body.replace(b"</body>", b"<script>1</script></body>")),
    "a link": lambda r: replace(r, body=r.body.replace(b'href="/nl/safety"', b'href="/nl/safet"')),
    "a word": lambda r: replace(r, body=r.body.replace(b"Leg", b"leg", 1).replace(b"V", b"v", 1)),
    "a refresh": lambda r: replace(
        r,
        body=r.body.replace(
            b"<title>", b'<meta http-equiv="refresh" content="0;url=//example.org/"><title>'
        ),
    ),
    "the end": lambda r: replace(r, body=r.body.rstrip(b" ")[:-8]),
    "more at the end": lambda r: replace(r, body=r.body.rstrip(b" ") + b"<p>meer</p>"),
    "another encoding": lambda r: r.with_header("Content-Encoding", "br"),
    "no gzip": lambda r: r.with_header("Content-Encoding", "gzip"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_page_is_reported_by_the_check(world: World, name: str) -> None:
    world.alter = lambda _number, target, r: ALTERED[name](r) if target == "/nl/" else r
    found = world.check()
    assert {(one.kind, one.where) for one in found.findings} == {("page", "/nl/")}
    assert found.alarm


POLICIES: dict[str, Callable[[str], str]] = {
    "script-src": lambda p: p.replace("script-src ", "script-src 'unsafe-inline' "),
    "form-action": lambda p: p.replace("form-action 'self'", "form-action *"),
    "none": lambda p: "",
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("address", ["/nl/report", "/en/", "/static/style"])
def test_weakened_content_security_policy_is_reported(
    world: World, name: str, address: str
) -> None:
    header = "Content-Security-Policy"

    def alter(_number: int, target: str, reply: Reply) -> Reply:
        if not target.startswith(address) or target == "/en/safety":
            return reply
        return reply.with_header(header, POLICIES[name](dict(reply.headers)[header]))

    world.alter = alter
    found = kinds_at(world)
    assert [*found] == ["policy"]
    assert all(where.startswith(address) for where in found["policy"])


def test_second_policy_and_unknown_headers_are_reported(world: World) -> None:
    added = ("Content-Security-Policy", "default-src *"), ("Set-Cookie", "a=b")
    world.alter = lambda _number, target, reply: (
        replace(reply, headers=(*reply.headers, *added)) if target == "/nl/" else reply
    )
    assert kinds_at(world) == {"policy": {"/nl/"}, "header": {"/nl/"}}


def test_missing_response_header_is_reported(world: World) -> None:
    world.alter = lambda _number, _target, reply: replace(
        reply, headers=tuple(one for one in reply.headers if one[0] != "X-Frame-Options")
    )
    found = world.check().findings
    assert {(one.kind, one.said["name"]) for one in found} == {("header", "X-Frame-Options")}


@pytest.mark.parametrize("address", ["/nl/role", "/static/style", "/release-manifest", "/api/site"])
def test_missing_file_of_the_release_is_reported(world: World, address: str) -> None:
    world.alter = lambda _number, target, reply: (
        replace(reply, status=404, body=b"") if target.startswith(address) else reply
    )
    found = kinds_at(world)
    assert [*found] == ["missing"]
    assert all(where.startswith(address) for where in found["missing"])


def test_counsellors_card_replaced_by_the_server_is_reported(world: World) -> None:
    world.check()
    thief = Counsellor(world.house, "Els de Vries")
    world.house.site.retire("els", world.house.clock.today())
    world.house.site.pin("els", thief.card(), world.house.clock.today())
    found = world.check()
    kinds = {one.kind for one in found.findings}
    assert kinds == {"card_mine_gone", "card_swapped"}
    assert {one.said.get("groups") for one in found.findings if one.kind == "card_swapped"} == {
        thief.identity.fingerprint()
    }


def test_colleagues_card_replaced_by_the_server_is_reported(world: World) -> None:
    world.check()
    thief = Counsellor(world.house, "Sam Jansen")
    world.house.site.retire("sam", world.house.clock.today())
    world.house.site.pin("sam", thief.card(), world.house.clock.today())
    assert world.kinds() == ["card_swapped"]


def test_older_card_of_the_counsellor_is_reported(world: World) -> None:
    with world.open() as place:
        desk = place.one()
        own_card.issue(desk, forced=True, day_confirmed=False)
        desk.state.published = True
        desk.save()
    assert world.kinds() == ["card_mine"]


def test_card_replaced_for_one_visitor_is_reported(world: World) -> None:
    thief = Counsellor(world.house, "Sam Jansen")
    sam = world.house.counsellors[0]
    card, other = (one.card().decode() for one in (sam, thief))
    world.house.site.update(sam.identity, card.encode(), world.house.clock.today())
    old, new = (json.dumps(text, ensure_ascii=False)[1:-1].encode() for text in (card, other))
    world.alter = body_changed("/api/site", old, new, only=2)
    assert world.kinds() == ["card_one", "differs"]


def test_unknown_fingerprint_on_a_page_is_reported(world: World) -> None:
    right = world.own.fingerprint().encode()
    wrong = b"0000" + right[4:]
    world.alter = body_changed("/nl/technical", right, wrong)
    assert world.kinds() == ["groups"]


def test_counsellor_name_for_which_no_card_exists_is_reported(world: World) -> None:
    world.alter = lambda _number, _target, reply: replace(
        reply, body=reply.body.replace(b"<bdi>Sam Jansen</bdi>", b"<bdi>Kim Jansen</bdi>")
    )
    assert {one.said["name"] for one in world.check().findings} == {"Kim Jansen"}


def test_address_that_is_not_in_the_invitation_is_reported(world: World) -> None:
    world.alter = lambda _number, _target, reply: replace(
        reply, body=reply.body.replace(b"q" * 56, b"z" * 56)
    )
    found = world.check().findings
    assert {one.said["name"] for one in found if one.kind == "origin"} == {
        "http://" + "z" * 56 + ".onion"
    }


@pytest.mark.parametrize(("number", "than"), [("0.0.9", "older"), ("0.9.0", "newer")])
def test_site_that_runs_another_version_is_reported_without_alarm(
    world: World, number: str, than: str
) -> None:
    """Its style sheet, pages and list are others, and fit together."""
    style = next(name for name in release.own().manifest.files if "/style-" in name)

    def alter(_number: int, target: str, reply: Reply) -> Reply:
        body = reply.body.replace(style.encode(), b"/static/style-0123456789abcdef.css")
        body = body.replace(b'"version": "0.1.0"', f'"version": "{number}"'.encode())
        return replace(reply, body=body.replace(b"Klankbord</a>", b"Klankbord</a> "))

    def ask(number: int, target: str, reply: Reply) -> Reply:
        if target == "/static/style-0123456789abcdef.css":
            client = world.house.app.test_client(use_cookies=False)
            got = client.get(style, base_url=ONION)
            return Reply(200, tuple(got.headers.to_wsgi_list()), got.get_data())
        return alter(number, target, reply)

    world.alter = ask
    found = world.check()
    assert [one.kind for one in found.findings] == ["version"]
    assert found.findings[0].said == {"name": number, "proven": "", "than": than}
    assert not found.alarm
    assert not found.same


def test_site_that_claims_another_version_must_still_match_its_own_manifest(world: World) -> None:
    world.alter = body_changed(
        "/release-manifest.json", b'"version": "0.1.0"', b'"version": "9.9.9"'
    )
    assert world.kinds() == ["version"]
    claimed = world.alter

    def alter(number: int, target: str, reply: Reply) -> Reply:
        reply = claimed(number, target, reply)
        if target.startswith("/static/style"):
            return replace(reply, body=reply.body + b" ")
        return reply.with_header("Content-Security-Policy", "") if target == "/nl/" else reply

    world.alter = alter
    assert world.kinds() == ["file", "policy", "version"]


def test_page_that_changes_during_the_check_raises_no_alarm(world: World) -> None:
    """A new day between the two requests changes a page for both visitors."""
    turned: list[str] = []

    def alter(number: int, target: str, reply: Reply) -> Reply:
        if target == "/nl/role" and number == 2 and not turned:
            turned.append(target)
            world.house.clock.pass_days(60)
            client = world.house.app.test_client(use_cookies=False)
            got = client.get(target, base_url=ONION)
            return Reply(got.status_code, tuple(got.headers.to_wsgi_list()), got.get_data())
        return reply

    world.alter = alter
    assert world.check().findings == ()
    assert turned


def test_busy_and_unreachable_sites_raise_no_alarm(world: World) -> None:
    world.alter = lambda _number, target, reply: (
        replace(reply, status=503, body=b"") if target == "/nl/role" else reply
    )
    busy = world.check()
    assert [one.kind for one in busy.findings] == ["busy"]
    world.down.add(ONION)
    gone = world.check()
    assert [(one.kind, one.where) for one in gone.findings] == [("unreachable", ONION)]
    assert not gone.alarm
    assert gone.cards == busy.cards, "the cards of the last visit are kept"


def test_result_says_that_a_site_without_tor_can_link_the_two_visits(tmp_path: Path) -> None:
    made = World(tmp_path, proxy="", origins=(SECURE,))
    result = made.check()
    assert result.findings == ()
    assert not result.circuits
    made.close()


def test_huge_and_endless_responses_do_not_break_the_check(world: World) -> None:
    bomb = gzip.compress(b"<p>" * 30_000_000)
    replies = {
        "/nl/": lambda r: replace(r, body=b"<" * 9_000_000),
        "/nl/role": lambda r: replace(r, body=bomb).with_header("Content-Encoding", "gzip"),
        "/nl/what": lambda r: replace(r, body=b"<p>a</p>" * 200_000),
        "/api/site": lambda r: replace(r, body=b"[" * 100_000),
    }
    world.alter = lambda _number, target, r: replies.get(target, lambda one: one)(r)
    found = kinds_at(world)
    assert found == {"page": {"/nl/", "/nl/role", "/nl/what"}, "facts": {"/api/site"}}


def test_check_result_is_stored_and_can_be_read_again(world: World) -> None:
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1 >")
    result = world.check()
    with world.open() as place:
        (kept,) = check_site.last(place)
    assert kept.results == (result,)
    assert kept.results[0].findings[0].said == result.findings[0].said
    assert len(findings.dump({ONION: result})) < 8_000
