"""Cards, absence, posters, backup, settings and texts, each on its page."""

import io
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import settings, sites, snippets
from dropbox_app.desk.web import desk_lock
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.errors import WrongPassphrase
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Window
from tests.support.fake_server import Peer
from tests.support.plain_browser import Page as Answer

NEW = "heel andere woorden van nu"


@pytest.fixture
def window(running: Running) -> Window:
    return running.at_work()


def card_page(running: Running, window: Window) -> Answer:
    listed = window.get(f"{running.home}cards")
    return window.get(next(link for link in listed.links if "/cards/site/" in link))


PAGES = ("settings/all", "cards", "cards/new", "away", "posters", "backups", "settings", "texts")


@pytest.mark.parametrize("path", PAGES)
def test_locked_desk_shows_no_management_page(running: Running, path: str) -> None:
    window = running.window()
    assert 'data-page="unlock"' in window.get(running.home + path).html


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["nl", "en"])
def test_every_page_exists_in_both_languages(
    running: Running, window: Window, path: str, language: str
) -> None:
    running.page.language = language
    page = window.get(running.home + path)
    assert page.status == 200
    assert f'<html lang="{language}"' in page.html
    assert page.html.count("<h1") == 1


# cards


def test_each_employers_fingerprint_is_listed_and_shown_large(
    running: Running, window: Window, office: Office
) -> None:
    with running.lock.use() as place:
        (site,) = sites.sites(place)
    assert site.fingerprint in window.get(f"{running.home}cards").text
    page = card_page(running, window)
    assert all(f"<li>{group}</li>" in page.html for group in site.fingerprint.split())
    assert site.site not in page.html, "no address or page holds the site's id"


def test_changed_card_is_published_by_the_next_fetch(
    running: Running, window: Window, peer: Peer
) -> None:
    page = card_page(running, window)
    done = window.submit(page, page.form_with("scope"), name=" Els Visser ", languages=["nl", "en"])
    assert "volgende keer ophalen" in done.text
    running.fetch(window)
    (shown,) = map(cards.parse, peer.cards.values())
    assert (shown.name, shown.languages) == ("Els Visser", ("nl", "en"))


def test_invalid_card_is_refused_and_changes_nothing(running: Running, window: Window) -> None:
    page = card_page(running, window)
    answer = window.submit(page, page.form_with("scope"), name="")
    assert (answer.status, 'role="alert"' in answer.html) == (422, True)
    with running.lock.use() as place:
        assert place.one().state.profile.name == "Els de Vries"


def test_register_number_and_sentence_reach_the_site_as_typed(
    running: Running, window: Window, peer: Peer
) -> None:
    page = card_page(running, window)
    said = "Je mag ook\r\neerst\u200b iets vragen. "
    form = page.form_with("scope")
    window.submit(page, form, register_number=" LVV 1234 ", sentence_nl=said, sentence_en=" ")
    running.fetch(window)
    (shown,) = map(cards.parse, peer.cards.values())
    assert shown.register_number == "LVV 1234"
    assert shown.sentence == {"nl": "Je mag ook eerst iets vragen."}
    page = card_page(running, window)
    assert dict(page.form_with("scope").fields)["sentence_nl"] == "Je mag ook eerst iets vragen."


@pytest.mark.parametrize(
    ("field", "most"), [("register_number", 50), ("sentence_nl", 200), ("sentence_en", 200)]
)
def test_overlong_card_text_is_refused_and_stays_in_its_field(
    running: Running, window: Window, field: str, most: int
) -> None:
    page = card_page(running, window)
    long = "a" * (most + 1)
    answer = window.submit(page, page.form_with("scope"), **{field: long, "name": "Els Visser"})
    assert (answer.status, f"hoogstens {most} tekens" in answer.text) == (422, True)
    kept = dict(answer.form_with("scope").fields)
    assert (kept[field], kept["name"]) == (long, "Els Visser")
    with running.lock.use() as place:
        assert place.one().state.profile.name == "Els de Vries"


def test_profile_language_that_the_form_does_not_offer_is_kept(
    running: Running, window: Window
) -> None:
    said = {"pl": "Mo\u017cesz zapyta\u0107."}
    with running.lock.use() as place:
        sites.card(place, change=lambda old: replace(old, languages=("nl", "pl"), sentence=said))
    page = card_page(running, window)
    window.submit(page, page.form_with("scope"), name="Els Visser")
    with running.lock.use() as place:
        profile = place.one().state.profile
    assert (profile.name, profile.languages) == ("Els Visser", ("nl", "pl"))
    assert profile.sentence == said


