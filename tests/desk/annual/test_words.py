"""The check of the counsellor's own words, and the advice from the checklist."""

import itertools

import pytest

from dropbox_app.desk.annual.checklist import ADVICE, ORDER, State, advice, followed
from dropbox_app.desk.annual.report import LANGUAGES, texts
from dropbox_app.desk.annual.words import MAX_WORDS, Found, check
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import CHECKED, CHECKLIST, REPEATED_ADVICE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Op het magazijn is het onrustig.", Found("department", "magazijn")),
        ("De teamleider luistert niet.", Found("title", "teamleider")),
        ("In het gebouw in Zwolle is het koud.", Found("name", "Zwolle")),
        ("Fatima vertelde dat.", Found("name", "Fatima")),
        ("Ik hoorde dat Wendeline wegging.", Found("name", "Wendeline")),
        ("Iemand zei: “dit is geen werk voor vrouwen”.",
         Found("quote", "“dit is geen werk voor vrouwen”")),
        ("People said 'go home' to them.", Found("quote", "'go home'")),
        ("Dat was in maart.", Found("date", "maart")),
        ("Na de zomer werd het erger.", Found("date", "zomer")),
        ("Op 3-4 ging het mis.", Found("date", "3-4")),
        ("Drie mensen zeiden hetzelfde.", Found("number", "Drie")),
        ("Several people left.", Found("number", "Several")),
        ("Vijf of meer.", Found("number", "Vijf")),
        ("It happened twice.", Found("number", "twice")),
        ("Niemand klaagde.", Found("number", "Niemand")),
        ("There was an increase.", Found("number", "increase")),
        ("Na de lente werd het stil.", Found("date", "lente")),
    ],
)  # fmt: skip
def test_identifying_details_are_found(text: str, found: Found) -> None:
    assert found in check(text, departments=["Magazijn"])


@pytest.mark.parametrize(
    "text",
    [
        "Mensen durven weinig te zeggen. Leer elkaar aanspreken.",
        "People say little. It would help to practise.\n- Talk about it in each team",
        "Zo'n gesprek helpt.",
        "",
    ],
)
def test_general_sentence_is_accepted(text: str) -> None:
    assert check(text, departments=["", "  "]) == []


def test_regex_characters_in_a_word_are_matched_literally() -> None:
    assert check("Bij p+o is het druk.", departments=["p+o"]) == [Found("department", "p+o")]


def test_department_name_ending_in_punctuation_is_found() -> None:
    found = check("In lab (noord) is het druk.", departments=["Lab (Noord)"])
    assert found == [Found("department", "lab (noord)")]


def test_text_too_long_for_its_field_is_refused() -> None:
    check("a" * MAX_WORDS)
    with pytest.raises(Unfit, match="1200"):
        check("a" * (MAX_WORDS + 1))


def test_advice_covers_every_checklist_item() -> None:
    assert sorted(ORDER) == sorted(CHECKLIST)
    for language in LANGUAGES:
        said = texts(language)["advice"]
        assert set(said["items"]) == set(said["names"]) == {*ORDER, *REPEATED_ADVICE}


def test_advice_always_has_three_different_items() -> None:
    for said in itertools.product(CHECKED, repeat=4):
        answers = dict.fromkeys(CHECKLIST, "yes") | dict(zip(ORDER, said, strict=False))
        given = advice(answers)
        assert len(given) == len(set(given)) == ADVICE
    assert advice({}) == ORDER[:ADVICE]
    assert advice(dict.fromkeys(CHECKLIST, "yes")) == REPEATED_ADVICE


def test_advice_on_missing_items_precedes_advice_on_unknown_items() -> None:
    assert advice({"aftercare_arranged": "no", "room": "partly"})[:2] == (
        "room", "aftercare_arranged",
    )  # fmt: skip


def test_last_years_advice_is_evaluated_using_this_years_answers() -> None:
    said = followed(("poster", "room", "onboarding", "intranet"),
                    {"poster": "yes", "room": "partly", "onboarding": "no"})  # fmt: skip
    assert [one.state for one in said] == [
        State.DONE, State.PARTLY, State.OPEN, State.UNKNOWN,
    ]  # fmt: skip
