"""Forms B and C: reports with the same ranges and free text are identical, whatever else differs.

Hypothesis generates registers with the same printed ranges but other counts, work, notes, minutes,
marks (also for a colleague who counts), closed cases and destroyed cases.
"""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.annual.report import OwnWords
from dropbox_app.desk.annual.suppression import Form, band
from dropbox_app.desk.register import events as e
from dropbox_app.desk.register.categories import MAIN_GROUPS, OUTCOMES, WITH
from tests.desk.annual.worlds import YEARS, agreed, cases, day, issue
from tests.support.examples import half_at_most

Counts = dict[tuple[int, str], int]  # situations by year and main group
NAME = "Wijd"
PEOPLE = {Form.B: (250, 400, 999), Form.C: (1_000, 1_500, 40_000)}
EDGES = st.sampled_from((0, 0, 1, 2, 5, 9, 10, 19, 20, 39, 40, 45))
COUNTS = st.fixed_dictionaries(
    dict.fromkeys([(year, group) for year in YEARS for group in MAIN_GROUPS], EDGES)
)
JOINT = st.dictionaries(st.sampled_from(MAIN_GROUPS), st.integers(0, 6))
WORDS = st.builds(OwnWords, *[st.text("aeinorst é,.\n<&|*#", max_size=90)] * 2)
DAYS = st.builds(day, st.sampled_from(YEARS), st.integers(0, 50))
OF_NAME = {"employer": st.just(NAME), "date": DAYS}
SEEN: list[e.Event] = [
    e.Checklist(date=day(2025, 3), employer=NAME, items={"poster": "no", "room": "yes"}),
    e.Activity(date=day(2026, 9), employer=NAME, what="training", title="Aanspreken",
               people=11, price=600),
    e.Activity(date=day(2026, 9), employer=NAME, what="talk_with_management"),
    e.Upkeep(date=day(2026, 9), what="training", minutes=480),
]  # fmt: skip
# None of these is a separate situation.
BESIDES = st.lists(
    st.one_of(
        st.builds(e.Contact, **OF_NAME, again=st.just(True), minutes=st.integers(0, 300),
                  topic=st.sampled_from(MAIN_GROUPS), notes=st.text(max_size=9)),
        st.builds(e.Contact, **OF_NAME, minutes=st.integers(0, 300),
                  with_whom=st.sampled_from(WITH[1:]).map(lambda who: (who,))),
        st.builds(e.Hours, **OF_NAME, minutes=st.integers(0, 600)),
        st.builds(e.Advice, **OF_NAME, minutes=st.integers(0, 600), notes=st.text(max_size=9)),
        st.builds(e.Statistic, **OF_NAME, situations=st.just(0), minutes=st.integers(0, 600)),
        st.builds(e.Destruction, date=DAYS, entries=st.integers(0, 9)),
        st.builds(e.Absence, date=DAYS),
    ),
    max_size=12,
)  # fmt: skip


def within(data: st.DataObject, form: Form, counts: Counts, joint: dict[str, int]) -> Counts:
    """Return other counts with the same printed ranges."""
    found: Counts = {}
    for year in YEARS:
        own = {group: counts[year, group] for group in MAIN_GROUPS}
        if form is Form.C:
            moved = {g: _moved(data, n, joint.get(g, 0)) for g, n in own.items()}
        else:
            left = _moved(data, sum(own.values()), sum(joint.values()))
            cuts = sorted([0, *[data.draw(st.integers(0, left)) for _ in own][1:], left])
            moved = {g: cuts[at + 1] - cuts[at] for at, g in enumerate(own)}
        found |= {(year, group): count for group, count in moved.items()}
    return found


def _moved(data: st.DataObject, true: int, joint: int) -> int:
    """Return another count that, with the other counsellor's, is in the same range."""
    shown = band(true + joint)
    most = joint + 200 if shown.high is None else shown.high
    return data.draw(st.integers(max(0, shown.low - joint), most - joint))


def register(counts: Counts, seed: int) -> list[e.Event]:
    """Return a register with these counts; the details of each situation follow from the seed."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    made: list[e.Event] = []
    for one in cases({(NAME, *key): count for key, count in counts.items()}):
        assert isinstance(one, e.Case)
        of: dict[str, Any] = {"employer": NAME, "case": one.case, "date": one.date}
        made += [one, e.Contact(**of, minutes=chance.randrange(200))]
        if chance.random() < 0.3:
            made.append(e.Close(**of, outcome=chance.choice(OUTCOMES)))
        if chance.random() < 0.3:  # a second person in the same situation
            beside = of | {"case": f"{one.case}-b"}
            made.append(e.Case(**beside, belongs_with=(one.case,), main_group="other"))
        if chance.random() < 0.1:  # a situation that the employer itself counts
            told = of | {"case": f"{one.case}-c"}
            made += [e.Case(**told), e.Complaint(**told, what="formal_complaint")]
        if chance.random() < 0.1:  # one that the colleague of the joint report counts
            left = of | {"case": f"{one.case}-d"}
            made += [e.Case(**left, colleague_counts=True), e.Contact(**left, minutes=30)]
    return made


def pair(
    form: Form, counts: Counts, joint: dict[str, int], data: st.DataObject, **more: Any  # noqa: ANN401 - fields
) -> list[dict[str, bytes]]:  # fmt: skip
    """Return all files by name, from two registers with the same printed ranges."""
    people, own = data.draw(st.sampled_from(PEOPLE[form])), data.draw(WORDS)
    language = data.draw(st.sampled_from(("nl", "en")))
    made = []
    for chosen in (counts, within(data, form, counts, joint)):
        hidden = [*register(chosen, data.draw(st.integers(0, 999))), *data.draw(BESIDES)]
        events = [*agreed(NAME, people), *SEEN, *hidden]
        made.append(issue(events, NAME, own=own, joint=joint, language=language, **more))
    return made


FORMS = st.sampled_from(list(PEOPLE))


@half_at_most(500)
@given(FORMS, COUNTS, JOINT, st.data())
def test_same_ranges_and_words_give_identical_reports(
    form: Form, counts: Counts, joint: dict[str, int], data: st.DataObject
) -> None:
    one, other = pair(form, counts, joint, data)
    assert list(one) == list(other)
    assert one == other


@half_at_most(500)
@given(FORMS, COUNTS, JOINT, st.data())
def test_same_ranges_and_words_give_identical_pdfs(
    form: Form, counts: Counts, joint: dict[str, int], data: st.DataObject
) -> None:
    one, other = pair(form, counts, joint, data, years=YEARS[:1], formats=("pdf",))
    assert one == other


@half_at_most(500)
@given(FORMS, COUNTS, JOINT, st.data())
def test_count_in_a_different_range_changes_only_its_own_report(
    form: Form, counts: Counts, joint: dict[str, int], data: st.DataObject
) -> None:
    """This control shows that the equal bytes above do not come from a report without ranges."""
    key = (YEARS[0], MAIN_GROUPS[0])
    moved = counts | {key: counts[key] + 40}
    shown = [
        band(sum(each[YEARS[0], g] + joint.get(g, 0) for g in groups))
        for groups in ((MAIN_GROUPS[:1]) if form is Form.C else MAIN_GROUPS,)
        for each in (counts, moved)
    ]
    people = PEOPLE[form][0]
    one, other = (
        issue([*agreed(NAME, people), *SEEN, *register(each, 1)], NAME, joint=joint)
        for each in (counts, moved)
    )
    changed = {name for name in one if one[name] != other[name]}
    assert bool(changed) == (shown[0] != shown[1])
    assert not any("rekening" in name or str(YEARS[1]) in name for name in changed)
