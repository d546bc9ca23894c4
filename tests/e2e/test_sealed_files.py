"""Files in browsers that seal: all requests are recorded, and can fail (SPEC section 6)."""

import json
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator

from tests.e2e.test_sealed_journey import in_one_browser, meet, relay, start
from tests.support.chance import seed
from tests.support.drop_box import Counsellor, DropBox
from tests.support.processes import until
from tests.support.recorder import Passed
from tests.support.relay import CUT, Fault, Lie, Relay
from tests.support.sealing_person import (
    LANG,
    Reporter,
    Step,
    always,
    each_once,
    leaked,
    once,
    refused_or_lost,
    site_of,
)
from tests.support.steps import STORY, the_only_thread

__all__ = ["meet", "relay", "start"]

MIB = 1024 * 1024
PARTS, WHOLE = "/api/files/parts/", "/api/files/"
Meet = Callable[[], Reporter]
Given = list[tuple[str, str, bytes]]  # name, type, content


def some_files(size: int = 5 * MIB) -> Given:
    """Return a small and a long file, whose names and contents can be found in a request.

    The long one is sent in parts of 4 MiB.
    """
    chance = random.Random(seed())  # noqa: S311 - contents, no secrets
    return [
        ("Loonstrook Jansen.pdf", "application/pdf", b"%PDF opgemaakt in maart\n" * 40),
        ("film van de gang.mp4", "video/mp4", chance.randbytes(size + 123)),
    ]


def choose(writer: Reporter, files: Given, text: str = "Zie de bijlagen.") -> None:
    """Open the page for files, and fill it in."""
    writer.page.click("[data-seal=message] [data-seal=files]")
    writer.page.fill("[data-seal=files] [name=text]", text)
    payloads = [FilePayload(name=name, mimeType=kind, buffer=data) for name, kind, data in files]
    writer.page.set_input_files("#files", payloads)


def send(writer: Reporter) -> None:
    writer.page.click("[data-seal=files] button[type=submit]")


def is_sent(writer: Reporter) -> None:
    """Wait until the conversation is back, and says that the message was sent."""
    writer.page.wait_for_selector("[data-seal=message]")
    writer.reads("Je bericht is verstuurd")


