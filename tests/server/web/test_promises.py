"""What the pages promise, sentence by sentence, with the test that makes it true; and the law."""

import functools
import re
from pathlib import Path

import pytest

from dropbox_app.server.config.languages import ALWAYS as LANGUAGES
from tests.server.web.test_words import catalogue
from tests.support.catalogues import texts

TESTS = Path(__file__).resolve().parents[2]

# Keys of sentences that are only true because the build does it, and where that is tested.
PROMISES = {
    "landing.sealed_one": (
        "test_a_report_is_there_for_its_reporter_and_for_those_addressed_only",
        "test_the_addressed_desk_can_still_read",
    ),
    "landing.sealed_many": ("test_only_the_chosen_counsellor_gets_the_report",),
    "landing.run_by": (
        "test_the_page_names_who_runs_the_site_and_that_they_could_look_in",
        "test_nothing_readable_was_or_is_in_a_file",
    ),
    "info.promise_name": (
        "test_a_log_says_only_what_the_server_does_itself",
        "test_no_column_of_any_table_holds_anything_finer_than_a_day",
    ),
    "info.promise_cookie": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_twenty_idle_minutes_end_a_session_and_use_keeps_it",
        "test_on_the_code_page_only_the_four_hours_run",
    ),
    "info.promise_kept": (
        "test_a_reporters_item_expires_30_days_after_the_fetch_except_the_newest",
        "test_a_counsellors_item_expires_after_90_days",
    ),
    "code.why": ("test_no_write_of_the_server_holds_a_secret_except_to_its_own_reporter",),
    "code.print": ("test_the_slip_has_the_seven_words_and_nothing_else",),
    "code.try_help": ("test_a_reload_of_every_answer_shows_the_code_and_sends_nothing",),
    "code.right": ("test_the_words_typed_over_are_right_however_they_are_typed",),
    "code.confirm_help": ("test_after_the_box_was_ticked_the_words_are_not_shown_again",),
    "code.expiry": ("test_the_day_of_deletion_never_moves_back",),
    "conversation.idle": ("test_a_post_after_the_session_keeps_the_text_and_one_post_sends",),
    "privacy.not_address": ("test_a_log_says_only_what_the_server_does_itself",),
    "privacy.not_time": (
        "test_no_column_of_any_table_holds_anything_finer_than_a_day",
        "test_files_beside_the_database_are_dated_midnight",
    ),
    "privacy.kept_files": ("test_a_reporters_file_is_sealed_to_the_counsellors_only",),
    "privacy.idle": ("test_a_mailbox_expires_90_days_after_the_last_addition",),
    "privacy.unfetched": (
        "test_an_unfetched_item_stays_180_days_and_keeps_its_mailbox",
        "test_an_announced_absence_keeps_the_mailbox_until_30_days_after",
    ),
    "privacy.backup": (
        "test_one_backup_a_day_is_kept_for_fourteen_days",
        "test_backups_are_kept_for_fewer_days_if_a_site_says_so",
    ),
    "privacy.withdraw": ("test_withdrawn_data_is_nowhere_on_the_disk",),
    "accessibility.made1": ("test_the_whole_journey_works_with_the_keyboard_alone",),
    "accessibility.made3": ("test_it_fetches_nothing_and_moves_nothing",),
    "accessibility.made4": ("test_a_post_after_the_session_keeps_the_text_and_one_post_sends",),
    "accessibility.tested1": ("test_every_page_fits_a_small_phone_and_letters_twice_as_large",),
    "accessibility.tested2": ("test_every_text_can_be_read_on_every_ground_it_stands_on",),
    "accessibility.tested3": (
        "test_every_page_has_its_frame_its_labels_and_a_neutral_title",
        "test_each_word_that_differs_is_named_and_the_code_stays",
    ),
    "accessibility.tested4": ("test_the_whole_journey_works_with_the_keyboard_alone",),
    "technical.how1": (
        "test_nothing_readable_was_or_is_in_a_file",
        "test_no_write_of_the_server_holds_a_secret_except_to_its_own_reporter",
    ),
    "technical.how2": ("test_no_write_of_the_server_holds_a_secret_except_to_its_own_reporter",),
    "technical.how3": ("test_ours_opens_there",),
    "technical.how4": ("test_in_september_nothing_from_january_opens_in_any_case",),
    "technical.how5": ("test_every_word_that_is_dealt_can_be_drawn_and_has_the_same_chance",),
    "technical.how6": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_all_pages_before_a_session_have_one_length",
    ),
    "technical.how7": (
        "test_every_page_has_its_frame_its_labels_and_a_neutral_title",
        "test_leaving_loses_nothing_by_accident_and_shows_nothing_afterwards",
    ),
    "landing.run_by_employer": (
        "test_the_page_names_who_runs_the_site_and_that_they_could_look_in",
    ),
    "landing.run_by_some_employer": (
        "test_an_employer_without_a_name_is_still_called_the_employer",
    ),
    "landing.run_by_unknown": (
        "test_the_page_names_who_runs_the_site_and_that_they_could_look_in",
    ),
    "frame.leave": ("test_the_whole_journey",),
    "frame.leave_help": (
        "test_the_whole_journey",
        "test_leaving_loses_nothing_by_accident_and_shows_nothing_afterwards",
    ),
    "frame.leave_escape": ("test_leaving_loses_nothing_by_accident_and_shows_nothing_afterwards",),
    "frame.leave_escape_here": (
        "test_leaving_loses_nothing_by_accident_and_shows_nothing_afterwards",
    ),
    "person.stand_in": ("test_only_the_chosen_counsellor_gets_the_report",),
    "person.gone": ("test_a_counsellor_whose_card_is_gone_has_no_name_any_more",),
    "report.wanted_help": ("test_only_the_chosen_counsellor_gets_the_report",),
    "report.before": ("test_a_reporter_withdraws_everything",),
    "closed.nobody": ("test_no_message_is_ever_sealed_to_an_expired_key",),
    "code.holders": ("test_only_the_chosen_counsellor_gets_the_report",),
    "code.again": ("test_a_report_repeated_from_an_open_code_page_is_stored_once",),
    "return.again": ("test_twenty_idle_minutes_end_a_session_and_use_keeps_it",),
    "return.no_cookie": ("test_a_browser_without_cookies_sees_its_code_and_may_send_twice",),
    "errors.unsent_yet": ("test_without_a_story_nothing_is_sent",),
    "errors.kept": (
        "test_a_page_says_what_the_table_says_and_keeps_the_text",
        "test_a_refused_text_is_shown_again_and_one_post_with_the_code_sends_it",
    ),
    "errors.text_is_code": ("test_a_code_typed_as_a_story_is_not_sent",),
    "errors.busy": ("test_a_page_says_what_the_table_says_and_keeps_the_text",),
    "errors.full": ("test_a_page_says_what_the_table_says_and_keeps_the_text",),
    "errors.mailbox_full": ("test_a_page_says_what_the_table_says_and_keeps_the_text",),
    "errors.nobody": ("test_no_message_is_ever_sealed_to_an_expired_key",),
    "errors.not_yours": ("test_a_counsellor_who_was_left_out_is_named",),
    "errors.origin": ("test_a_post_from_elsewhere_is_refused_and_harms_nobody",),
    "errors.unsent": ("test_nothing_confirmed_is_lost_wherever_a_worker_or_all_are_killed",),
    "conversation.write_help": ("test_a_reporter_can_change_counsellor_at_any_time",),
    "conversation.again": ("test_a_report_repeated_from_an_open_code_page_is_stored_once",),
    "conversation.passed_on": ("test_the_thread_is_passed_on_if_the_reporter_ticks_it",),
    "conversation.nobody_now": ("test_no_message_is_ever_sealed_to_an_expired_key",),
    "conversation.others_now": ("test_a_counsellor_who_was_left_out_is_named",),
    "conversation.closed": ("test_a_conversation_that_was_closed_says_so_first",),
    "conversation.expires": ("test_the_day_of_deletion_never_moves_back",),
    "conversation.expires_soon": (
        "test_an_approaching_end_is_announced",
        "test_an_item_deleted_after_a_day_exists_until_that_day_ends_in_amsterdam",
    ),
    "consent.successor": ("test_a_yes_to_a_handover_redirects_the_next_message",),
    "consent.free": ("test_a_yes_can_be_taken_back_and_then_given_again",),
    "consent.stands": ("test_a_yes_to_the_one_before_can_still_be_taken_back",),
    "consent.stands_closed": ("test_a_yes_to_a_former_counsellor_is_shown_with_a_number_to_call",),
    "handover.now": (
        "test_a_yes_to_a_handover_redirects_the_next_message",
        "test_a_successor_may_get_it_too",
    ),
    "other.what": (
        "test_a_reporter_can_change_counsellor_at_any_time",
        "test_without_that_tick_nothing_is_passed_on",
    ),
    "other.along_help": (
        "test_the_thread_is_passed_on_if_the_reporter_ticks_it",
        "test_a_file_is_for_those_the_message_is_for_and_not_for_the_code",
    ),
    "other.before": ("test_the_effects_of_a_change_of_counsellor_are_explained",),
    "files.hidden": ("test_files_arrive_with_their_message_byte_for_byte",),
    "files.who": ("test_a_file_is_for_those_the_message_is_for_and_not_for_the_code",),
    "files.nobody": ("test_no_message_is_ever_sealed_to_an_expired_key",),
    "files.large": ("test_one_byte_more_than_the_limit_is_named_and_the_words_come_back",),
    "files.full": ("test_a_page_says_what_the_table_says_and_keeps_the_text",),
    "files.mailbox_full": ("test_a_page_says_what_the_table_says_and_keeps_the_text",),
    "files.broken": ("test_a_form_that_breaks_off_sends_nothing",),
    "files.moved": ("test_a_message_that_comes_in_between_costs_no_second_sending",),
    "files.code_first": (
        "test_an_expired_session_keeps_nothing_and_one_post_leads_back_to_the_files",
    ),
    "files.many": ("test_as_many_files_as_may_be_and_one_more",),
    "files.whole": ("test_the_reporter_is_told_whether_an_own_file_is_intact",),
    "privacy.receivers": ("test_only_the_chosen_counsellor_gets_the_report",),
    "privacy.kept_messages": ("test_only_the_chosen_counsellor_gets_the_report",),
    "conversation.withdraw": ("test_a_reporter_withdraws_everything",),
    "withdraw.title": ("test_a_reporter_withdraws_everything",),
    "withdraw.lead": ("test_a_reporter_withdraws_everything",),
    "withdraw.can1": ("test_no_64_bytes_of_what_was_removed_are_left",),
    "withdraw.can2": ("test_a_reporter_withdraws_everything",),
    "withdraw.can3": ("test_all_who_may_hold_something_are_named_before_a_withdrawal",),
    "withdraw.can3_untold": ("test_all_who_may_hold_something_are_named_before_a_withdrawal",),
    "withdraw.cannot1": ("test_a_reporter_withdraws_everything",),
    "withdraw.cannot4": ("test_a_file_is_for_those_the_message_is_for_and_not_for_the_code",),
    "withdraw.done_title": ("test_a_reporter_withdraws_everything",),
    "withdraw.done": ("test_no_64_bytes_of_what_was_removed_are_left",),
    "error.400.body": ("test_no_request_makes_a_fault_or_leaves_a_trace",),
    "error.403.body": ("test_a_post_from_elsewhere_is_refused_and_harms_nobody",),
    "error.403.title": ("test_a_post_from_elsewhere_is_refused_and_harms_nobody",),
    "error.413.body": ("test_no_request_makes_a_fault_or_leaves_a_trace",),
    "error.415.body": ("test_files_are_accepted_nowhere_else",),
    "error.500.body": ("test_nothing_confirmed_is_lost_wherever_a_worker_or_all_are_killed",),
    "again.withdraw": ("test_a_withdrawal_and_a_consent_answer_survive_the_end_of_a_session",),
    "again.gone": ("test_a_conversation_that_went_meanwhile_keeps_the_text_for_a_new_one",),
}

