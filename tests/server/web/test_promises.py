"""The promises on the pages with their tests, and the statements about the law."""

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
        "test_report_is_available_only_to_its_reporter_and_addressees",
        "test_addressed_desk_can_still_read_a_genuine_report",
    ),
    "landing.sealed_many": ("test_only_the_chosen_counsellor_gets_the_report",),
    "landing.run_by": (
        "test_page_names_operator_and_says_that_they_could_read_messages",
        "test_no_file_ever_contains_plaintext",
    ),
    "info.promise_name": (
        "test_log_contains_only_the_servers_own_events",
        "test_no_column_stores_a_time_finer_than_a_day",
    ),
    "info.promise_cookie": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_session_ends_after_twenty_idle_minutes_and_activity_extends_it",
        "test_only_the_four_hour_limit_applies_on_the_code_page",
    ),
    "info.promise_cookie_browser": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_session_ends_after_twenty_idle_minutes_and_activity_extends_it",
        "test_only_the_four_hour_limit_applies_on_the_code_page",
    ),
    "info.promise_kept": (
        "test_fetched_reporter_items_except_the_newest_expire_after_30_days",
        "test_counsellors_item_expires_after_90_days",
    ),
    "code.why": ("test_server_sends_a_secret_only_to_the_reporter_it_belongs_to",),
    "code.print": ("test_printed_slip_contains_only_the_seven_words",),
    "code.try_help": ("test_reloading_any_response_shows_the_code_and_sends_nothing",),
    "code.right": ("test_correctly_retyped_words_are_accepted_in_any_spelling",),
    "code.confirm_help": ("test_code_words_are_not_shown_again_after_the_confirmation_was_ticked",),
    "code.expiry": ("test_displayed_deletion_day_never_becomes_earlier",),
    "conversation.idle": (
        "test_post_after_the_session_ended_keeps_the_text_and_one_more_post_sends_it",
    ),
    "privacy.not_address": ("test_log_contains_only_the_servers_own_events",),
    "privacy.not_time": (
        "test_no_column_stores_a_time_finer_than_a_day",
        "test_database_files_are_dated_midnight",
    ),
    "privacy.kept_files": ("test_reporters_file_must_be_sealed_to_the_counsellors_only",),
    "privacy.idle": ("test_mailbox_expires_90_days_after_the_last_addition",),
    "privacy.unfetched": (
        "test_unfetched_item_is_kept_for_180_days_with_its_mailbox",
        "test_announced_absence_extends_the_mailbox_to_30_days_after_the_absence",
    ),
    "privacy.backup": (
        "test_one_backup_a_day_is_kept_for_fourteen_days",
        "test_site_can_shorten_backup_retention",
    ),
    "privacy.withdraw": ("test_withdrawn_data_is_nowhere_on_disk",),
    "accessibility.made1": ("test_whole_journey_can_be_completed_by_keyboard_alone",),
    "accessibility.made3": ("test_style_sheet_loads_nothing_and_has_no_animation",),
    "accessibility.made4": (
        "test_post_after_the_session_ended_keeps_the_text_and_one_more_post_sends_it",
    ),
    "accessibility.tested1": ("test_every_page_fits_a_small_phone_and_doubled_text_size",),
    "accessibility.tested2": ("test_every_text_has_sufficient_contrast",),
    "accessibility.tested3": (
        "test_every_page_has_its_frame_and_labels_and_a_neutral_title",
        "test_each_wrong_word_is_reported_and_the_code_stays_on_the_page",
    ),
    "accessibility.tested4": ("test_whole_journey_can_be_completed_by_keyboard_alone",),
    "technical.how1": (
        "test_no_file_ever_contains_plaintext",
        "test_server_sends_a_secret_only_to_the_reporter_it_belongs_to",
    ),
    "technical.how1_browser": (
        "test_no_request_in_a_conversation_reveals_the_code_or_any_text",
        "test_unsealed_message_is_refused",
        "test_server_sends_a_secret_only_to_the_reporter_it_belongs_to",
    ),
    "technical.how2": ("test_server_sends_a_secret_only_to_the_reporter_it_belongs_to",),
    "technical.how3": ("test_javascript_opens_files_sealed_by_python",),
    "technical.how4": ("test_unfetched_january_messages_cannot_be_opened_in_september",),
    "technical.how5": ("test_every_drawable_word_has_the_same_probability",),
    "technical.how6": (
        "test_every_visitor_gets_the_same_bytes_and_no_cookie",
        "test_all_pages_before_a_session_have_the_same_length",
    ),
    "technical.how7": (
        "test_every_page_has_its_frame_and_labels_and_a_neutral_title",
        "test_leaving_quickly_hides_everything_and_no_text_is_lost_by_accident",
    ),
    "technical.how7_browser": (
        "test_only_the_two_empty_forms_include_the_scripts_for_sealing",
        "test_policy_allows_only_scripts_of_this_site",
    ),
    "sealed.file_stopped": ("test_sending_of_a_file_continues_where_it_stopped",),
    "sealed.file_stuck": ("test_sending_of_a_file_continues_after_a_long_interruption",),
    "sealed.file_changed": (
        "test_file_that_changes_during_sealing_is_never_sealed_twice_with_one_key",
    ),
    "sealed.file_opening": (
        "test_download_continues_where_it_was_interrupted_and_refuses_altered_parts",
    ),
    "sealed.file_saved": ("test_no_request_reveals_anything_about_files_sent_in_either_direction",),
    "sealed.file_busy": ("test_page_says_why_nothing_is_sent_while_a_file_is_on_its_way",),
    "sealed.unsent": ("test_unsent_report_is_reported_as_such_and_can_be_sent_again",),
    "sealed.on": ("test_no_request_in_a_conversation_reveals_the_code_or_any_text",),
    "landing.run_by_employer": ("test_page_names_operator_and_says_that_they_could_read_messages",),
    "landing.run_by_some_employer": (
        "test_unnamed_employer_who_runs_the_site_is_still_called_the_employer",
    ),
    "landing.run_by_unknown": ("test_page_names_operator_and_says_that_they_could_read_messages",),
    "frame.leave": ("test_complete_journey_works_in_each_browser",),
    "frame.leave_help": (
        "test_complete_journey_works_in_each_browser",
        "test_leaving_quickly_hides_everything_and_no_text_is_lost_by_accident",
    ),
    "frame.leave_escape": (
        "test_leaving_quickly_hides_everything_and_no_text_is_lost_by_accident",
    ),
    "frame.leave_escape_here": (
        "test_leaving_quickly_hides_everything_and_no_text_is_lost_by_accident",
    ),
    "person.stand_in": ("test_only_the_chosen_counsellor_gets_the_report",),
    "person.gone": ("test_counsellor_without_a_card_is_shown_without_a_name",),
    "report.wanted_help": ("test_only_the_chosen_counsellor_gets_the_report",),
    "report.before": ("test_reporter_can_withdraw_everything",),
    "closed.nobody": ("test_expired_key_is_never_used_for_sealing",),
    "code.holders": ("test_only_the_chosen_counsellor_gets_the_report",),
    "code.again": ("test_report_repeated_from_an_open_code_page_is_stored_once",),
    "return.again": ("test_session_ends_after_twenty_idle_minutes_and_activity_extends_it",),
    "return.no_cookie": (
        "test_browser_without_cookies_is_shown_its_code_and_may_send_a_report_twice",
    ),
    "errors.unsent_yet": ("test_report_without_a_story_is_not_sent",),
    "errors.kept": (
        "test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text",
        "test_refused_text_is_shown_again_and_one_post_with_the_code_sends_it",
    ),
    "errors.text_is_code": ("test_code_typed_into_the_field_for_the_story_is_not_sent",),
    "errors.busy": ("test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text",),
    "errors.full": ("test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text",),
    "errors.mailbox_full": (
        "test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text",
    ),
    "errors.nobody": ("test_expired_key_is_never_used_for_sealing",),
    "errors.not_yours": ("test_chosen_counsellor_with_expired_card_is_named",),
    "errors.origin": ("test_cross_site_post_is_refused_and_changes_nothing",),
    "errors.unsent": ("test_confirmed_data_survives_kills_of_workers_or_server",),
    "conversation.write_help": ("test_reporter_can_change_counsellor_at_any_time",),
    "conversation.again": ("test_report_repeated_from_an_open_code_page_is_stored_once",),
    "conversation.passed_on": ("test_thread_is_forwarded_if_the_reporter_ticks_the_box",),
    "conversation.nobody_now": ("test_expired_key_is_never_used_for_sealing",),
    "conversation.others_now": ("test_chosen_counsellor_with_expired_card_is_named",),
    "conversation.closed": ("test_closed_conversation_first_states_that_it_is_closed",),
    "conversation.expires": ("test_displayed_deletion_day_never_becomes_earlier",),
    "conversation.expires_soon": (
        "test_approaching_expiry_is_announced",
        "test_item_exists_until_its_deletion_day_ends_in_amsterdam_time",
    ),
    "consent.successor": ("test_accepted_handover_redirects_the_next_message",),
    "consent.free": ("test_consent_can_be_withdrawn_and_given_again",),
    "consent.stands": ("test_consent_to_the_previous_counsellor_can_still_be_withdrawn",),
    "consent.stands_closed": (
        "test_consent_to_a_former_counsellor_is_shown_with_a_number_to_call",
    ),
    "handover.now": (
        "test_accepted_handover_redirects_the_next_message",
        "test_thread_can_be_forwarded_to_a_successor",
    ),
    "other.what": (
        "test_reporter_can_change_counsellor_at_any_time",
        "test_thread_is_not_forwarded_without_a_tick",
    ),
    "other.along_help": (
        "test_thread_is_forwarded_if_the_reporter_ticks_the_box",
        "test_file_can_be_opened_by_the_addressees_but_not_with_the_code",
    ),
    "other.before": ("test_effects_of_a_change_of_counsellor_are_explained",),
    "files.hidden": ("test_files_arrive_with_their_message_byte_for_byte",),
    "files.who": ("test_file_can_be_opened_by_the_addressees_but_not_with_the_code",),
    "files.nobody": ("test_expired_key_is_never_used_for_sealing",),
    "files.large": ("test_file_one_byte_over_the_limit_is_named_and_the_text_kept",),
    "files.full": ("test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text",),
    "files.mailbox_full": (
        "test_page_shows_the_sentence_from_the_table_of_refusals_and_keeps_the_text",
    ),
    "files.broken": ("test_interrupted_form_sends_nothing",),
    "files.moved": ("test_message_that_arrives_during_an_upload_causes_no_second_upload",),
    "files.code_first": (
        "test_expired_session_stores_no_file_and_typing_the_code_leads_back_to_the_files_page",
    ),
    "files.many": ("test_maximum_number_of_files_is_accepted_and_one_more_is_refused",),
    "files.whole": ("test_reporter_is_told_whether_their_own_file_is_intact",),
    "privacy.receivers": ("test_only_the_chosen_counsellor_gets_the_report",),
    "privacy.kept_messages": ("test_only_the_chosen_counsellor_gets_the_report",),
    "conversation.withdraw": ("test_reporter_can_withdraw_everything",),
    "withdraw.title": ("test_reporter_can_withdraw_everything",),
    "withdraw.lead": ("test_reporter_can_withdraw_everything",),
    "withdraw.can1": ("test_no_64_bytes_of_removed_data_remain",),
    "withdraw.can2": ("test_reporter_can_withdraw_everything",),
    "withdraw.can3": (
        "test_counsellors_who_may_still_have_messages_are_named_before_a_withdrawal",
    ),
    "withdraw.can3_untold": (
        "test_counsellors_who_may_still_have_messages_are_named_before_a_withdrawal",
    ),
    "withdraw.nobody_told": (
        "test_nothing_is_removed_until_the_page_has_said_that_no_message_is_possible",
    ),
    "withdraw.cannot1": ("test_reporter_can_withdraw_everything",),
    "withdraw.cannot4": ("test_file_can_be_opened_by_the_addressees_but_not_with_the_code",),
    "withdraw.done_title": ("test_reporter_can_withdraw_everything",),
    "withdraw.done": ("test_no_64_bytes_of_removed_data_remain",),
    "error.400.body": ("test_no_request_causes_a_fault_or_leaves_a_trace",),
    "error.403.body": ("test_cross_site_post_is_refused_and_changes_nothing",),
    "error.403.title": ("test_cross_site_post_is_refused_and_changes_nothing",),
    "error.413.body": ("test_no_request_causes_a_fault_or_leaves_a_trace",),
    "error.415.body": ("test_files_are_accepted_on_no_other_page",),
    "error.500.body": ("test_confirmed_data_survives_kills_of_workers_or_server",),
    "again.withdraw": ("test_withdrawal_and_consent_answer_survive_the_end_of_a_session",),
    "again.gone": ("test_text_for_a_withdrawn_conversation_is_kept_for_a_new_report",),
}