def at_the_desk(counsellor: Counsellor, folder: Path) -> dict[str, bytes]:
    """Return the contents of the files that the desk opens, by their names."""
    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    assert "COULD NOT BE VERIFIED" not in counsellor.desk("read", thread).stdout
    assert "ADDED" not in counsellor.desk("read", thread).stdout
    listed: list[dict[str, Any]] = json.loads(counsellor.desk("files", thread, "--json").stdout)
    folder.mkdir()
    for one in listed:
        assert one["state"] == "here", one
        counsellor.desk("save", thread, one["item"][:8], "--out", folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def saved(writer: Reporter, name: str, then: Callable[[], object] = lambda: None) -> bytes:
    """Press the button of a counsellor's file, then do something; return what was saved."""
    button = writer.page.locator("article .files li", has_text=name).locator("button")
    if "firefox" in writer.page.evaluate("navigator.userAgent").lower():
        return saved_by_firefox(button, name, then)
    with writer.page.expect_download() as waiting:
        button.click()
        then()
    download = waiting.value
    assert download.suggested_filename == name
    return Path(str(download.path())).read_bytes()


def saved_by_firefox(button: Locator, name: str, then: Callable[[], object]) -> bytes:
    """Do the same in Firefox, whose driver saves such a file but does not report it."""

    def there() -> set[Path]:
        # Firefox numbers a file whose name is already taken: film(1).bin.
        stem, _, end = name.rpartition(".")
        return set(Path(tempfile.gettempdir()).glob(f"playwright-artifacts-*/{stem}*.{end}"))

    before = there()

    def found() -> list[Path]:
        return [*(there() - before)]

    button.click()
    then()
    button.page.locator("main :text('Het bestand is geopend')").wait_for()
    until(lambda: found() and found()[0].stat().st_size, "Firefox did not save it")
    size = -1
    while size != (size := found()[0].stat().st_size):
        button.page.wait_for_timeout(500)
    return found()[0].read_bytes()


def test_no_request_reveals_anything_about_files_sent_in_either_direction(
    meet: Meet, relay: Relay, box: DropBox, counsellor: Counsellor, tmp_path: Path
) -> None:
    """Neither name, type, content nor exact size; the desk opens them, and a browser its answer."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    given = some_files(9 * MIB)
    choose(writer, given)
    send(writer)
    is_sent(writer)
    assert writer.messages == [STORY[LANG], "Zie de bijlagen."]
    names = writer.page.locator("article .files li span").all_inner_texts()
    assert names == [name for name, _, _ in given]
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents

    back = {"verslag é.txt": b"Wat ik deed.\n" * 50, "opname.bin": given[1][2][: 3 * MIB + 7]}
    paths = [tmp_path / name for name in back]
    for path in paths:
        path.write_bytes(back[path.name])
    counsellor.reply(the_only_thread(counsellor), "Hier zijn ze.", *paths)
    reader = meet()
    reader.returns(code)
    for name, content in back.items():
        assert saved(reader, name) == content
        reader.reads("Het bestand is geopend")

    sent = [line for one in given for line in (one[0], one[1])]
    sent += [line.decode() for line in (given[0][2].splitlines()[0], b"Wat ik deed.")]
    assert leaked(relay.seen, code, site_of(box), [STORY[LANG], "Zie de bijlagen.", *sent]) == []
    # What is random has no lines, so pieces of it are looked for.
    pieces = [re.escape(given[1][2][at : at + 32]) for at in range(0, 9 * MIB, MIB)]
    for one in relay.seen:
        assert not re.search(b"|".join(pieces), one.body), one.target
        assert str(len(given[1][2])).encode() not in one.body
    put = relay.sent("PUT", PARTS)
    assert len({one.target for one in put}) == len(put) == 4
    assert {one.header("Content-Type")[0] for one in put} == {"application/octet-stream"}


REQUESTS = [("PUT", PARTS), ("POST", WHOLE), ("POST", "/api/conversation/messages")]


@in_one_browser
@pytest.mark.parametrize("steps", refused_or_lost(REQUESTS))
def test_files_arrive_exactly_once_even_if_requests_fail(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path, steps: list[Step]
) -> None:
    """Only what was on its way is sent again."""
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    given = some_files()
    choose(writer, given)
    relay.fault = each_once(*steps)
    send(writer)
    is_sent(writer)
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents
    put = [one.target for one in relay.sent("PUT", PARTS)]
    assert (len(set(put)), len(put)) == (3, 4)
    joined = [one.target for one in relay.sent("POST", WHOLE)]
    assert (len(set(joined)), len(joined)) == (2, 3)


@in_one_browser
def test_sending_of_a_file_continues_where_it_stopped(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path
) -> None:
    """The person stops it in the middle, and presses the button again."""
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    given = some_files(9 * MIB)
    choose(writer, given)
    broken: list[str] = []

    def after_two(one: Passed) -> Fault:
        if one.method == "PUT" and PARTS in one.target:
            broken.append(one.target)
        return "refuse" if len(broken) > 2 else ""

    relay.fault = after_two
    send(writer)
    writer.reads("De verbinding is weg")
    writer.page.click("[data-seal=stop-files]")
    writer.reads("Je bent gestopt. Je bericht is niet verstuurd.")
    assert writer.page.input_value("[data-seal=files] [name=text]") == "Zie de bijlagen."
    assert writer.page.evaluate("document.querySelector('#files').files.length") == 2
    assert writer.page.locator("progress").is_hidden()
    relay.fault = always("", "", "")
    counsellor.desk("fetch")
    assert len(counsellor.read(the_only_thread(counsellor))["messages"]) == 1
    send(writer)
    is_sent(writer)
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents
    arrived = [one.target for one in relay.sent("PUT", PARTS)]
    assert [arrived.count(target) for target in dict.fromkeys(arrived)][:2] == [1, 1]


@in_one_browser
def test_download_continues_where_it_was_interrupted_and_refuses_altered_parts(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path
) -> None:
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    counsellor.desk("fetch")
    film = tmp_path / "film.bin"
    film.write_bytes(some_files()[1][2])
    counsellor.reply(the_only_thread(counsellor), "Kijk.", film)
    writer.context.close()
    reader = meet()
    reader.returns(code)
    relay.fault = once("cut", "GET", WHOLE)

    def let_it_break() -> None:
        reader.page.locator("main :text-matches('openen het: [1-9]')").wait_for()
        relay.may_cut.set()

    assert saved(reader, "film.bin", let_it_break) == film.read_bytes()
    first, second = (one.target.partition("?from=")[2] for one in relay.sent("GET", WHOLE))
    assert first == "0"
    assert 0 < int(second) < CUT
    lie = Lie(200, {"not": "the file"}, passed_on=False)
    relay.fault = lambda one: lie if WHOLE in one.target else ""
    reader.page.click("article .files button")
    reader.reads("Dit bestand is veranderd of beschadigd")
    relay.fault = always("", "", "")
    assert saved(reader, "film.bin") == film.read_bytes()


@in_one_browser
def test_files_over_the_limits_are_refused_before_anything_is_sent(
    meet: Meet, relay: Relay
) -> None:
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    choose(writer, [(f"{number}.txt", "text/plain", b"x") for number in range(11)])
    send(writer)
    writer.reads("Je koos te veel bestanden")
    writer.page.evaluate("document.querySelector('[data-seal=files]').dataset.largest = '10'")
    writer.page.set_input_files(
        "#files", [FilePayload(name="groot.txt", mimeType="", buffer=b"x" * 11)]
    )
    send(writer)
    writer.reads("Dit bestand is te groot: groot.txt")
    writer.page.set_input_files("#files", [])
    writer.page.fill("[data-seal=files] [name=text]", "")
    send(writer)
    writer.reads("Kies een bestand, of schrijf iets")
    assert relay.sent("PUT", WHOLE) == []
    writer.page.click("[data-seal=back]")
    writer.page.wait_for_selector("[data-seal=message]")
    assert writer.complaints == []


@in_one_browser
def test_sending_of_a_file_continues_after_a_long_interruption(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path
) -> None:
    """The page gives up, keeps text and files, and goes on when the button is pressed again."""
    writer = meet()
    writer.tells(STORY[LANG])
    writer.goes_on()
    given = some_files()
    choose(writer, given)
    writer.page.clock.install()
    relay.fault = always("refuse", "PUT", PARTS)
    send(writer)
    gave_up = writer.page.locator("main", has_text="het gaat verder waar het stopte")
    for _ in range(60):
        writer.page.clock.run_for(10_000)
        if gave_up.count():
            break
    gave_up.wait_for()
    writer.page.clock.resume()
    assert writer.page.input_value("[data-seal=files] [name=text]") == "Zie de bijlagen."
    relay.fault = always("", "", "")
    send(writer)
    is_sent(writer)
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents


@in_one_browser
def test_message_from_another_tab_does_not_interrupt_sending_of_files(
    meet: Meet, relay: Relay, counsellor: Counsellor, tmp_path: Path
) -> None:
    """It takes the number and removes the parts, which are sent again."""
    writer = meet()
    code = writer.tells(STORY[LANG])
    writer.goes_on()
    other = meet()
    other.returns(code)
    given = some_files()
    choose(writer, given)
    relay.fault = always("refuse", "POST", WHOLE)
    send(writer)
    writer.reads("De verbinding is weg")
    writer.page.click("[data-seal=stop-files]")
    writer.reads("Je bent gestopt")
    relay.fault = always("", "", "")
    other.says("Ertussen.", "Je bericht is verstuurd")
    send(writer)
    is_sent(writer)
    assert writer.messages == [STORY[LANG], "Ertussen.", "Zie de bijlagen."]
    contents = {name: data for name, _, data in given}
    assert at_the_desk(counsellor, tmp_path / "saved") == contents
