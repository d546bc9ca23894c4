"""The register data that a report and a bill use, and the data that they refuse."""

import datetime
import json
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dropbox_app.desk.annual import counting, gather
from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual.periods import Issued
from dropbox_app.desk.annual.suppression import Band, Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import events as e
from dropbox_app.desk.register import retention
from dropbox_app.desk.register.cases import in_order
from dropbox_app.desk.register.categories import MAIN_GROUPS
from tests.desk.annual.worlds import TODAY, agreed, cases, day, issue

YEAR = 2025


def made(events: list[e.Event], employer: str, **more: dict[str, int]) -> drafts.Draft:
    return drafts.draft(
        events, employer, YEAR, today=TODAY, counsellor="Noor Jansen", language="nl",
        joint=more.get("joint"),
    )  # fmt: skip


def test_situations_at_members_of_a_group_count_for_the_group() -> None:
    member = e.Employer(date=day(YEAR, 0), employer="Winkel", group="Holding")
    events = [*agreed("Holding", 400), member, *cases({("Winkel", YEAR, "other"): 12})]
    assert [one.band for one in made(events, "Holding").figures] == [Band(10, 19)]


CHAIN = [
    e.Employer(date=day(YEAR, 0), employer="Winkel", group="Regio"),
    e.Employer(date=day(YEAR, 0), employer="Regio", group="Holding"),
]


def test_situations_two_levels_below_a_group_count_for_the_group() -> None:
    events = [*agreed("Holding", 400), *CHAIN, *cases({("Winkel", YEAR, "other"): 12})]
    assert [one.band for one in made(events, "Holding").figures] == [Band(10, 19)]


@pytest.mark.parametrize(
    ("first", "second"), [("Holding", "Winkel"), ("Winkel", "Holding"), ("Regio", "Winkel")]
)
def test_in_a_three_level_group_an_ancestor_and_its_descendant_never_both_get_a_report(
    first: str, second: str
) -> None:
    events = [one for name in ("Holding", "Regio", "Winkel") for one in agreed(name, 400)]
    issued = e.Freeze(date=TODAY, employer=first, first_year=YEAR, last_year=YEAR, form="B")
    with pytest.raises(Unfit) as caught:
        made([*events, *CHAIN, issued], second)
    assert caught.value.key == "nested"


def test_employer_that_left_a_reported_group_gets_no_separate_report() -> None:
    # Holding's band counted Winkel's nine; subtracting them would reveal the other situations.
    events = [
        *agreed("Holding", 400), *agreed("Winkel", 400, group="Holding"),
        *cases({("Winkel", YEAR, "other"): 9, ("Holding", YEAR, "other"): 1}),
        e.Freeze(date=TODAY, employer="Holding", first_year=YEAR, last_year=YEAR, form="B",
                 bands={"all": "10-19"}),
        e.Employer(date=TODAY, employer="Winkel", group="Ander"),
    ]  # fmt: skip
    with pytest.raises(Unfit) as caught:
        made(events, "Winkel")
    assert caught.value.key == "nested"


def test_group_that_contains_itself_causes_no_endless_loop() -> None:
    events = [*agreed("Holding", 400, group="Regio"), *CHAIN]
    assert [one.band for one in made(events, "Holding").figures] == [Band(0, 9)]


def test_issued_three_year_band_is_recognised() -> None:
    frozen = e.Freeze(date=TODAY, employer="Zorg", first_year=2027, last_year=2027, form="A",
                      bands={"all": "0-9"})  # fmt: skip
    assert gather.issued([frozen]) == [Issued("Zorg", 2027, Form.A, range(2025, 2028))]


def test_bill_uses_the_price_of_the_corrected_agreement() -> None:
    first, corrected = agreed("Zorg", 400), agreed("Zorg", 400, price=3_000)
    assert drafts.bill([*first, *corrected], "Zorg", YEAR).total == 3_000


REFERENCES = "KLMN"
LAST = 2028


def counted(events: list[e.Event]) -> list[Mapping[str, int]]:
    """Return what every report would count, by year and by three-year period."""
    found = gather.cases(events, "Zorg")
    periods = [range(one, one + 1) for one in range(YEAR, LAST + 1)]
    periods += [range(one, one + 3) for one in range(YEAR, LAST - 1)]
    return [counting.counts(found, one, joint=joint) for one in periods for joint in (False, True)]


YEARLY = st.integers(YEAR, LAST)


