"""``check-site`` against a real server, over real connections."""

from tests.support.drop_box import Counsellor, DropBox


def test_check_of_an_unaltered_server_finds_no_difference(both: tuple[DropBox, Counsellor]) -> None:
    _, counsellor = both
    counsellor.desk("fetch")
    for _ in range(2):
        done = counsellor.desk("check-site")
        assert "No difference found" in done.stdout
        assert "Both visits came from this computer's own address" in done.stdout


def test_stopped_server_is_reported_as_unreachable(both: tuple[DropBox, Counsellor]) -> None:
    box, counsellor = both
    counsellor.desk("fetch")
    box.stop()
    done = counsellor.desk("check-site", check=False)
    assert done.returncode == 1
    assert "could not be reached. Check again later." in done.stdout