def test_employer_can_be_added_and_its_card_saved(
    running: Running, window: Window, clock: object
) -> None:
    other = Peer(running.office.clock)
    asked = window.get(f"{running.home}cards/new")
    invitation = other.invitation("Bakkerij").decode()
    page = window.press(asked, "new", invitation=invitation, proxy="")
    assert "Bakkerij" in page.text
    saved = window.press(page, "/file")
    assert cards.parse(saved.body).site == other.site
    assert window.press(asked, "new", invitation=invitation, proxy="").status == 422


def test_cards_of_all_employers_are_saved_together_in_fingerprint_order(
    running: Running, window: Window
) -> None:
    assert "Bewaar alle kaarten" not in window.get(f"{running.home}cards").text
    asked = window.get(f"{running.home}cards/new")
    for name in ("Bakkerij", "Museum"):
        invitation = Peer(running.office.clock).invitation(name).decode()
        window.press(asked, "new", invitation=invitation, proxy="")
    listed = window.get(f"{running.home}cards")
    saved = window.press(listed, "/files")
    assert "filename=kaarten.zip" in (saved.header("content-disposition") or "")
    with zipfile.ZipFile(io.BytesIO(saved.body)) as packed:
        assert packed.namelist() == ["01.card", "02.card", "03.card"]
        groups = [cards.parse(packed.read(one)).identity.fingerprint() for one in packed.namelist()]
    assert sorted(groups, key=listed.html.index) == groups


def test_saved_files_are_named_in_the_page_language(running: Running, window: Window) -> None:
    for language, card, sheet in (
        ("nl", "kaart.card", "herstelblad.pdf"),
        ("en", "counsellor.card", "recovery-sheet.pdf"),
    ):
        running.page.language = language
        saved = window.press(card_page(running, window), "/file")
        printed = window.get(f"{running.home}backups/sheet")
        for made, name in ((saved, card), (printed, sheet)):
            assert (made.header("content-disposition") or "").endswith(f"filename={name}")


def test_addresses_can_be_changed_only_by_an_invitation_of_the_same_site(
    running: Running, window: Window, peer: Peer
) -> None:
    page = card_page(running, window)
    moved = window.press(page, "move", invitation=peer.invitation("Nieuwe naam").decode())
    assert "Nieuwe naam" in moved.text
    other = Peer(running.office.clock).invitation().decode()
    assert "andere werkgever" in window.press(page, "move", invitation=other).text


# absence


def test_absence_can_be_announced_on_the_site_and_ended(
    running: Running, window: Window, peer: Peer
) -> None:
    page = window.get(f"{running.home}away")
    done = window.press(page, "away", until="2027-02-14", what="away")
    assert "14 februari" in done.text.replace("\u00a0", " ")
    (shown,) = map(cards.parse, peer.cards.values())
    assert shown.away is not None
    assert shown.away.until.isoformat() == "2027-02-14"
    done = window.press(window.get(f"{running.home}away"), "away", what="back", until="")
    assert "er weer bent" in done.text
    (shown,) = map(cards.parse, peer.cards.values())
    assert shown.away is None


@pytest.mark.parametrize("until", ["", "gisteren", "2027-13-01", "2020-01-01", "1-2"])
def test_impossible_date_is_refused_and_nothing_announced(
    running: Running, window: Window, until: str
) -> None:
    answer = window.press(window.get(f"{running.home}away"), "away", until=until)
    assert (answer.status, "Er is niets veranderd" in answer.text) == (422, True)
    with running.lock.use() as place:
        assert place.one().state.away is None


def test_common_date_formats_are_accepted(running: Running, window: Window) -> None:
    window.press(window.get(f"{running.home}away"), "away", until="14-2-2027")
    with running.lock.use() as place:
        away = place.one().state.away
    assert away is not None
    assert away.until.isoformat() == "2027-02-14"


