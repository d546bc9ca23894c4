"""``klankbord-desk check-site``: its words in two languages, its JSON, its exit codes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dropbox_app.desk.site_check import release, words
from dropbox_app.desk.site_check.findings import CALM, Finding
from tests.desk.site_check.conftest import Reply, World, body_changed
from tests.server.web.conftest import ONION
from tests.support.releases import Signer


def test_result_for_an_unaltered_site_says_what_the_check_can_prove(world: World) -> None:
    done = world.run("check-site")
    assert done.exit_code == 0, done.output
    assert "No difference found" in done.output
    assert "A server can send one person a different page." in done.output
    assert "This was the first complete check" in done.output
    assert "This was the first complete check" not in world.run("check-site", "bakkerij").output


def test_alteration_is_reported_in_dutch_and_english(world: World) -> None:
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1 >")
    done = world.run("check-site", "--lang", "nl")
    assert done.exit_code == 1
    assert "De pagina /nl/role is niet die van deze versie." in done.output
    assert "Bel de beheerder." in done.output
    done = world.run("check-site")
    assert "The page /nl/role is not the page of this release." in done.output


def test_json_output_has_kind_place_and_sentence_of_each_finding(world: World) -> None:
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1 >")
    done = world.run("check-site", "--json")
    assert done.exit_code == 1
    ((site,),) = (json.loads(done.stdout),)
    assert not site["same"]
    assert site["alarm"]
    (result,) = site["results"]
    assert result["origin"] == ONION
    assert result["two_circuits"]
    (found,) = result["findings"]
    assert (found["kind"], found["where"], found["alarm"]) == ("page", "/nl/role", True)
    assert found["sentence"].startswith("The page /nl/role is not")


def test_unreachable_site_gives_exit_code_1_and_wrong_usage_exit_code_2(world: World) -> None:
    assert world.run("check-site", "another employer").exit_code == 2
    assert world.run("check-site", "--manifest", "x").exit_code == 2
    world.down.add(ONION)
    done = world.run("check-site")
    assert done.exit_code == 1
    assert "could not be reached. Check again later." in done.output


def test_hostile_page_cannot_control_the_terminal(world: World) -> None:
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1>\x1b[2J\xe2\x80\xae")
    output = world.run("check-site").output
    assert "\x1b" not in output
    assert "\u202e" not in output


@pytest.mark.skipif(not shutil.which("minisign"), reason="needs Debian's minisign")
def test_site_that_runs_another_signed_release_is_reported_as_such(
    world: World, tmp_path: Path
) -> None:
    raw = release.own().manifest.raw.replace(b'"version": "0.1.0"', b'"version": "0.2.0"')
    file, signer = tmp_path / "release-manifest.json", Signer(tmp_path / "keys")
    file.write_bytes(raw)
    Path(f"{file}.minisig").write_text(signer.sign(raw, "klankbord 0.2.0"))

    def alter(_number: int, target: str, reply: Reply) -> Reply:
        return replace(reply, body=raw) if target == release.ADDRESS else reply

    world.alter = alter
    given = ("check-site", "--manifest", str(file), "--key", str(signer.public))
    done = world.run(*given)
    assert done.exit_code == 1
    assert "0.2.0, which is newer" in done.output
    assert "whose signature you gave" in done.output
    assert "Call the operator" not in done.output
    file.write_bytes(raw + b" ")
    assert world.run(*given).exit_code == 2


KINDS = (
    "page", "differs", "file", "missing", "busy", "policy", "header", "origin", "facts",
    "other_site", "card_bad", "card_mine", "card_mine_gone", "card_one", "card_swapped", "card_new",
    "card_gone", "groups", "changed", "version", "unreachable",
    "endless", "broken",
)  # fmt: skip


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_every_kind_of_finding_has_a_sentence(lang: str) -> None:
    said = {
        "name": "Sam", "groups": "abcd", "status": "404", "excerpt": "<p>", "value": "own nl/what",
        "old": "1", "new": "2", "than": "newer", "proven": "",
    }  # fmt: skip
    assert set(KINDS) >= CALM
    for kind in KINDS:
        sentence = words.sentence(lang, Finding(kind, "/nl/what", said))
        assert "{" not in sentence, kind
        assert sentence[-1] in ".>mp", kind
