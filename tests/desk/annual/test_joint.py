"""Two counsellors of one employer exchange sealed counts and make one joint report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.desk.actions import annual, corrections, joint, register
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.events import Contact, Joint
from dropbox_app.desk.register.form import Refused
from dropbox_app.protocol.encoding import Json
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer

LINES: list[dict[str, object]] = [
    {"event": "employer", "date": "2024-01-01", "employer": "Zorg"},
    {"event": "agreement", "date": "2024-01-01", "employer": "Zorg", "headcount": 400,
     "until": "2027-12-31", "shared_with": "De ander"},
]  # fmt: skip
Named = dict[str, Office]


def talked(count: int) -> str:
    """Return the lines of a register with the given number of contacts in 2025."""
    contacts = [{"event": "contact", "date": f"2025-04-{day:02}", "employer": "Zorg"}
                for day in range(1, count + 1)]  # fmt: skip
    return "".join(json.dumps(one) + "\n" for one in [*LINES, *contacts])


@pytest.fixture
def two(tmp_path: Path, peer: Peer, clock: Clock) -> Named:
    """Return an internal counsellor with four talks, an external one with seven, and the cards."""
    found = {}
    for name, count in (("intern", 4), ("extern", 7)):
        found[name] = Office(tmp_path / name, peer, clock, name.capitalize())
        found[name].set_up()
        found[name].run("register", "import", "-", given=talked(count))
        found[name].run("card", "--out", str(tmp_path / f"{name}.card"))
    return found


@pytest.fixture
def export(two: Named, tmp_path: Path) -> Callable[..., Path]:
    def made(name: str = "counts.age", giver: str = "intern", taker: str = "extern") -> Path:
        out = tmp_path / name
        card = str(tmp_path / f"{taker}.card")
        two[giver].run("annual", "counts", "export", "Zorg", "2025", "--to", card,
                       "--out", str(out), given="y\n")  # fmt: skip
        return out

    return made


def test_joint_report_shows_only_the_band_of_the_sum(
    two: Named, export: Callable[..., Path]
) -> None:
    assert "together with De ander" in two["extern"].run("annual", "Zorg", "2025", code=1).stderr
    asked = two["extern"].run("annual", "counts", "import", str(export()), given="y\n")
    assert two["intern"].identity.fingerprint() in asked.stderr
    two["extern"].run("annual", "Zorg", "2025", "--freeze")
    printed = two["extern"].run("annual", "Zorg", "2025", "--format", "json").stdout
    assert "10 tot en met 19" in printed
    assert "Intern" not in printed


def test_counsellor_who_exported_counts_cannot_issue_a_report_of_their_own(
    two: Named, export: Callable[..., Path], tmp_path: Path
) -> None:
    export()
    assert "were given to Extern" in two["intern"].run("annual", "Zorg", "2025", code=1).stderr
    back = export("back.age", "extern", "intern")
    told = two["intern"].run("annual", "counts", "import", str(back), given="y\n", code=1)
    assert "one of you makes the report" in told.stderr


def test_only_the_colleague_can_open_a_file_of_counts_and_all_such_files_have_equal_length(
    two: Named, export: Callable[..., Path], tmp_path: Path
) -> None:
    first = export()
    busy = talked(25).replace("Zorg", "Bouw")
    two["intern"].run("register", "import", "-", given=busy)
    other = tmp_path / "other.age"
    two["intern"].run("annual", "counts", "export", "Bouw", "2025", "--to",
                      str(tmp_path / "extern.card"), "--out", str(other), given="y\n")  # fmt: skip
    assert len(first.read_bytes()) == len(other.read_bytes())
    assert b"Zorg" not in first.read_bytes()
    own = two["intern"].run("annual", "counts", "import", str(first), given="y\n", code=1)
    assert "no counts for this desk" in own.stderr
    spoilt = tmp_path / "spoilt.age"
    *there, last = first.read_bytes()
    spoilt.write_bytes(bytes([*there, last ^ 1]))
    two["extern"].run("annual", "counts", "import", str(spoilt), given="y\n", code=1)


def test_exporting_counts_closes_the_year_and_exporting_again_gives_the_same_counts(
    two: Named, export: Callable[..., Path], tmp_path: Path
) -> None:
    # Two counts would show the colleague what was recorded between them.
    export()
    late = json.dumps({"event": "contact", "date": "2025-05-01", "employer": "Zorg"})
    told = two["intern"].run("register", "import", "-", given=late, code=1).stderr
    assert "the counts of 2025 were given to 'Extern'" in told
    later = late.replace("2025", "2026").replace("contact", "case").replace("}", ', "case": "N"}')
    two["intern"].run("register", "import", "-", given=later)
    with two["intern"].open() as place:
        fields: dict[str, Json] = {"event": "contact", "date": "2026-01-02", "employer": "Zorg"}
        for number, one in register.numbered(place, "Zorg"):
            if isinstance(one, Contact):
                for values in (None, fields):
                    with pytest.raises(Refused, match="were given to"):
                        corrections.correct(place, number, values)
        before = register.every(place)
    again = export("again.age")
    with two["intern"].open() as place:
        assert register.every(place) == before
    two["extern"].run("annual", "counts", "import", str(again), given="y\n")
    with two["extern"].open() as place:
        (taken,) = (one for one in register.every(place) if isinstance(one, Joint))
    assert sum(taken.situations.values()) == 4


def test_exported_counts_stay_the_same_after_employers_are_merged(
    two: Named, export: Callable[..., Path]
) -> None:
    export()
    line = json.dumps({"event": "contact", "date": "2025-05-01", "employer": "Zorghuis"})
    two["intern"].run("register", "import", "-", given=line)
    two["intern"].run("register", "rename", "Zorghuis", "Zorg", "--yes")
    two["extern"].run("annual", "counts", "import", str(export("again.age")), given="y\n")
    with two["extern"].open() as place:
        (taken,) = (one for one in register.every(place) if isinstance(one, Joint))
    assert sum(taken.situations.values()) == 4


@pytest.mark.parametrize("direction", ["given", "taken"])
def test_employer_with_exchanged_counts_cannot_be_merged_into_one_with_a_report(
    two: Named, export: Callable[..., Path], direction: str
) -> None:
    made = export()
    desk = two["intern"]
    if direction == "taken":
        desk = two["extern"]
        desk.run("annual", "counts", "import", str(made), given="y\n")
    frozen = {"event": "freeze", "date": "2026-02-01", "employer": "Zorghuis",
              "first_year": 2025, "last_year": 2025}  # fmt: skip
    desk.run("register", "import", "-", given=json.dumps(frozen))
    for old, new in (("Zorg", "Zorghuis"), ("Zorghuis", "Zorg")):
        told = desk.run("register", "rename", old, new, "--yes", code=1).stderr
        assert "a report or exchanged counts of 2025" in told


def test_merged_employers_agreement_cannot_change_exchanged_counts(
    two: Named, export: Callable[..., Path]
) -> None:
    export()
    alone = {"event": "agreement", "date": "2024-01-01", "employer": "Zorghuis", "headcount": 400,
             "until": "2027-12-31"}  # fmt: skip
    two["intern"].run("register", "import", "-", given=json.dumps(alone))
    told = two["intern"].run("register", "rename", "Zorghuis", "Zorg", "--yes", code=1).stderr
    assert "counts of 2025 were exchanged with 'Extern' under this agreement" in told


def test_counts_with_unconfirmed_fingerprint_are_neither_exported_nor_imported(
    two: Named, export: Callable[..., Path], tmp_path: Path
) -> None:
    two["extern"].run("annual", "counts", "import", str(export()), given="n\n", code=1)
    assert "together with" in two["extern"].run("annual", "Zorg", "2025", code=1).stderr
    out = tmp_path / "no.age"
    card = str(tmp_path / "intern.card")
    two["extern"].run("annual", "counts", "export", "Zorg", "2025", "--to", card,
                      "--out", str(out), given="n\n", code=1)  # fmt: skip
    assert not out.exists()


def test_counts_are_not_exported_to_a_card_without_a_current_key_and_the_year_stays_open(
    two: Named, tmp_path: Path, clock: Clock
) -> None:
    clock.to("2027-12-01")  # the card in the file is outdated by now
    raw = (tmp_path / "extern.card").read_bytes()
    with two["intern"].open() as place:
        for refused in (
            lambda: joint.colleague(place, raw),
            lambda: joint.give(place, "Zorg", "2025", raw, lambda *_: True),
        ):
            with pytest.raises(Unfit, match="Ask for a new card"):
                refused()
        assert not [one for one in register.every(place) if isinstance(one, Joint)]


@pytest.mark.parametrize(
    ("headcount", "shared", "told"),
    [(12, "De ander", "has no figures"), (400, None, "names no other counsellor")],
)
def test_counts_that_no_report_needs_are_not_exported(
    two: Named, tmp_path: Path, headcount: int, shared: str | None, told: str
) -> None:
    changed = {"employer": "Klein", "headcount": headcount, "shared_with": shared}
    lines = json.dumps(LINES[0] | {"employer": "Klein"}), json.dumps(LINES[1] | changed)
    two["intern"].run("register", "import", "-", given="\n".join(lines))
    said = two["intern"].run(
        "annual", "counts", "export", "Klein", "2025", "--to", str(tmp_path / "extern.card"),
        "--out", str(tmp_path / "c.age"), given="y\n", code=1,
    )  # fmt: skip
    assert told in said.stderr
    if headcount == 12:  # this form needs nobody else's counts
        two["intern"].run("annual", "Klein", "2025")


@pytest.fixture
def third(two: Named, tmp_path: Path, peer: Peer, clock: Clock) -> Office:
    """Return a third counsellor of the same employer, with three talks and a card."""
    made = Office(tmp_path / "derde", peer, clock, "Derde")
    made.set_up()
    made.run("register", "import", "-", given=talked(3))
    made.run("card", "--out", str(tmp_path / "derde.card"))
    two["derde"] = made
    return made


@pytest.mark.usefixtures("third")
def test_counts_exported_to_one_colleague_are_not_exported_to_another(
    two: Named, export: Callable[..., Path], tmp_path: Path
) -> None:
    # Both reports would contain them, so their difference would reveal the others' counts.
    export()
    out = tmp_path / "second.age"
    told = two["intern"].run(
        "annual", "counts", "export", "Zorg", "2025", "--to", str(tmp_path / "derde.card"),
        "--out", str(out), given="y\n", code=1,
    )  # fmt: skip
    assert "were given to Extern" in told.stderr
    assert not out.exists()
    export("again.age")


@pytest.mark.usefixtures("third")
def test_counts_of_second_colleague_do_not_replace_those_of_the_first(
    two: Named, export: Callable[..., Path]
) -> None:
    two["extern"].run("annual", "counts", "import", str(export()), given="y\n")
    second = str(export("second.age", "derde", "extern"))
    told = two["extern"].run("annual", "counts", "import", second, given="y\n", code=1)
    assert "you have the counts of 2025 from 'Intern'" in told.stderr
    two["extern"].run("annual", "counts", "import", str(export("again.age")), given="y\n")


@pytest.mark.parametrize("first", ["Extern", "Intern"])
def test_colleagues_with_the_same_name_are_distinguished_by_fingerprint(
    two: Named, export: Callable[..., Path], tmp_path: Path, peer: Peer, clock: Clock, first: str
) -> None:
    two["namesake"] = second = Office(tmp_path / "namesake", peer, clock, first)
    second.set_up()
    second.run("register", "import", "-", given=talked(3))
    card, out = tmp_path / "namesake.card", tmp_path / "second.age"
    second.run("card", "--out", str(card))
    two["extern"].run("annual", "counts", "import", str(export()), given="y\n")
    if first == "Extern":
        told = two["intern"].run("annual", "counts", "export", "Zorg", "2025", "--to", str(card),
                                 "--out", str(out), given="y\n", code=1)  # fmt: skip
        assert two["extern"].identity.fingerprint() in told.stderr
        assert not out.exists()
        return
    made = str(export("second.age", "namesake", "extern"))
    told = two["extern"].run("annual", "counts", "import", made, given="y\n", code=1)
    assert "of this name, with other ten groups" in told.stderr


def test_colleague_whose_name_was_corrected_gets_the_same_counts_again(
    two: Named, export: Callable[..., Path], tmp_path: Path
) -> None:
    two["extern"].run("annual", "counts", "import", str(export()), given="y\n")
    for name in ("intern", "extern"):
        card = tmp_path / f"{name}.card"
        card.unlink()
        two[name].run("card", "--name", f"{name.capitalize()} van Dijk", "--out", str(card))
    two["extern"].run("annual", "counts", "import", str(export("again.age")), given="y\n")


def test_exporting_counts_of_the_third_year_leaves_the_first_two_unexported(
    two: Named, tmp_path: Path, clock: Clock
) -> None:
    line = {**LINES[1], "employer": "Klein", "headcount": 80, "term_band": True,
            "until": "2026-12-31"}  # fmt: skip
    lines = json.dumps(LINES[0] | {"employer": "Klein"}), json.dumps(line)
    for desk in two.values():
        desk.run("register", "import", "-", given="\n".join(lines))
        desk.run("annual", "Klein", "2024", "--freeze")
    two["extern"].run("annual", "Klein", "2025", "--freeze")
    card, out = str(tmp_path / "extern.card"), str(tmp_path / "k.age")
    counts = ("annual", "counts", "export", "Klein", "2026", "--to", card, "--out", out)
    two["intern"].run(*counts, given="y\n")
    with two["intern"].open() as place:
        given = {year: annual.state(place, "Klein", year).given_to for year in (2024, 2025, 2026)}
    assert given == {2024: "", 2025: "", 2026: "Extern"}
    two["intern"].run("annual", "Klein", "2025", "--freeze")
    two["extern"].run("annual", "counts", "import", out, given="y\n")
    two["extern"].run("annual", "Klein", "2026", "--freeze")
    assert "were given to Extern" in two["intern"].run("annual", "Klein", "2026", code=1).stderr
