"""Sealed files that a browser sends in parts, and fetches from any byte on (SPEC section 6)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dropbox_app.protocol import age
from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.protocol.encoding import sha256_hex, to_line
from dropbox_app.protocol.messages import Attachment
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.config.settings import Limits, Reporter
from dropbox_app.server.mailboxes.purge import purge
from tests.server.web.conftest import Counsellor, House
from tests.server.web.test_reporter_api import NOWHERE, sealing_browser
from tests.support.sealing_browser import OPENING, Answer, SealingBrowser

MIB = 1024 * 1024


@pytest.fixture
def sealing(tmp_path: Path) -> Iterator[House]:
    """Yield a site where browsers seal."""
    made = House(
        tmp_path / "sealing",
        ("Noor Visser",),
        reporter=Reporter(seal_in_browser=True),
        limits=Limits(free_bytes=1, file=20 * MIB, mailbox_bytes=64 * MIB),
    )
    yield made
    made.close()


@pytest.fixture
def noor(sealing: House) -> Counsellor:
    return sealing.counsellors[0]


@pytest.fixture
def browser(sealing: House, noor: Counsellor) -> SealingBrowser:
    made = sealing_browser(sealing)
    made.report("Kijk.", noor.identity)
    return made


@pytest.fixture
def film(browser: SealingBrowser) -> tuple[Attachment, list[bytes]]:
    """Return a sealed file of three parts."""
    attachment, sealed = browser.seal_file("film.mp4", bytes(range(256)) * (9 * MIB // 256))
    return attachment, cut(sealed)


def cut(sealed: bytes) -> list[bytes]:
    return [sealed[at : at + FILE_PART] for at in range(0, len(sealed), FILE_PART)]


def send(browser: SealingBrowser, part: bytes) -> Answer:
    return browser.ask("PUT", f"/api/files/parts/{sha256_hex(part)}", part)


def join(browser: SealingBrowser, item: str, parts: Sequence[bytes]) -> Answer:
    line = to_line({"parts": [sha256_hex(part) for part in parts]})
    return browser.ask("POST", f"/api/files/{item}", line, headers=OPENING)


def kept(sealing: House) -> list[str]:
    """Return the names of the files beside the database."""
    return sorted(path.name for path in (sealing.folder / "files").iterdir())


def test_file_sent_in_parts_is_delivered_like_a_file_sent_in_one_piece(
    sealing: House,
    noor: Counsellor,
    browser: SealingBrowser,
    film: tuple[Attachment, list[bytes]],
) -> None:
    attachment, parts = film
    assert len(parts) == 3
    for part in parts:
        assert (send(browser, part).status, send(browser, part).json) == (200, {}), "and again"
    assert [item["what"] for item in browser.listed()["items"]] == ["message"], "not shown"
    for _ in range(2):
        joined = join(browser, attachment.sha256, parts)
        assert (joined.status, joined.json) == (200, {"missing": []}), "and again"
    assert kept(sealing) == [attachment.sha256], "no part is left"
    browser.write("Zie de film.", (attachment,))
    opened = noor.house.mailboxes.item_for(noor.identity, attachment.sha256)
    assert opened is not None
    with opened.file as file:
        assert file.read() == b"".join(parts)
    assert join(browser, attachment.sha256, parts).json == {"missing": []}, "after the message too"


def test_missing_parts_are_named_and_can_be_sent_in_any_order(
    browser: SealingBrowser, film: tuple[Attachment, list[bytes]]
) -> None:
    attachment, parts = film
    ids = [sha256_hex(part) for part in parts]
    assert join(browser, attachment.sha256, parts).json == {"missing": ids}
    send(browser, parts[2])
    send(browser, parts[0])
    assert join(browser, attachment.sha256, parts).json == {"missing": [ids[1]]}
    send(browser, parts[1])
    assert join(browser, attachment.sha256, parts).json == {"missing": []}


@pytest.mark.parametrize(
    ("name", "arranged"),
    [
        ("swapped", lambda parts: [parts[1], parts[0], parts[2]]),
        ("one left out", lambda parts: parts[:-1]),
        ("one of another file", lambda parts: [*parts, b"x" * 1000]),
    ],
)
def test_parts_that_do_not_form_the_file_are_refused(
    browser: SealingBrowser,
    film: tuple[Attachment, list[bytes]],
    name: str,
    arranged: Callable[[list[bytes]], list[bytes]],
) -> None:
    attachment, parts = film
    for part in {*parts, *arranged(parts)}:
        send(browser, part)
    assert join(browser, attachment.sha256, arranged(parts)).status == 422, name
    for part in parts:
        send(browser, part)
    assert join(browser, attachment.sha256, parts).json == {"missing": []}


def test_joined_parts_must_be_a_sealed_file(browser: SealingBrowser) -> None:
    """The server does not keep a plain text because it came in parts."""
    plain = [b"a" * FILE_PART, b"b" * 1000]
    for part in plain:
        assert send(browser, part).status == 200
    assert join(browser, sha256_hex(b"".join(plain)), plain).status == 422
    browser.write("Zonder bestand.")
    assert {item["what"] for item in browser.listed()["items"]} == {"message"}


def test_parts_sent_in_another_conversation_count_as_missing(
    sealing: House,
    noor: Counsellor,
    browser: SealingBrowser,
    film: tuple[Attachment, list[bytes]],
) -> None:
    """They look like parts that do not exist, and stay where they are."""
    attachment, parts = film
    for part in parts:
        send(browser, part)
    stranger = sealing_browser(sealing)
    stranger.report("Van een ander.", noor.identity)
    ids = [sha256_hex(part) for part in parts]
    assert join(stranger, attachment.sha256, parts).json == {"missing": ids}
    assert send(stranger, parts[0]).status == 422
    assert join(browser, attachment.sha256, parts).json == {"missing": []}
    assert join(stranger, attachment.sha256, parts).json == {"missing": ids}


def test_part_of_wrong_length_or_id_is_refused(sealing: House, browser: SealingBrowser) -> None:
    for size, status in ((FILE_PART + 1, 413), (0, 400)):
        assert send(browser, bytes(size)).status == status
    assert browser.ask("PUT", f"/api/files/parts/{NOWHERE}", b"x").status == 422
    assert browser.ask("PUT", "/api/files/parts/x", b"x").status == 404
    assert browser.ask("PUT", f"/api/files/parts/{NOWHERE}").status == 400, "without a length"
    assert kept(sealing) == []
    assert len(sealing.store.items(browser.keys.mailbox)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"parts":[]}',
        b'{"parts":["x"]}',
        b'{"parts":["%b","%b"]}' % (b"a" * 64, b"a" * 64),
        b'{"parts":[%b]}' % b",".join(b'"%064x"' % n for n in range(7)),
        b'{"parts": ["%b"]}' % (b"a" * 64),
    ],
)
def test_malformed_list_of_parts_is_refused(browser: SealingBrowser, body: bytes) -> None:
    """Also one with more parts than the largest file has."""
    assert browser.ask("POST", f"/api/files/{NOWHERE}", body, headers=OPENING).status == 400


def test_list_of_parts_must_be_json_and_short(browser: SealingBrowser) -> None:
    line = to_line({"parts": [NOWHERE]})
    assert browser.ask("POST", f"/api/files/{NOWHERE}", line).status == 400
    long = browser.ask("POST", f"/api/files/{NOWHERE}", bytes(2_000), headers=OPENING)
    assert long.status == 413


def test_full_mailbox_accepts_no_more_parts(browser: SealingBrowser) -> None:
    """Of last parts, which may have any length, at most twice a message's files wait."""
    for number in range(64 // 4 - 2):
        assert send(browser, bytes([number]) * FILE_PART).status == 200
    statuses = [send(browser, bytes([number]) * FILE_PART).status for number in range(100, 105)]
    assert statuses[-1] == 507
    assert send(browser, b"x" * FILE_PART).json["full"] == "mailbox"
    other = [send(browser, bytes([number]) * 100).status for number in range(30)]
    assert (other.count(200), other[-1]) == (21, 507)


def test_parts_of_a_file_that_fills_the_mailbox_can_be_joined(tmp_path: Path) -> None:
    """Its parts are not counted beside it."""
    house = House(
        tmp_path / "small",
        reporter=Reporter(seal_in_browser=True),
        limits=Limits(free_bytes=1, mailbox_bytes=12 * MIB),
    )
    browser = sealing_browser(house)
    browser.report("Kijk.", house.counsellors[0].identity)
    attachment, sealed = browser.seal_file("groot.bin", bytes(8 * MIB))
    for part in cut(sealed):
        assert send(browser, part).status == 200
    assert join(browser, attachment.sha256, cut(sealed)).json == {"missing": []}
    assert house.store.used_by(browser.keys.mailbox) < 10 * MIB
    house.close()


def test_parts_are_removed_after_a_day_and_by_the_next_message_or_a_withdrawal(
    sealing: House, browser: SealingBrowser, film: tuple[Attachment, list[bytes]]
) -> None:
    attachment, parts = film
    for part in parts[:2]:
        send(browser, part)
    browser.write("Toch zonder film.")
    assert kept(sealing) == []
    for part in parts[:2]:
        send(browser, part)
    purge(sealing.site, sealing.store, sealing.clock.today())
    assert len(kept(sealing)) == 2, "today they stay"
    sealing.clock.pass_days(1)
    purge(sealing.site, sealing.store, sealing.clock.today())
    assert kept(sealing) == []
    ids = [sha256_hex(part) for part in parts]
    assert join(browser, attachment.sha256, parts).json == {"missing": ids}
    for part in parts:
        send(browser, part)
    assert browser.withdraw().status == 200
    assert kept(sealing) == []
    for got in (send(browser, parts[0]), join(browser, attachment.sha256, parts)):
        assert (got.status, got.json["refused"]) == (404, "gone")


def test_file_can_be_fetched_from_any_byte_position(
    browser: SealingBrowser, film: tuple[Attachment, list[bytes]]
) -> None:
    attachment, parts = film
    for part in parts:
        send(browser, part)
    join(browser, attachment.sha256, parts)
    browser.write("Zie de film.", (attachment,))
    sealed = b"".join(parts)
    target = f"/api/files/{attachment.sha256}"
    for start in (0, 1, 65_536, FILE_PART, len(sealed) - 1, len(sealed)):
        assert browser.ask("GET", f"{target}?from={start}").body == sealed[start:], start
    assert browser.ask("GET", f"{target}?from={len(sealed) + 1}").status == 400
    for query in ("?from=-1", "?from=x", "?from=01", "?from=1&from=2", "?part=1"):
        assert browser.ask("GET", target + query).status == 400, query


def test_message_names_no_more_files_than_the_site_allows(tmp_path: Path) -> None:
    limits = Limits(free_bytes=1, files_per_message=1)
    house = House(tmp_path / "few", reporter=Reporter(seal_in_browser=True), limits=limits)
    browser = sealing_browser(house)
    (to,) = (counsellor.identity for counsellor in house.counsellors)
    browser.report("Kijk.", to)
    target = f"/api/conversation/messages?n=2&to={to.hex}&files={NOWHERE}"
    assert browser.ask("POST", target, b"x").status == 422, "it is no sealed message"
    assert browser.ask("POST", f"{target}.{'a' * 64}", b"x").status == 400
    house.close()


@pytest.mark.parametrize("recipients", range(1, 7))
def test_no_complete_file_has_the_length_of_a_part(recipients: int) -> None:
    """By its length alone a part that waits is told from a file that waits."""
    near = {
        age.sealed_length(attachment_size(size), recipients)
        for size in range(FILE_PART - 300_000, FILE_PART + 300_000, 1_000)
    }
    assert FILE_PART not in near
    assert min(near) < FILE_PART < max(near)