@example(  # the order within one day: the link between K and N must follow what K itself states
    dict.fromkeys("LMKN", YEAR),
    dict.fromkeys(REFERENCES, ""),
    [("K", "L"), ("M", "K"), ("M", "N")],
    {},
    set(),
    [*"MLKN"],
)
@example(  # the mark of the second case, which is destroyed first
    dict.fromkeys("LKMN", YEAR),
    dict.fromkeys(REFERENCES, ""),
    [("L", "K")],
    {},
    {"K"},
    [*"KLMN"],
)
@given(
    st.fixed_dictionaries(dict.fromkeys(REFERENCES, YEARLY)),
    st.fixed_dictionaries(dict.fromkeys(REFERENCES, st.sampled_from(("", *MAIN_GROUPS)))),
    st.lists(st.tuples(st.sampled_from(REFERENCES), st.sampled_from(REFERENCES)), max_size=4),
    st.dictionaries(st.sampled_from(REFERENCES), st.integers(0, 2), max_size=2),
    st.sets(st.sampled_from(REFERENCES), max_size=2),
    st.permutations(REFERENCES),
)
def test_destroying_cases_does_not_change_later_counts(
    opened: dict[str, int],
    groups: dict[str, str],
    pairs: list[tuple[str, str]],
    later: dict[str, int],
    by_colleague: set[str],
    order: list[str],
) -> None:
    events: list[e.Event] = []
    for number, (one, year) in enumerate(opened.items()):
        with_ = tuple(sorted({b for a, b in pairs if a == one and b != one}))
        events += [
            e.Case(
                date=day(year, number),
                employer="Zorg",
                case=one,
                belongs_with=with_,
                colleague_counts=one in by_colleague or None,
            ),
            e.Contact(date=day(year, number), employer="Zorg", case=one, topic=groups[one]),
        ]
        if one in later:
            held = day(year + later[one], 40)
            events.append(e.Complaint(date=held, employer="Zorg", case=one))
    events = in_order(events)
    before = counted(events)
    for reference in order:
        changes = {id(one): after for one, after in retention.without(events, reference)}
        events = in_order(new for one in events for new in changes.get(id(one), [one]))
        assert counted(events) == before


def test_shared_employer_gets_no_report_from_one_counsellor_alone() -> None:
    agreement = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0), headcount=400,
                            shared_with="De interne")  # fmt: skip
    with pytest.raises(Unfit) as caught:
        made([agreement], "Zorg")
    assert caught.value.key == "joint_missing"
    assert made([agreement], "Zorg", joint={"other": 12}).figures[0].band == Band(10, 19)


@pytest.mark.parametrize("shared", ["De interne", ""])
@pytest.mark.parametrize("given", [True, None])
def test_exchanged_counts_are_never_ignored_even_if_the_agreement_is_not_shared(
    given: bool | None, shared: str
) -> None:
    agreement = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0), headcount=400,
                            shared_with=shared)  # fmt: skip
    joint = e.Joint(date=TODAY, employer="Zorg", first_year=YEAR, last_year=YEAR,
                    counsellor="De interne", given=given, situations={"other": 12})  # fmt: skip
    if shared and not given:
        assert made([agreement, joint], "Zorg").figures[0].band == Band(10, 19)
        return
    with pytest.raises(Unfit) as caught:
        made([agreement, joint], "Zorg")
    assert caught.value.key == ("joint_given" if given else "joint_unshared")


@pytest.mark.parametrize("joint", [{"other": -1}, {"everything": 3}])
def test_impossible_counts_from_another_counsellor_are_refused(joint: dict[str, int]) -> None:
    with pytest.raises(Unfit) as caught:
        made(agreed("Zorg", 400), "Zorg", joint=joint)
    assert caught.value.key == "joint_wrong"


def test_headcount_recorded_after_the_agreement_does_not_determine_its_report_form() -> None:
    agreement = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0))
    later = e.Employer(date=day(YEAR, 0), employer="Zorg", headcount=250)
    with pytest.raises(Unfit) as caught:
        made([later, agreement], "Zorg")
    assert caught.value.key == "no_headcount"


def test_issued_multi_year_report_closes_each_of_its_years() -> None:
    frozen = e.Freeze(date=TODAY, employer="Zorg", first_year=2025, last_year=2027, form="A")
    assert gather.issued([frozen]) == [Issued("Zorg", one, Form.A) for one in (2025, 2026, 2027)]


def test_talk_with_management_is_never_billed() -> None:
    talk = e.Activity(date=day(YEAR, 3), employer="Zorg", what="talk_with_management", price=300)
    training = e.Activity(date=day(YEAR, 4), employer="Zorg", what="training", price=700)
    assert drafts.bill([*agreed("Zorg", 400), talk, training], "Zorg", YEAR).total == 2_400 + 700


def trained(title: str, headcount: int) -> list[e.Event]:
    training = e.Activity(date=day(YEAR, 4), employer="Zorg", what="training", title=title,
                          people=9, price=700)  # fmt: skip
    return [*agreed("Zorg", headcount), training]


