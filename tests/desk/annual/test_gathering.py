"""What is taken from the register into a report and a bill, and what is refused there."""

import pytest

from dropbox_app.desk.annual import draft as drafts
from dropbox_app.desk.annual import gather
from dropbox_app.desk.annual.periods import Issued
from dropbox_app.desk.annual.suppression import Band, Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import events as e
from tests.desk.annual.worlds import TODAY, agreed, cases, day

YEAR = 2025


def made(events: list[e.Event], employer: str, **more: dict[str, int]) -> drafts.Draft:
    return drafts.draft(
        events, employer, YEAR, today=TODAY, counsellor="Noor Jansen", language="nl",
        joint=more.get("joint"),
    )  # fmt: skip


def test_situations_at_the_members_of_a_group_count_for_the_group() -> None:
    member = e.Employer(date=day(YEAR, 0), employer="Winkel", group="Holding")
    events = [*agreed("Holding", 400), member, *cases({("Winkel", YEAR, "other"): 12})]
    assert [one.band for one in made(events, "Holding").figures] == [Band(10, 19)]


def test_a_shared_employer_gets_no_report_of_one_counsellor_alone() -> None:
    agreement = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0), headcount=400,
                            shared_with="De interne")  # fmt: skip
    with pytest.raises(Unfit) as caught:
        made([agreement], "Zorg")
    assert caught.value.key == "joint_missing"
    assert made([agreement], "Zorg", joint={"other": 12}).figures[0].band == Band(10, 19)


@pytest.mark.parametrize("joint", [{"other": -1}, {"everything": 3}])
def test_counts_of_another_counsellor_that_cannot_be_are_refused(joint: dict[str, int]) -> None:
    with pytest.raises(Unfit) as caught:
        made(agreed("Zorg", 400), "Zorg", joint=joint)
    assert caught.value.key == "joint_wrong"


def test_a_headcount_that_is_written_down_later_does_not_choose_the_form() -> None:
    agreement = e.Agreement(date=day(YEAR, 0), employer="Zorg", until=day(2027, 0))
    later = e.Employer(date=day(YEAR, 0), employer="Zorg", headcount=250)
    with pytest.raises(Unfit) as caught:
        made([later, agreement], "Zorg")
    assert caught.value.key == "no_headcount"


def test_an_issued_report_of_several_years_closes_each_of_them() -> None:
    frozen = e.Freeze(date=TODAY, employer="Zorg", first_year=2025, last_year=2027, form="A")
    assert gather.issued([frozen]) == [Issued("Zorg", one, Form.A) for one in (2025, 2026, 2027)]


def test_a_talk_is_never_on_the_bill() -> None:
    talk = e.Activity(date=day(YEAR, 3), employer="Zorg", what="talk_with_management", price=300)
    training = e.Activity(date=day(YEAR, 4), employer="Zorg", what="training", price=700)
    assert drafts.bill([*agreed("Zorg", 400), talk, training], "Zorg", YEAR).total == 2_400 + 700
