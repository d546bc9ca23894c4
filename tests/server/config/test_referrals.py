"""Places to get help: the program's list, and a site's own."""

import datetime
import re

import pytest

from dropbox_app.server.config import referrals
from dropbox_app.server.errors import ContentError

OWN = """compiled = 2026-11-01

[[referral]]
name = "Klachtencommissie"
topics = ["bullying"]
nl = "Een officiële klacht."
en = "An official complaint."
phone = "030 111 22 33"
checked = 2026-11-01
"""


def test_every_report_topic_has_entries_in_the_default_list_of_organisations() -> None:
    found = referrals.shipped().by_topic()
    assert list(found) == list(referrals.TOPICS)
    assert all(len(entries) >= 3 for entries in found.values())


def test_default_list_of_organisations_does_not_claim_that_its_numbers_were_checked() -> None:
    shipped = referrals.shipped()
    assert all(entry.checked is None for entry in shipped.entries)
    assert all(entry.stale(shipped.compiled) for entry in shipped.entries)


def test_checked_entry_is_stale_after_a_year() -> None:
    (entry,) = referrals.parse(OWN.encode(), "x").entries
    assert not entry.stale(datetime.date(2027, 11, 1))
    assert entry.stale(datetime.date(2027, 11, 2))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2026-11-01\n\n", '"today"\n\n', "compiled must be a day"),
        ("compiled", "made", "made is not a setting"),
        ('["bullying"]', '["love"]', "topics of the referral 'Klachtencommissie' must be some of"),
        ('["bullying"]', "[]", "has no topics"),
        ("030 111 22 33", "call us", "must be a telephone number"),
        ('nl = "Een officiële klacht."', "", "has no nl"),
        ("checked = 2026-11-01", "checked = true", "must be a day"),
        ("phone", "telephone", "telephone is not a setting"),
        ('checked = 2026-11-01', 'site = "https://x.example"', "must be a name such as"),
        ("[[referral]]", "[[referral", "this is not valid TOML"),
        ("Een", "\\u202eEen", "invisible character"),
    ],
)  # fmt: skip
def test_faults_in_a_list_of_organisations_are_reported(old: str, new: str, said: str) -> None:
    assert old in OWN
    with pytest.raises(ContentError, match=re.escape(said)):
        referrals.parse(OWN.replace(old, new, 1).encode(), "referrals.toml")


def test_size_of_a_list_of_organisations_is_limited() -> None:
    entry = OWN.partition("\n\n")[2]
    for text in ("compiled = 2026-11-01\n" + entry * 41, "#" * 20_000, "\xff"):
        with pytest.raises(ContentError):
            referrals.parse(text.encode("latin-1"), "x")
