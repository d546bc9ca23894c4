"""The fixed words of the register: the allowed values of fields that are not free text.

Each word is stored and exported in English as shown here, whatever language the counsellor uses.
"""

from collections.abc import Mapping

# Sub-categories by main group. Each sub-category belongs to one group only.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "unwanted_behaviour": (
        "bullying_excluding", "bullying_gossip", "bullying_belittling", "bullying_sabotage",
        "bullying_online", "sexual_remarks", "sexual_messages", "sexual_touching",
        "sexual_pressure", "sexual_assault", "discrimination_origin", "discrimination_sex",
        "discrimination_gender_identity", "discrimination_orientation", "discrimination_age",
        "discrimination_health", "discrimination_religion", "discrimination_other",
        "aggression_verbal", "aggression_threat", "aggression_physical", "aggression_damage",
        "aggression_stalking", "abuse_of_power",
    ),
    "integrity": (
        "theft_or_fraud", "bribery", "conflict_of_interest", "misuse_of_power_or_data", "danger",
        "rule_breaking", "privacy", "retaliation",
    ),
    "labour_conflict": (
        "cooperation", "management_style", "appraisal", "terms", "sickness", "dismissal",
        "workload",
    ),
    "other": ("procedure_question", "private_matter", "out_of_scope", "unknown"),
}  # fmt: skip
MAIN_GROUPS = tuple(GROUPS)
SUB_GROUPS = tuple(sub for subs in GROUPS.values() for sub in subs)

FORMS = ("A", "B", "C")
LEVELS = ("none", "minimal", "full")  # the levels of recording for a case
CHANNELS = (
    "drop_box", "telephone", "email", "meeting", "walk_in", "after_training", "third_party",
)  # fmt: skip
CONTACT_KINDS = ("message", "telephone", "video", "meeting", "joined_talk", "other")
WITH = ("reporter", "manager", "hr", "management", "committee", "other_counsellor", "third_party")
# A contact with any of these people is a step outside the confidential talk, and needs a consent.
OUTSIDE = tuple(one for one in WITH if one != "reporter")
IDENTITIES = ("anonymous", "alias", "known")
RELATIONS = (
    "employee", "manager", "former_employee", "intern", "hired", "volunteer", "applicant",
    "client", "relative", "unknown",
)  # fmt: skip
ROLES = ("affected", "witness", "for_someone_else", "accused")
ACCUSED = (
    "colleague", "line_manager", "senior_manager", "board_owner", "subordinate", "team",
    "outsider", "organisation", "unknown",
)  # fmt: skip
NEEDS = (
    "be_heard", "think_along", "information", "make_it_stop", "help_with_talk",
    "help_with_complaint", "dont_know",
)  # fmt: skip
PHASES = (
    "new", "in_contact", "waiting_for_reporter", "informal", "formal", "aftercare", "closed",
    "reopened",
)  # fmt: skip
HELP = (
    "listening", "informing", "advice", "informal_support", "joining_a_talk", "referral",
    "formal_support", "aftercare",
)  # fmt: skip
REFERRALS = (
    "other_counsellor", "manager", "hr", "company_doctor", "social_worker", "mediator",
    "complaints_committee", "reporting_officer", "whistleblowers_authority", "union_or_lawyer",
    "doctor_or_psychologist", "victim_support", "sexual_assault_centre", "discriminatie_nl",
    "labour_inspectorate", "police", "works_council",
)  # fmt: skip
OUTCOMES = (
    "heard_only", "solved_by_reporter", "solved_informally", "referred", "complaint_filed",
    "report_filed", "police_report", "left_the_job", "unsolved", "contact_ended", "out_of_scope",
)  # fmt: skip
ANSWERS = ("yes", "no", "tell_me_more", "withdrawn")
SOURCES = ("thread", "oral", "written")
COMPLAINTS = ("formal_complaint", "legal_report")
ACTIVITIES = ("training", "information", "talk_with_management", "poster", "other")
WORK = ("travel", "administration", "annual_report", "preparation", "other")
UPKEEP = ("training", "peer_supervision", "other")
CHECKLIST = (
    "complaints_procedure", "complaints_committee", "reporting_procedure", "code_of_conduct",
    "poster", "intranet", "onboarding", "managers_trained", "staff_informed", "reachability",
    "room", "stand_in", "risk_assessment", "aftercare_arranged",
)  # fmt: skip
CHECKED = ("yes", "partly", "no", "unknown")
# Advice for an employer whose checklist is complete.
REPEATED_ADVICE = ("repeat_training", "renew_posters", "try_the_procedure")
COUNSELLOR_KINDS = ("external", "internal")
SCOPES = ("both", "unwanted_behaviour", "integrity")
DISCUSSED_WITH = ("management", "works_council", "hr", "board", "committee")
BANDS = ("0-9", "10-19", "20-39", "40+")


def group_of(sub_group: str) -> str:
    """Return the main group of a sub-category."""
    return next(group for group, subs in GROUPS.items() if sub_group in subs)
