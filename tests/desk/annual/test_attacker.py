"""The exact set of registers that could have produced the issued files, for random registers.

The attackers are the directors of all employers together, who have every file issued in every year,
and one employer's internal counsellor, who knows their own situations.
"""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.annual.report import OwnWords
from dropbox_app.desk.annual.suppression import BANDS, Form, band, form_for
from dropbox_app.desk.register import events as e
from dropbox_app.desk.register.categories import (
    CHANNELS,
    CONTACT_KINDS,
    MAIN_GROUPS,
    OUTCOMES,
    WITH,
)
from tests.desk.annual.worlds import YEARS, agreed, cases, day, issue
from tests.support.examples import at_most, half_at_most

HEADCOUNTS = {"Klein": 12, "Midden": 80, "Vaak": 240, "Groot": 400, "Reus": 1_500}
TERM_BAND = "Midden"  # its agreement asks for one band over three years
TOP = 45  # the most situations of one cell
LONG = 500  # examples with --long; one of all employers takes up to half a second

Counts = dict[tuple[str, int, str], int]
CELLS = [(name, year, group) for name in HEADCOUNTS for year in YEARS for group in MAIN_GROUPS]
FEW = st.sampled_from((0, 0, 0, 1, 2, 3, 5, 9, 10, 11, 19, 20, 38, 39, 40, TOP))
WORLDS = st.fixed_dictionaries(dict.fromkeys(CELLS, FEW))
SHARED = "Groot"  # also has an internal counsellor, in some worlds
Internal = dict[str, int]  # the internal counsellor's situations of each year, by main group
INTERNALS = st.dictionaries(st.sampled_from(MAIN_GROUPS), FEW)
# Cases of each year at that employer that are marked as counted by the internal counsellor.
MARKED = st.dictionaries(st.sampled_from(MAIN_GROUPS), st.sampled_from((0, 1, 2, 9)))


def register(counts: Counts, marked: Internal) -> list[e.Event]:
    """Return the register of a world: every employer and every case."""
    sheets = [
        one
        for name, headcount in HEADCOUNTS.items()
        for one in agreed(name, headcount, term_band=name == TERM_BAND)
    ]
    shared = {(SHARED, year, group): marked[group] for year in YEARS for group in marked}
    left = [replace(one, colleague_counts=True) for one in cases(shared, "marked-")]
    return [*sheets, *cases(counts), *left]


