"""``check-site`` against a real server, over real connections."""

import pytest

from tests.support.drop_box import Counsellor, DropBox
from tests.support.fronted_box import let_browsers_seal
from tests.support.programs import needs_faketime
from tests.support.wrong_clock import Off

CHECKS = 100  # with --long, for each setting
# Days since the desk's last fetch: the site says that it does not fetch, and then the card expires.
DAYS = (0, 1, 2, 9, 40, 100, 150, 170, 300, 366)
SOME_DAYS = (170,)


def test_check_of_an_unaltered_server_finds_no_difference(both: tuple[DropBox, Counsellor]) -> None:
    _, counsellor = both
    counsellor.desk("fetch")
    for _ in range(2):
        done = counsellor.desk("check-site")
        assert "No difference found" in done.stdout
        assert "Both visits came from this computer's own address" in done.stdout


@needs_faketime
@pytest.mark.timeout(1800)  # for a hundred checks
@pytest.mark.parametrize("seal", [True, pytest.param(False, marks=pytest.mark.long)])
def test_every_check_of_an_unaltered_server_passes_on_any_day(
    box: DropBox, counsellor: Counsellor, seal: bool, long_run: bool
) -> None:
    """A hundred checks on ten days with --long, and two on one day by default."""
    counsellor.desk("fetch")
    if seal:
        let_browsers_seal(box)
    off = Off(box)
    for day in DAYS if long_run else SOME_DAYS:
        off.by(day)
        for number in range(CHECKS // len(DAYS) if long_run else 2):
            done = counsellor.desk("check-site", check=False)
            assert done.returncode == 0, f"day {day}, check {number}: {done.stdout}"
            assert "No difference found" in done.stdout