# By what a sentence may promise something, in the language that all are written in first.
PROMISING = re.compile(
    r"bewa(?:ren|ard|art)|\bwissen\b|gewist|opgeslagen|verzegel|niets? (?:is )?verstuurd|openen"
    r"|(?:^|\. )(?:we|wij) (?:vragen|volgen|kennen|laten|nemen|geven)|alleen (?:wie|jij|\{)"
    r"|gaa?n?t? (?:alleen |dan alleen )?naar \{|ziet alleen|krijgt (?:alleen|geen)|teruggedraaid"
    r"|cookie|geheugen|sleutel|bytes|JavaScript|haalt die er niet|leest dan|nog een keer|precies"
    r"|Escape|Snel weg",
    re.IGNORECASE,
)
# What only sounds like it: what others may do or have, headings, a doubt that is said.
NO_PROMISE = {
    *("safety.private", "wrong.body", "errors.code_wrong", "conversation.removed"),
    *("withdraw.cannot3", "privacy.not_title", "privacy.kept_title", "privacy.kept_counsellor"),
    *(
        "files.lost",
        "landing.conflict_many",
        "conversation.send",
        "return.open",
        "files.open",
        "return.closed",
    ),
}

# Every text that says something of the law. Each has a public source that says so; a new one
# belongs here only when it has one too, and an employment lawyer should read them all.
LAW = {
    "law.draft",  # whose text it is, of the blocks that config.law reads
    "law.own",
    "law.own_unnamed",
    "law.title",
    "options.outside",
    "options.term",
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
# What only looks like it: the country of a telephone number or a clock, a counsellor who does not
# judge.
NOT_OF_IT = {"code.sexual_violence", "crisis.suicide", "role.lead", "technical.how8"}


@functools.cache
def every_test() -> set[str]:
    """The names of all tests there are."""
    files = [path for path in TESTS.rglob("test_*.py") if "node_modules" not in path.parts]
    named = (re.findall(r"^def (\w+)", path.read_text("utf-8"), re.M) for path in files)
    return {name for each in named for name in each}


@pytest.mark.parametrize("key", PROMISES)
def test_each_promise_names_tests_that_are_there(key: str) -> None:
    assert key in catalogue("nl")
    assert set(PROMISES[key]) <= every_test()


def test_no_promise_is_made_without_a_test() -> None:
    found = {
        key
        for key, message in catalogue("nl").items()
        for text in texts(message)
        if PROMISING.search(text)
    }
    assert found - NO_PROMISE - set(PROMISES) == set()
    assert set(PROMISES) & NO_PROMISE == set()


def test_statements_about_the_law_are_listed_in_both_languages() -> None:
    found = {
        key
        for lang in LANGUAGES
        for key, message in catalogue(lang).items()
        for text in texts(message)
        if OF_THE_LAW.search(text)
    }
    assert found - NOT_OF_IT - LAW == set()
    assert LAW - found == set()