def test_failure_to_reach_a_site_is_reported_on_the_page(
    running: Running, window: Window, peer: Peer
) -> None:
    peer.drop_after = 0
    done = window.press(window.get(f"{running.home}away"), "away", until="2027-02-14")
    assert (done.status, 'class="alarm"' in done.html) == (200, True)


def test_unknown_stand_in_is_reported_next_to_the_field_and_changes_nothing(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}away")
    done = window.press(page, "away", until="2027-02-14", stand_in="Bas de Wit")
    assert "wat je invulde als vervanger" in done.text
    assert "Er is niets veranderd." in done.text
    with running.lock.use() as place:
        assert place.one().state.away is None


# posters


@pytest.mark.parametrize(
    ("kind", "starts"), [("poster", b"%PDF"), ("cards", b"%PDF"), ("text", b"V")]
)
def test_poster_can_be_downloaded(
    running: Running, window: Window, kind: str, starts: bytes
) -> None:
    page = window.get(f"{running.home}posters")
    site = page.html.partition('<option value="')[2].partition('"')[0]
    made = window.press(page, "posters", site=site, kind=kind, language="nl", phone="06", hours="")
    assert made.status == 200
    assert made.body.startswith(starts)
    assert (made.header("content-disposition") or "").startswith("attachment; filename=")
    assert made.header("cache-control") == "no-store"


# backup


def test_backup_is_made_and_rehearsed(
    thread: str, running: Running, window: Window, tmp_path: Path
) -> None:
    page = window.get(f"{running.home}backups")
    path = tmp_path / "stick.age"
    assert 'data-page="backup-made"' in window.press(page, "make", path=str(path)).html
    tried = window.press(page, "try", path=str(path), passphrase=PASSPHRASE)
    assert "1 gesprek, 1 bericht, 0 bestanden" in tried.text
    wrong = window.press(page, "try", path=str(path), passphrase="x" * 20)
    assert (wrong.status, "wachtzin klopt niet" in wrong.text) == (422, True)
    again = window.press(page, "make", path=str(path))
    assert (again.status, str(path) in again.html) == (422, True)


@pytest.mark.parametrize("path", ["", "desk.age", "../desk.age", "/nowhere/desk.age"])
def test_backup_requires_an_absolute_path(running: Running, window: Window, path: str) -> None:
    answer = window.press(window.get(f"{running.home}backups"), "make", path=path)
    assert (answer.status, 'role="alert"' in answer.html) == (422, True)


def test_recovery_sheet_can_be_downloaded(running: Running, window: Window) -> None:
    sheet = window.get(f"{running.home}backups/sheet")
    assert sheet.body.startswith(b"%PDF")
    assert PASSPHRASE.encode() not in sheet.body