def issued(
    counts: Counts, names: tuple[str, ...] = tuple(HEADCOUNTS), internal: Internal | None = None,
    marked: Internal | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return every file that these directors receive: reports and bills of all years.

    With an internal counsellor, that employer's reports are joint ones.
    """
    events = register(counts, marked or {})
    joint = {SHARED: internal or None}
    return {
        name: issue(events, name, formats=("json", "csv"), joint=joint.get(name)) for name in names
    }


def besides(internal: Internal | None, marked: Internal | None) -> int:
    """Return what the shared employer's band contains besides the world's own cases.

    In a joint report, the internal counsellor's situations; in any other, the marked cases.
    """
    return sum((internal or marked or {}).values())


def printed(
    counts: Counts, internal: Internal | None = None, marked: Internal | None = None
) -> dict[tuple[str, str], list[int]]:
    """Return the sums that are printed as bands, by employer, slot and year."""
    found: dict[tuple[str, str], list[int]] = {}
    for name, headcount in HEADCOUNTS.items():
        by_year = {y: [counts[name, y, group] for group in MAIN_GROUPS] for y in YEARS}
        if name == TERM_BAND:
            found[name, "all"] = [sum(map(sum, by_year.values()))]
        elif form_for(headcount) is Form.B:
            others = besides(internal, marked) if name == SHARED else 0
            found[name, "all"] = [sum(by_year[year]) + others for year in YEARS]
        elif form_for(headcount) is Form.C:
            for at, group in enumerate(MAIN_GROUPS):
                found[name, group] = [by_year[year][at] for year in YEARS]
    return found


def bands(counts: Counts, internal: Internal, marked: Internal) -> dict[tuple[str, str], list[Any]]:
    """Return what should be printed for a world, by the rule alone."""
    sums = printed(counts, internal, marked)
    return {slot: [band(one) for one in of_slot] for slot, of_slot in sums.items()}


@half_at_most(LONG)
@given(WORLDS, WORLDS, INTERNALS, MARKED, MARKED)
def test_report_files_are_identical_exactly_when_their_bands_are_equal(
    one: Counts, other: Counts, internal: Internal, marked: Internal, left: Internal
) -> None:
    same = issued(one, internal=internal, marked=marked) == issued(
        other, internal=internal, marked=left
    )
    assert same == (bands(one, internal, marked) == bands(other, internal, left))


def elsewhere(counts: Counts, slot: tuple[str, str], at: int, wanted: int) -> Counts | None:
    """Return the same world with a different sum in one slot; None if no cells can produce it."""
    name, group = slot
    years = YEARS if name == TERM_BAND else (YEARS[at],)
    cells = [cell for cell in counts if cell[0] == name and cell[1] in years
             and group in {"all", cell[2]}]  # fmt: skip
    changed = dict(counts)
    for cell in cells:
        changed[cell] = min(TOP, wanted)
        wanted -= changed[cell]
    return changed if wanted == 0 else None


@at_most(LONG)
@given(WORLDS, st.data())
def test_count_can_have_any_value_in_its_band_and_no_other(
    counts: Counts, data: st.DataObject
) -> None:
    slot = data.draw(st.sampled_from(sorted(printed(counts))))
    at = data.draw(st.integers(0, len(printed(counts)[slot]) - 1))
    true = printed(counts)[slot][at]
    held = issued(counts, (slot[0],))
    edges = {edge for one in BANDS for edge in (one.low, one.high or TOP)}
    for wanted in {*edges, data.draw(st.integers(0, TOP))}:
        changed = elsewhere(counts, slot, at, wanted)
        if changed is not None:
            same = issued(changed, (slot[0],)) == held
            assert same == (band(wanted) == band(true))


@half_at_most(LONG)
@given(WORLDS, INTERNALS, MARKED, st.data())
def test_counts_of_all_employers_can_vary_together_within_their_bands(
    counts: Counts, internal: Internal, marked: Internal, data: st.DataObject
) -> None:
    changed = dict(counts)
    for slot, sums in printed(counts, internal, marked).items():
        known = besides(internal, marked) if slot[0] == SHARED else 0
        for at, true in enumerate(sums):
            shown = band(true)
            last = known + TOP if shown.high is None else shown.high
            wanted = data.draw(st.integers(max(shown.low, known), last))
            changed = elsewhere(changed, slot, at, wanted - known) or changed
    assert issued(changed, internal=internal, marked=marked) == issued(
        counts, internal=internal, marked=marked
    )


@given(st.integers(0, 60), st.integers(0, 60))
def test_internal_counsellor_learns_only_the_band_minus_their_own_count(
    own: int, internal: int
) -> None:
    cell = ("Groot", YEARS[0], "other")

    def shown(count: int) -> dict[str, bytes]:
        events = [*agreed("Groot", 400), *cases({cell: count})]
        return issue(events, "Groot", YEARS[:1], formats=("csv",), joint={"other": internal})

    # 80 stands for every count above it: the last band has no end.
    possible = [n for n in range(81) if band(n + internal) == band(own + internal)]
    assert not (possible[0] >= 1 and possible[-1] <= 9)
    held = shown(own)
    for count in {possible[0], possible[-1], max(0, possible[0] - 1), possible[-1] + 1} - {81}:
        assert (shown(count) == held) == (count in possible)


def test_report_in_form_a_contains_no_contact_figures() -> None:
    empty = dict.fromkeys(CELLS, 0)
    full = dict.fromkeys(CELLS, TOP)
    for name in ("Klein", "Vaak"):
        assert issued(empty, (name,)) == issued(full, (name,))


HIDDEN = st.lists(
    st.one_of(
        st.builds(
            e.Case, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), case=st.sampled_from(("a", "b", "c", "d")),
            label=st.text(max_size=9), main_group=st.sampled_from(("", *MAIN_GROUPS)),
            belongs_with=st.lists(st.sampled_from(("x", "y")), unique=True).map(tuple),
            colleague_counts=st.sampled_from((None, True)),
        ),
        st.builds(
            e.Contact, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), minutes=st.integers(0, 300),
            case=st.sampled_from(("", "a", "b")), channel=st.sampled_from(CHANNELS),
            how=st.sampled_from(CONTACT_KINDS), topic=st.sampled_from(MAIN_GROUPS),
            with_whom=st.lists(st.sampled_from(WITH), unique=True).map(tuple),
        ),
        st.builds(
            e.Complaint, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), case=st.sampled_from(("a", "b")),
        ),
        st.builds(
            e.Close, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), case=st.sampled_from(("a", "b")),
            outcome=st.sampled_from(OUTCOMES),
        ),
        st.builds(
            e.Hours, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), minutes=st.integers(0, 600),
        ),
        st.builds(
            e.Advice, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), minutes=st.integers(0, 600),
        ),
        st.builds(
            e.Statistic, date=st.just(day(YEARS[0], 0)), employer=st.just("Klein"),
            situations=st.integers(0, 1),
        ),
        st.builds(
            e.Step, date=st.builds(day, st.sampled_from(YEARS), st.integers(0, 50)),
            employer=st.just("Klein"), case=st.just("a"), step=st.text(max_size=9),
        ),
    ),
    max_size=25,
)  # fmt: skip
SEEN: list[e.Event] = [
    *agreed("Klein", 12),
    e.Checklist(date=day(2025, 3), employer="Klein", items={"poster": "no", "room": "yes"}),
    e.Checklist(date=day(2026, 3), employer="Klein", items={"poster": "yes"}),
    e.Activity(date=day(2026, 9), employer="Klein", what="training", title="Aanspreken",
               people=11, price=600),
    e.Activity(date=day(2026, 9), employer="Klein", what="talk_with_management"),
    e.Upkeep(date=day(2026, 9), what="training", minutes=480),
]  # fmt: skip


@at_most(LONG)
@given(HIDDEN, HIDDEN)
def test_differences_hidden_from_the_employer_do_not_change_the_report_bytes(
    one: list[e.Event], other: list[e.Event]
) -> None:
    for language in ("nl", "en"):
        assert issue([*SEEN, *one], "Klein", language=language) == issue(
            [*SEEN, *other], "Klein", language=language
        )


def test_differences_hidden_from_the_employer_do_not_change_the_pdf_pages() -> None:
    hidden = cases({("Klein", year, group): 30 for year in YEARS for group in MAIN_GROUPS})
    assert issue(SEEN, "Klein", formats=("pdf",)) == issue(
        [*SEEN, *hidden], "Klein", formats=("pdf",)
    )


def test_equal_bands_and_words_give_identical_bytes_in_forms_b_and_c() -> None:
    for name, headcount in (("Groot", 400), ("Reus", 1_500)):
        words = OwnWords("Mensen zeggen weinig.", "De drempel is hoog.")
        few = {(name, year, "other"): 1 for year in YEARS}
        many = {(name, year, "other"): 9 for year in YEARS}
        held = [
            issue([*agreed(name, headcount), *cases(cells)], name, own=words,
                  formats=("md", "html", "csv", "json", "pdf"))
            for cells in (few, many)
        ]  # fmt: skip
        assert held[0] == held[1]
