"""``check-site`` over a real Tor network on loopback, with nginx's installed settings."""

from pathlib import Path

import pytest

from tests.e2e.test_check_site_front import ALTERED, NOTHING, altering, found
from tests.support import fronts
from tests.support.fronted_box import placed
from tests.support.tor_network import NginxOnion, in_tor

CHECKS = 3


@in_tor
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_check_over_tor_passes_an_unaltered_site_and_names_each_alteration(tmp_path: Path) -> None:
    target = tmp_path / "front1" / "onion.sock"
    with NginxOnion(tmp_path / "tor", target).running() as network:
        proxy = f"socks5h://127.0.0.1:{network.port('client')}"
        changes = {fronts.ONION: network.onion}  # otherwise the settings are the installed ones
        with placed(
            tmp_path, seal=True, changes=changes, onion=network.onion, proxy=proxy
        ) as place:
            origins = f"http://{network.onion}", place.box.url
            # The desk has fetched at the domain; Tor finds a new onion address only after a while.
            network.until(lambda: "unreachable" not in found(place.els)[origins[0]], "way")
            for _ in range(CHECKS):
                assert found(place.els) == dict.fromkeys(origins, NOTHING)
            for name, altered in ALTERED.items():
                place.behind.handle = altering(altered)
                assert found(place.els) == dict.fromkeys(origins, altered.kinds), name
            place.quiet()
            assert found(place.els) == dict.fromkeys(origins, NOTHING)