def test_backup_and_passphrase_change_are_refused_during_a_fetch(
    running: Running, window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch writes to the database and the vault while pages stay available."""
    monkeypatch.setattr(desk_lock, "PATIENCE", 0.2)
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        with running.lock.use() as place, running.lock.send_away(place.names()) as back:
            for site in place.names():
                back(site)  # its last site has finished, but the fetch has not
            begun.set()
            over.wait(60)

    page, chosen = window.get(f"{running.home}backups"), window.get(f"{running.home}settings")
    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    try:
        answer = window.press(page, "make", path=str(tmp_path / "b.age"))
        assert (answer.status, "over een minuut opnieuw" in answer.text) == (422, True)
        form = chosen.form_with("old")
        answer = window.submit(chosen, form, old=PASSPHRASE, passphrase=NEW, again=NEW)
        assert (answer.status, "over een minuut opnieuw" in answer.text) == (422, True)
    finally:
        over.set()
        thread.join()
    assert not (tmp_path / "b.age").exists()
    assert window.press(page, "make", path=str(tmp_path / "b.age")).status == 200


# settings


def test_settings_apply_immediately_and_after_the_next_unlock(
    running: Running, window: Window
) -> None:
    page = window.get(f"{running.home}settings")
    done = window.submit(
        page, page.form_with("lock_minutes"), language="en", lock_minutes="3", fetch_minutes="0"
    )
    assert "Saved." in done.text
    assert (running.lock.idle_minutes, running.fetching.every_minutes) == (3, 0)
    window.press(done, "lock")
    running.page.language, running.lock.idle_minutes = "nl", 10
    window.press(window.get(running.home), "unlock", passphrase=PASSPHRASE)
    assert (running.page.language, running.lock.idle_minutes) == ("en", 3)


@pytest.mark.parametrize("minutes", ["0", "61", "x", "-1", "99999999"])
def test_out_of_range_setting_is_refused(running: Running, window: Window, minutes: str) -> None:
    page = window.get(f"{running.home}settings")
    answer = window.submit(page, page.form_with("lock_minutes"), lock_minutes=minutes)
    assert (answer.status, 'role="alert"' in answer.html) == (422, True)
    assert running.lock.idle_minutes == 10


def test_passphrase_can_be_changed_only_with_the_current_one(
    running: Running, window: Window, office: Office
) -> None:
    page = window.get(f"{running.home}settings")
    form = page.form_with("old")
    wrong = window.submit(page, form, old="iets heel anders 123", passphrase=NEW, again=NEW)
    assert (wrong.status, NEW in wrong.html) == (422, False)
    differs = window.submit(page, form, old=PASSPHRASE, passphrase=NEW, again=NEW + "x")
    assert differs.status == 422
    done = window.submit(page, form, old=PASSPHRASE, passphrase=NEW, again=NEW)
    assert "wachtzin is veranderd" in done.text
    window.press(done, "lock")
    with pytest.raises(WrongPassphrase), office.open():
        pass
    with workplace.opened(office.folder, NEW, office.machine):
        pass


def test_proxy_for_all_sites_can_be_chosen(running: Running, window: Window) -> None:
    page = window.get(f"{running.home}settings")
    window.press(page, "proxy", proxy="socks5h://127.0.0.1:9050")
    with running.lock.use() as place:
        assert settings.proxy(place) == "socks5h://127.0.0.1:9050"
    assert window.press(page, "proxy", proxy="other", other="nonsense").status == 422
    assert window.press(page, "proxy", proxy="other", other=" ").status == 422
    with running.lock.use() as place:
        assert settings.proxy(place) == "socks5h://127.0.0.1:9050"
    window.press(page, "proxy", proxy="")
    with running.lock.use() as place:
        assert settings.proxy(place) == ""


# texts


def test_snippet_can_be_edited_and_restored(running: Running, window: Window) -> None:
    page = window.get(f"{running.home}texts/nl/listening")
    shipped = page.html.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
    own = window.press(page, "listening", text="Dag, fijn dat je schrijft.\nGroet")
    with running.lock.use() as place:
        kept = snippets.snippet(place, "listening", "nl")
    assert (kept.own, kept.text) == (True, "Dag, fijn dat je schrijft.\nGroet")
    assert "je eigen versie" in window.get(f"{running.home}texts").text
    back = window.submit(own, own.form_with("text"), 1)
    assert shipped in back.html
    with running.lock.use() as place:
        assert not snippets.snippet(place, "listening", "nl").own


def test_overlong_text_stays_in_the_field(running: Running, window: Window) -> None:
    page = window.get(f"{running.home}texts/nl/doubt")
    answer = window.press(page, "doubt", text="woord " * 2_000)
    assert (answer.status, "woord woord" in answer.html) == (422, True)
    assert window.get(f"{running.home}texts/nl/nothing").status == 409


@pytest.mark.parametrize("what", ["card", "texts", "away", "card-new"])
def test_form_submitted_while_locking_is_shown_again_after_unlock(
    running: Running, window: Window, what: str
) -> None:
    if what == "card":
        page, field, button = card_page(running, window), "sentence_nl", 0
        form = page.form_with("scope")
    elif what == "away":
        page, field, button = window.get(f"{running.home}away"), "stand_in", 0
        form = page.form_with("until")
    elif what == "card-new":
        page, field, button = window.get(f"{running.home}cards/new"), "sentence_nl", 0
        form = page.form_with("proxy")
    else:
        listed = window.get(f"{running.home}texts")
        page = window.get(next(link for link in listed.links if "/texts/nl/" in link))
        form, field, button = page.form_with("text"), "text", 0
    running.lock.lock()
    asked = window.submit(page, form, button, **{field: "Iets heel anders."})
    assert (asked.status, "Iets heel anders." in asked.html) == (403, False)
    shown = window.press(asked, "unlock", passphrase=PASSPHRASE)
    assert "Iets heel anders." in shown.html
    assert f'data-page="{"snippet" if what == "texts" else what}"' in shown.html