# Words that may make a sentence a promise, in the language in which texts are first written.
PROMISING = re.compile(
    r"bewa(?:ren|ard|art)|\bwissen\b|gewist|opgeslagen|verzegel|niets? (?:is )?verstuurd|openen"
    r"|(?:^|\. )(?:we|wij) (?:vragen|volgen|kennen|laten|nemen|geven)|alleen (?:wie|jij|\{)"
    r"|gaa?n?t? (?:alleen |dan alleen )?naar \{|ziet alleen|krijgt (?:alleen|geen)|teruggedraaid"
    r"|cookie|geheugen|sleutel|bytes|JavaScript|haalt die er niet|leest dan|nog een keer|precies"
    r"|Escape|Snel weg",
    re.IGNORECASE,
)
# Texts that only sound like promises: what others may do or have, headings, stated doubts.
NO_PROMISE = {
    "sealed.switch",
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

# Every text that makes a statement about the law. A public source supports each; add a new one only
# if it has a source too. An employment lawyer should read them all.
LAW = {
    "law.draft",  # whose text it is, of the blocks that config.law reads
    "law.own",
    "law.own_unnamed",
    "law.title",
    "options.outside",
    "options.term",
    "privacy.controller",  # the operator's statement about itself
    "what.employer",
    "what.employer_title",
}
OF_THE_LAW = re.compile(
    r"\b(wet|wetten|wettelijk\w*|privacywet|avg|recht|rechter|verplicht\w*|misdrij\w+|aangeven|aangifte"
    r"|law|laws|legal\w*|gdpr|right to|judge|court|crimes?|duty|obliged|statut\w+"
    r"|(een|je) werkgever moet|moet je werkgever|employer must|in nederland|in the netherlands)\b",
    re.IGNORECASE,
)
# Texts that only look like it: the country of a telephone number or a clock, a counsellor who does
# not judge.
NOT_OF_IT = {"code.sexual_violence", "crisis.suicide", "role.lead", "technical.how8"}


@functools.cache
def every_test() -> set[str]:
    """Return the names of all tests."""
    files = [path for path in TESTS.rglob("test_*.py") if "node_modules" not in path.parts]
    named = (re.findall(r"^def (\w+)", path.read_text("utf-8"), re.M) for path in files)
    return {name for each in named for name in each}


@pytest.mark.parametrize("key", PROMISES)
def test_each_promise_names_existing_tests(key: str) -> None:
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
