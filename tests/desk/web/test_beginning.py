"""The first run on the page: from the invitation to the card, and from a backup."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.desk.actions import backups, settings, sites
from dropbox_app.protocol import card as cards
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Seconds, Window
from tests.support.fake_server import Clock, Peer
from tests.support.plain_browser import Page as Answer

WHO = {"name": "Els de Vries", "kind": "internal", "scope": "both", "languages": "nl"}


@pytest.fixture
def empty(tmp_path: Path, peer: Peer, clock: Clock) -> Iterator[Running]:
    """Yield the page for a folder without a desk."""
    made = Running(Office(tmp_path / "desk", peer, clock), Seconds())
    try:
        yield made
    finally:
        made.close()


def begin(running: Running, window: Window) -> Answer:
    """Go through the first run up to the passphrase question; return that page."""
    asked = window.get(f"{running.home}first")
    you = window.press(asked, "first", invitation=running.office.peer.invitation().decode())
    assert 'data-page="first-you"' in you.html
    assert "Voorbeeld BV" in you.text
    chosen = window.press(you, "you", **WHO, proxy="")
    assert 'data-page="first-passphrase"' in chosen.html
    return chosen


def test_without_a_desk_the_link_opens_the_first_run_page(empty: Running) -> None:
    assert 'data-page="first"' in empty.window().get(empty.home).html
    assert not empty.office.folder.exists()


def test_invitation_and_passphrase_create_a_desk_and_show_the_fingerprint_to_read_out(
    empty: Running, peer: Peer
) -> None:
    window = empty.window()
    done = window.press(begin(empty, window), "passphrase", passphrase=PASSPHRASE, again=PASSPHRASE)
    assert 'data-page="first-card"' in done.html
    with empty.lock.use() as place:
        (site,) = sites.sites(place)
        assert settings.settings(place).language == "nl"
    assert all(f"<li>{group}</li>" in done.html for group in site.fingerprint.split())
    saved = window.press(done, "/file")
    card = cards.parse(saved.body)
    assert (card.name, card.kind, card.languages) == ("Els de Vries", "internal", ("nl",))
    assert card.identity.fingerprint() == site.fingerprint
    peer.add_card(saved.body)
    told = empty.fetch(window).text
    assert "Er is niets nieuws" in told
    assert "Je bent nu bereikbaar: je kaart staat op de site." in told
    assert "bereikbaar" not in empty.fetch(window).text


def test_failed_fetch_names_the_reason_and_can_be_tried_again(empty: Running) -> None:
    window = empty.window()
    window.press(begin(empty, window), "passphrase", passphrase=PASSPHRASE, again=PASSPHRASE)
    empty.fetch(window)  # the site does not have this desk's card yet
    page = window.get(f"{empty.home}fetch")
    told = page.text
    assert "<h1>Ophalen is niet gelukt</h1>" in page.html
    assert "Er is niets opgehaald." in told
    assert "De server kent deze werkplek nog niet" in told
    assert "niets nieuws" not in told
    assert "bereikbaar" not in told
    window.press(page, "fetch")
    empty.wait_for_fetch()
    assert "De server kent deze werkplek nog niet" in window.get(f"{empty.home}fetch").text


def test_nothing_is_written_before_the_passphrase_is_accepted(empty: Running) -> None:
    window = empty.window()
    asked = begin(empty, window)
    for given, again, said in (
        ("zo kort", "zo kort", "te kort"),
        ("a" * 30, "a" * 30, "herhaalt zichzelf"),
        (PASSPHRASE, PASSPHRASE + "x", "niet gelijk"),
    ):
        answer = window.press(asked, "passphrase", passphrase=given, again=again)
        assert (answer.status, said in answer.text) == (422, True)
        assert given not in answer.html
    assert not empty.office.folder.exists()


def drawn_on(page: Answer) -> str:
    return page.html.partition('<p class="drawn" translate="no">')[2].partition("<")[0]


def test_each_page_proposes_a_new_five_word_passphrase(empty: Running) -> None:
    window = empty.window()
    begin(empty, window)
    seen = {drawn_on(window.get(f"{empty.home}first/passphrase")) for _ in range(3)}
    assert len(seen) == 3
    assert {len(drawn.split()) for drawn in seen} == {5}


def test_typing_mistake_does_not_change_the_proposed_passphrase(empty: Running) -> None:
    window = empty.window()
    asked = begin(empty, window)
    first = drawn_on(asked)
    for _ in range(2):
        asked = window.press(asked, "passphrase", passphrase=first, again=f"{first}x")
        assert asked.status == 422
        assert drawn_on(asked) == first


@pytest.mark.parametrize("pasted", ["", "x", "{}", '{"v":1}'])
def test_invalid_invitation_is_reported_and_kept_in_the_field(empty: Running, pasted: str) -> None:
    window = empty.window()
    answer = window.press(window.get(f"{empty.home}first"), "first", invitation=pasted)
    assert (answer.status, 'role="alert"' in answer.html) == (422, True)
    assert pasted.replace('"', "&#34;") in answer.html


def test_card_errors_are_shown_before_a_passphrase_is_requested(empty: Running) -> None:
    window = empty.window()
    you = window.press(
        window.get(f"{empty.home}first"),
        "first",
        invitation=empty.office.peer.invitation().decode(),
    )
    for wrong in ({"name": ""}, {"name": "x" * 500}):
        answer = window.press(you, "you", **(WHO | wrong), proxy="")
        assert (answer.status, 'role="alert"' in answer.html) == (422, True)


def test_first_run_page_opened_too_early_leads_to_the_previous_one(
    empty: Running,
) -> None:
    window = empty.window()
    for path in ("first/you", "first/passphrase"):
        assert 'data-page="first"' in window.get(empty.home + path).html


def test_with_an_existing_desk_the_first_run_page_leads_to_the_unlock_page(
    running: Running,
) -> None:
    window = running.window()
    for path in ("first", "first/restore"):
        assert 'data-page="unlock"' in window.get(running.home + path).html


def test_backup_is_restored_from_a_path_and_from_an_upload(
    office: Office, thread: str, tmp_path: Path
) -> None:
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
    for way in ("path", "file"):
        again = Office(tmp_path / way / "desk", office.peer, office.clock)
        empty = Running(again, Seconds())
        try:
            window = empty.window()
            asked = window.get(f"{empty.home}first/restore")
            if way == "path":
                path = str(tmp_path / "b.age")
                done = window.press(asked, "restore", path=path, passphrase=PASSPHRASE)
            else:
                sealed = ("b.age", (tmp_path / "b.age").read_bytes())
                form = asked.form_to("restore")
                done = window.upload(asked, form, [sealed], passphrase=PASSPHRASE)
            assert 'data-page="restored"' in done.html
            assert empty.lock.is_open
        finally:
            empty.close()
        assert again.texts(thread) == ["Het gaat over mijn chef."]
        assert [path.name for path in again.folder.parent.iterdir()] == ["desk"]


def test_backup_that_cannot_be_opened_leaves_nothing_behind(
    empty: Running, office: Office, tmp_path: Path
) -> None:
    (tmp_path / "b.age").write_bytes(b"x")
    other = Office(tmp_path / "other" / "desk", office.peer, office.clock)
    running = Running(other, Seconds())
    try:
        window = running.window()
        asked = window.get(f"{running.home}first/restore")
        for fields in ({"path": str(tmp_path / "b.age")}, {"path": ""}, {"path": "/nowhere"}):
            answer = window.press(asked, "restore", **fields, passphrase=PASSPHRASE)
            assert (answer.status, 'role="alert"' in answer.html) == (422, True)
    finally:
        running.close()
    assert not other.folder.exists()
