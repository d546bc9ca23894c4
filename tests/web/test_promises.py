"""What the pages promise, sentence by sentence, with the test that makes it true; and the law."""

import ast
import functools
import re
from pathlib import Path

import pytest

from dropbox_app.server.web.languages import LANGUAGES
from tests.web.test_words import catalogue, texts

TESTS = Path(__file__).resolve().parents[1]

# Keys of sentences that are only true because the build does it, and where that is tested.
PROMISES = {
    "landing.sealed_one": (
        "test_a_report_is_there_for_its_reporter_and_for_those_addressed_only",
        "test_the_desk_of_the_addressed_reads_on",
    ),
    "landing.sealed_many": ("test_only_who_was_chosen_gets_it",),
    "landing.run_by": (
        "test_who_runs_it_is_said_and_that_they_could_look_in",
        "test_nothing_readable_lay_open_or_lies_about",
    ),
    "info.promise_name": (
        "test_a_log_says_only_what_the_server_does_itself",
        "test_no_column_of_any_table_holds_anything_finer_than_a_day",
    ),
    "info.promise_cookie": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_twenty_minutes_without_use_end_it_and_use_keeps_it",
        "test_on_the_code_page_only_the_four_hours_run",
    ),
    "info.promise_kept": (
        "test_a_reporters_item_goes_30_days_after_the_fetch_but_never_the_newest",
        "test_a_counsellors_item_goes_after_90_days",
    ),
    "code.why": ("test_no_write_of_the_server_holds_a_secret_but_to_its_own_reporter",),
    "code.print": ("test_the_slip_has_the_seven_words_and_nothing_else",),
    "code.try_help": ("test_a_reload_of_every_answer_shows_the_code_and_sends_nothing",),
    "code.right": ("test_the_words_typed_over_are_right_however_they_are_typed",),
    "code.confirm_help": ("test_after_the_box_the_words_are_shown_no_more",),
    "code.expiry": ("test_the_day_of_deletion_never_moves_back",),
    "conversation.idle": ("test_a_post_after_the_session_keeps_the_text_and_one_post_sends",),
    "privacy.not_address": ("test_a_log_says_only_what_the_server_does_itself",),
    "privacy.not_time": (
        "test_no_column_of_any_table_holds_anything_finer_than_a_day",
        "test_files_beside_the_database_are_dated_midnight",
    ),
    "privacy.kept_files": ("test_a_reporters_file_is_sealed_to_the_counsellors_only",),
    "privacy.idle": ("test_a_mailbox_goes_90_days_after_the_last_addition",),
    "privacy.unfetched": (
        "test_what_nobody_fetched_stays_180_days_and_keeps_its_mailbox",
        "test_an_announced_absence_keeps_the_mailbox_until_30_days_after",
    ),
    "privacy.withdraw": ("test_what_was_withdrawn_is_nowhere_on_the_disk",),
    "accessibility.made1": ("test_the_way_there_and_back_with_the_keyboard_alone",),
    "accessibility.made3": ("test_it_fetches_nothing_and_moves_nothing",),
    "accessibility.made4": ("test_a_post_after_the_session_keeps_the_text_and_one_post_sends",),
    "accessibility.tested1": ("test_every_page_fits_a_small_phone_and_letters_twice_as_large",),
    "accessibility.tested2": ("test_every_text_can_be_read_on_every_ground_it_stands_on",),
    "accessibility.tested3": (
        "test_every_page_has_its_frame_its_labels_and_a_neutral_title",
        "test_each_word_that_differs_is_named_and_the_code_stays",
    ),
    "accessibility.tested4": ("test_the_way_there_and_back_with_the_keyboard_alone",),
    "technical.how1": (
        "test_nothing_readable_lay_open_or_lies_about",
        "test_no_write_of_the_server_holds_a_secret_but_to_its_own_reporter",
    ),
    "technical.how2": ("test_no_write_of_the_server_holds_a_secret_but_to_its_own_reporter",),
    "technical.how3": ("test_ours_opens_there",),
    "technical.how4": ("test_in_september_nothing_of_january_opens_in_any_case",),
    "technical.how5": ("test_every_word_can_be_drawn_and_the_draw_is_asked_for_the_whole_list",),
    "technical.how6": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_all_pages_before_a_session_have_one_length",
    ),
    "technical.how7": ("test_every_page_has_its_frame_its_labels_and_a_neutral_title",),
}

# Every text that says something of the law. Each has a public source that says so; a new one
# belongs here only when it has one too, and an employment lawyer should read them all.
LAW = {
    "exceptions.law_title",
    "exceptions.crimes",
    "exceptions.office",
    "exceptions.judge",
    "options.outside",
    "privacy.controller",  # what the operator says of itself
    "what.employer",
    "what.employer_title",
}
OF_THE_LAW = re.compile(
    r"\b(wet|wetten|wettelijk\w*|privacywet|avg|recht|rechter|verplicht\w*|misdrij\w+|aangeven|aangifte"
    r"|law|laws|legal\w*|gdpr|right to|judge|court|crimes?|duty|obliged|statut\w+"
    r"|(een|je) werkgever moet|moet je werkgever|employer must|in nederland|in the netherlands)\b",
    re.IGNORECASE,
)
# What only looks like it: the country of a telephone number, a counsellor who does not judge.
NOT_OF_IT = {"crisis.suicide", "role.lead"}


@functools.cache
def every_test() -> set[str]:
    """The names of all tests there are."""
    trees = [ast.parse(path.read_text("utf-8")) for path in TESTS.rglob("test_*.py")]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("key", PROMISES)
def test_each_promise_names_tests_that_are_there(key: str) -> None:
    assert key in catalogue("nl")
    assert set(PROMISES[key]) <= every_test()


def test_what_is_said_of_the_law_is_listed_in_both_languages() -> None:
    found = {
        key
        for lang in LANGUAGES
        for key, message in catalogue(lang).items()
        for text in texts(message)
        if OF_THE_LAW.search(text)
    }
    assert found - NOT_OF_IT - LAW == set()
    assert LAW - found == set()
