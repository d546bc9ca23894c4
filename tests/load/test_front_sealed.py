"""Sealing browsers behind nginx, with the limits of a real server."""

import os
import select
import socket
from collections.abc import Callable

import pytest

from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.protocol.encoding import sha256_hex, to_line
from dropbox_app.protocol.retrieval_code import derive_root
from dropbox_app.server.web.json_api import MOST_IDS
from tests.load.test_front_crowds import MIB, enter, held, upload
from tests.support.memory import memory_of
from tests.support.sealing_browser import OPENING, Answer, SealingBrowser
from tests.support.serving import Serving, wait_until

GONE = {"error": "no such conversation", "refused": "gone"}
NO_TOKEN = {"error": "the access token is missing", "refused": "other"}
PLACES, EACH = 12, 2  # sealed files in transfer: in total, and per circuit


def sealing_browser(serving: Serving, circuit: int) -> SealingBrowser:
    """Return a browser that seals messages; all its connections use one circuit."""

    def exchange(method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        page = serving.browser(circuit, cookies=False).exchange(method, target, body, headers)
        return Answer(page.status, page.body)

    return SealingBrowser(exchange)


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    """Return the connections that have received a response."""
    return select.select(connections, [], [], 0)[0]


def test_sealed_conversation_with_large_file_is_within_the_limits(
    serve: Callable[..., Serving],
) -> None:
    serving = serve(changes={}, seal_in_browser=True)
    noor = serving.house.counsellors[0]
    browser = sealing_browser(serving, 1)
    browser.report("Er is iets gebeurd.", noor.identity)
    attachment = browser.put_file("film.mp4", bytes(3 * MIB))
    browser.write("Zie de film.", (attachment,))
    said = [message.text for message in noor.only_thread().genuine()]
    assert said == ["Er is iets gebeurd.", "Zie de film."]
    got = browser.ask("GET", f"/api/files/{attachment.sha256}")
    assert (got.status, sha256_hex(got.body)) == (200, attachment.sha256)
    assert browser.withdraw().status == 200
    assert browser.ask("GET", "/api/conversation").status == 404


def test_url_for_the_largest_batch_of_messages_is_within_the_nginx_limit(
    serve: Callable[..., Serving],
) -> None:
    """nginx limits addresses; the server allows no more ids than fit."""
    serving = serve(changes={}, seal_in_browser=True)
    noor = serving.house.counsellors[0]
    browser = sealing_browser(serving, 1)
    report = browser.report("Er is iets gebeurd.", noor.identity)
    ids = [sha256_hex(report), *(f"{number:064x}" for number in range(MOST_IDS - 1))]
    assert browser.batch(ids) == [report, *([b""] * (MOST_IDS - 1))]


def test_parts_of_a_large_file_are_within_the_limits(serve: Callable[..., Serving]) -> None:
    """One circuit sends as many as it likes, one after the other: nginx only slows it down."""
    serving = serve(changes={}, seal_in_browser=True)
    noor = serving.house.counsellors[0]
    browser = sealing_browser(serving, 1)
    browser.report("Er is iets gebeurd.", noor.identity)
    attachment, sealed = browser.seal_file("film.mp4", bytes(6 * FILE_PART))
    parts = [sealed[at : at + FILE_PART] for at in range(0, len(sealed), FILE_PART)]
    for part in parts:
        assert browser.ask("PUT", f"/api/files/parts/{sha256_hex(part)}", part).status == 200
    line = to_line({"parts": [sha256_hex(part) for part in parts]})
    joined = browser.ask("POST", f"/api/files/{attachment.sha256}", line, headers=OPENING)
    assert (joined.status, joined.json) == (200, {"missing": []})
    browser.write("Zie de film.", (attachment,))
    got = browser.ask("GET", f"/api/files/{attachment.sha256}?from={FILE_PART}")
    assert got.body == sealed[FILE_PART:]


def test_app_refuses_sealed_file_without_a_conversation(
    serve: Callable[..., Serving],
) -> None:
    serving = serve(changes={}, seal_in_browser=True)
    browser = sealing_browser(serving, 1)
    got = browser.ask("PUT", f"/api/files/{'0' * 64}", bytes(3 * MIB))
    assert (got.status, got.json) == (404, GONE)
    got = browser.ask("PUT", f"/api/files/{'0' * 64}", bytes(3 * MIB), token=None)
    assert (got.status, got.json) == (401, NO_TOKEN)


def test_slow_sealed_files_use_separate_slots(
    serve: Callable[..., Serving],
) -> None:
    """A client without a free slot is told so; messages and the plain pages still work."""
    serving = serve(changes={}, seal_in_browser=True)
    noor = serving.house.counsellors[0]
    slow = sealing_browser(serving, 1)
    slow.report("Ik stuur veel.", noor.identity)
    head = (
        f"PUT /api/files/{'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\n"
        f"Authorization: Bearer {slow.token}\r\nContent-Length: {90 * MIB}\r\n\r\n"
    ).encode()
    # One too many on one circuit and one too many in total; nginx decides which are refused.
    circuits = [10 + n // EACH for n in range(PLACES)] + [10, 99]
    crowd = [serving.connect(circuit, head + bytes(10_000)) for circuit in circuits]
    with held(*crowd):
        wait_until(lambda: len(answered(crowd)) == len(crowd) - PLACES)
        for refused in answered(crowd):
            assert refused.recv(100).startswith(b"HTTP/1.1 503 ")
        slow.write("En ik schrijf verder.")
        browser = serving.browser(50)
        enter(browser)
        assert upload(browser, MIB).path == "/nl/conversation?sent=1"
    threads = noor.threads().values()
    arrived = [
        file.size for thread in threads for one in thread.genuine() for file in one.attachments
    ]
    assert arrived == [MIB]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads a process's memory")
def test_server_memory_never_contains_data_that_a_browser_sealed(
    serve: Callable[..., Serving],
) -> None:
    """All serving processes are searched right after use; only the token that was sent is found."""
    serving = serve(seal_in_browser=True, forked=False)
    noor = serving.house.counsellors[0]
    browser = sealing_browser(serving, 1)
    told, said, file = "vlinderslag in de kelder", "regenboog boven de haven", "krekels bij nacht"
    browser.report(told, noor.identity)
    noor.write("reply", {"text": said, "attachments": []})
    attachment = browser.put_file(f"{file}.txt", file.encode() * 40_000)
    browser.write(told, (attachment,))
    assert said in browser.texts()
    words = browser.words
    keys = browser.keys
    secrets = {
        "text": told.encode(),
        "reply": said.encode(),
        "file": file.encode(),
        "code": " ".join(words).encode(),
        "code in a form": "+".join(words).encode(),
        "root": derive_root(words, browser.site),
        "reply seed": keys.reply.raw,
        "signing seed": keys.signing.seed,
    }
    processes = [serving.process.pid, *serving.workers(), *serving.front.processes()]
    memories = {process: memory_of(process) for process in processes}
    found = {
        (name, process)
        for process, memory in memories.items()
        for name, secret in secrets.items()
        if secret in memory or secret.hex().encode() in memory
    }
    assert found == set()
    assert any(keys.access_token.hex().encode() in memory for memory in memories.values())