def test_report_in_form_a_lists_training_sessions_by_kind_and_not_by_title() -> None:
    plain, telling = trained("", 12), trained("Na het voorval met Fatima in het magazijn", 12)
    assert issue(plain, "Zorg", (YEAR,)) == issue(telling, "Zorg", (YEAR,))
    printed = issue(telling, "Zorg", (YEAR,), formats=("md",))
    assert all("training" in text.decode() for text in printed.values())


def test_training_sessions_and_talks_are_listed_together_by_date() -> None:
    on = {number: datetime.date(YEAR, number, 1) for number in (2, 5, 9)}
    talks = [e.Activity(date=on[number], employer="Zorg", what="talk_with_management")
             for number in (9, 2)]  # fmt: skip
    training = e.Activity(date=on[5], employer="Zorg", what="training", title="Aanspreken")
    files = issue([*agreed("Zorg", 400), *talks, training], "Zorg", (YEAR,), formats=("json",))
    report = next(json.loads(data) for name, data in files.items() if "verslag" in name)
    part = next(one for one in report["sections"] if one["slot"] == "activities")
    assert [line.split()[1] for line in part["points"]] == ["februari", "mei", "september"]


def test_preview_checks_the_names_of_training_sessions_that_are_printed() -> None:
    draft = made(trained("Na het voorval met Fatima", 400), "Zorg")
    assert any("Fatima" in one for one in draft.preview)
    assert not any("Fatima" in one for one in made(trained("Met Fatima", 12), "Zorg").preview)


def test_internal_counsellors_report_mentions_no_price() -> None:
    inside = e.Employer(date=day(YEAR, 0), employer="Zorg", counsellor_kind="internal")
    for events, paid in ((agreed("Zorg", 12), True), ([*agreed("Zorg", 12), inside], False)):
        section = next(o for o in made(events, "Zorg").report.sections if o.slot == "protection")
        assert any("prijs" in one for one in section.sentences) is paid


def test_preview_states_what_a_joint_band_reveals_to_the_other_counsellor() -> None:
    agreement = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0), headcount=400,
                            shared_with="De interne")  # fmt: skip
    draft = made([agreement], "Zorg", joint={"other": 9})
    assert any("weet De interne dat er ook mensen bij jou kwamen" in one for one in draft.preview)
    assert not any("De interne" in one for one in made(agreed("Zorg", 400), "Zorg").preview)


SHARED = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0), headcount=400,
                     shared_with="De interne")  # fmt: skip


def marked(count: int) -> list[e.Event]:
    """Return cases of which the colleague counts the situation."""
    return [
        e.Case(date=day(YEAR, number), employer="Zorg", case=f"m{number}", colleague_counts=True)
        for number in range(count)
    ]


def test_case_counted_by_the_colleague_is_omitted_only_from_the_joint_report() -> None:
    events = [*cases({("Zorg", YEAR, "other"): 4}), *marked(2)]
    joint = made([SHARED, *events], "Zorg", joint={"other": 5})
    assert joint.figures[0].band == Band(0, 9)
    assert any("Er tellen 9 situaties mee" in one for one in joint.preview)
    assert any("Niet in jouw deel van de telling: 2." in one for one in joint.preview)
    assert any("Kwam iemand bij jullie allebei?" in one for one in joint.preview)
    alone = made([*agreed("Zorg", 400), *events], "Zorg")
    assert any("Er tellen 6 situaties mee" in one for one in alone.preview)
    assert any("dus dat telt hier gewoon mee" in one for one in alone.preview)
    assert not any("Niet in jouw deel" in one or "allebei" in one for one in alone.preview)


def test_exported_counts_omit_cases_that_the_colleague_counts() -> None:
    events = [SHARED, *cases({("Zorg", YEAR, "other"): 4}), *marked(2)]
    _, counts = drafts.joint_counts(events, "Zorg", YEAR, TODAY)
    assert counts == {"other": 4}


def test_preview_mentions_omitted_situations_even_after_their_cases_are_destroyed() -> None:
    events: list[e.Event] = [
        *agreed("Zorg", 400),
        e.Case(date=day(YEAR, 1), employer="Zorg", case="K"),
    ]
    events.append(e.Complaint(date=day(YEAR, 9), employer="Zorg", case="K"))
    before = made(events, "Zorg").preview
    assert any("Buiten de telling: 1," in one for one in before)
    changes = {id(one): after for one, after in retention.without(events, "K")}
    events = in_order(new for one in events for new in changes.get(id(one), [one]))
    assert made(events, "Zorg").preview == before
