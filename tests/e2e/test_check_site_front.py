"""``check-site`` through the installed nginx settings, over Tor's socket and at a domain."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.desk.site_check import release
from dropbox_app.desk.site_check.compare import POLICY
from tests.support.between import Handle, Response
from tests.support.drop_box import Counsellor, run
from tests.support.fronted_box import NAME, ONION, Place, placed
from tests.support.recorder import Passed

Found = dict[str, frozenset[str]]  # the kinds of findings, by address of the site
NOTHING = frozenset[str]()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Yield a site whose pages seal messages. All settings of nginx are the installed ones."""
    with placed(tmp_path_factory.mktemp("installed"), seal=True, changes={}) as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Yield such a site without nginx's limits, which its desk has checked once."""
    with placed(tmp_path_factory.mktemp("site"), seal=True) as made:
        assert found(made.els) == dict.fromkeys(addresses(made), NOTHING)
        yield made


@pytest.fixture
def els(place: Place, tmp_path: Path) -> Iterator[Counsellor]:
    """Yield a copy of the desk after that check."""
    shutil.copytree(place.els.folder.parent, tmp_path / "els")
    yield Counsellor(tmp_path / "els")
    place.quiet()


def addresses(place: Place) -> tuple[str, str]:
    return f"http://{ONION}", place.box.url


def found(els: Counsellor) -> Found:
    """Check the site; return the kinds of findings at each of its addresses."""
    done = els.desk("check-site", "--json", check=False)
    (site,) = json.loads(done.stdout)
    assert done.returncode == (0 if site["same"] else 1)
    return {one["origin"]: frozenset(f["kind"] for f in one["findings"]) for one in site["results"]}


def test_unaltered_site_behind_the_installed_limits_passes(installed: Place) -> None:
    said = installed.els.desk("check-site").stdout
    assert said.count("No difference found") == 2
    assert said.count("over two Tor circuits.") == 1
    assert said.count("from this computer's own address") == 1, "the domain is on loopback"


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here")
def test_unaltered_site_passes_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over https the responses have one more header, which nginx's own pages have too."""
    certificate = tmp_path / "certificate"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "9", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", tmp_path / "key", "-out", certificate),
    )
    with certificate.open("a") as file:
        file.write((tmp_path / "key").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with placed(tmp_path, certificate=certificate) as made:
        assert made.box.url.startswith("https://")
        assert found(made.els) == dict.fromkeys(addresses(made), NOTHING)


Alter = Callable[[int, Response], Response]  # alters the response to the visitor of this number


class ForOne:
    """Alters a page for one of two visitors. Only in front of nginx can they be told apart."""

    def __init__(self, alter: Alter) -> None:
        self._alter = alter
        self._chosen: list[int] = []

    def __call__(self, visitor: int, response: Response) -> Response:
        self._chosen.append(visitor or len(self._chosen) % 2)
        chosen = self._chosen[-1] == self._chosen[0]
        return self._alter(visitor, response) if chosen else response


def changed(old: bytes, new: bytes) -> Alter:
    def alter(_visitor: int, response: Response) -> Response:
        assert old in response.body
        return replace(response, body=response.body.replace(old, new, 1))

    return alter


def loosened(_visitor: int, response: Response) -> Response:
    policy = response.header(POLICY)
    assert "script-src " in policy
    return response.with_header(POLICY, policy.replace("script-src ", "script-src 'unsafe-eval' "))


def missing(_visitor: int, response: Response) -> Response:
    return replace(response, status=404, body=b"")


@dataclass(frozen=True)
class Altered:
    """``path``: what is altered. ``make``: makes the alteration. ``kinds``: of its findings."""

    path: str
    make: Callable[[], Alter]
    kinds: frozenset[str]


SCRIPT = "/static/client-[0-9a-f]{16}[.]js"
ALTERED = {
    "a byte of the script": Altered(SCRIPT, lambda: changed(b"a", b"b"), frozenset({"file"})),
    "a page for one visitor": Altered(
        "/nl/safety", lambda: ForOne(changed(b"<h1>", b"<h1 >")), frozenset({"differs", "page"})
    ),
    "a loosened policy": Altered("/nl/report", lambda: loosened, frozenset({"policy"})),
    "a missing file": Altered("/static/style-.*", lambda: missing, frozenset({"missing"})),
    "another version": Altered(
        release.ADDRESS,
        lambda: changed(b'"version": "0.1.0"', b'"version": "9.9.9"'),
        frozenset({"version"}),
    ),
}


def altering(*those: Altered) -> Handle:
    """Return a program in the middle that makes these alterations at each address of the site."""
    made: dict[tuple[str, str], Alter] = {}

    def handle(visitor: int, asked: Passed, forward: Callable[[], Response]) -> Response:
        for one in those:
            if re.fullmatch(one.path, asked.target):
                (host,) = asked.header("Host")
                # A compressed response would hide what is to be replaced.
                asked.headers[:] = [h for h in asked.headers if h[0].lower() != "accept-encoding"]
                if (one.path, host) not in made:
                    made[one.path, host] = one.make()
                return made[one.path, host](visitor, forward())
        return forward()

    return handle


def play(place: Place, where: str, handle: Handle) -> tuple[str, ...]:
    """Alter what the site sends; return the addresses at which that is visible."""
    if where == "behind nginx":
        place.behind.handle = handle
        return addresses(place)
    place.tor.handle = handle
    return addresses(place)[:1]


WHERE = ("behind nginx", "before nginx")


def test_several_alterations_at_once_are_all_named(installed: Place) -> None:
    """A site of another version is not compared page by page, so the version stays as it is."""
    those = [altered for name, altered in ALTERED.items() if name != "another version"]
    kinds = NOTHING.union(*(one.kinds for one in those))
    try:
        installed.behind.handle = altering(*those)
        assert found(installed.els) == dict.fromkeys(addresses(installed), kinds)
    finally:
        installed.quiet()


@pytest.mark.long
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", ALTERED)
def test_single_alteration_is_named_alone(
    place: Place, els: Counsellor, name: str, where: str
) -> None:
    seen_at = play(place, where, altering(ALTERED[name]))
    for origin, those in found(els).items():
        assert those == (ALTERED[name].kinds if origin in seen_at else NOTHING), origin


@pytest.mark.long
@pytest.mark.parametrize("where", WHERE)
def test_swapped_card_is_named(place: Place, els: Counsellor, tmp_path: Path, where: str) -> None:
    thief = Counsellor(tmp_path / "thief")
    invitation = place.els.folder.parent / "invitation"
    thief.desk("init", invitation, "--name", NAME, "--kind", "external", "--proxy", place.tor.url)
    thief.desk("card", "--out", tmp_path / "card")
    card = (tmp_path / "card").read_text("utf-8")

    def handle(_visitor: int, asked: Passed, forward: Callable[[], Response]) -> Response:
        response = forward()
        if asked.target != "/api/site":
            return response
        fields: dict[str, Any] = json.loads(response.body)
        return replace(response, body=json.dumps(fields | {"cards": [card]}).encode())

    seen_at = play(place, where, handle)
    for origin, those in found(els).items():
        swapped = {"card_mine_gone", "card_swapped", "groups"}
        assert those == (swapped if origin in seen_at else NOTHING), origin
