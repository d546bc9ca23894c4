"""Explain to the counsellor why a report looks the way it does.

Only the counsellor sees the preview, and no file for the employer contains it, because the reason
for a figure reveals the figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk.annual.report import Seen, texts
from dropbox_app.desk.annual.suppression import Figure, Form
from dropbox_app.desk.annual.words import Found


@dataclass(frozen=True)
class Counts:
    """The numbers of situations that a report counts, and of those that it leaves out.

    ``total``: the situations that count, by main group; in a joint report, those of both
    counsellors. ``held``: the number of this counsellor's situations about which the employer
    received a complaint. ``by_colleague``: the number of situations marked as counted by a
    colleague. Situations that a colleague counts are left out only if the report ``is_joint``.
    """

    total: Mapping[str, int]
    held: int
    by_colleague: int
    is_joint: bool


def preview(
    seen: Seen,
    figures: Sequence[Figure],
    counts: Counts,
    advice: Sequence[str],
    found: Sequence[Found],
    shared_with: str,
    language: str,
) -> list[str]:
    """Return the sentences of the preview.

    ``found``: the passages found in the counsellor's own words. ``shared_with``: the other
    counsellor of a joint report, who knows their own part of its counts; "" if there is none.
    """
    say, own = texts(language), texts(language)["preview"]
    total = counts.total
    lines = [own["form"].format(form=seen.form, headcount=seen.headcount, last=seen.term[1])]
    lines.append(own["counted"].format(count=_amount(sum(total.values()), own)))
    if counts.held:
        lines.append(own["left_out"].format(count=counts.held))
    if counts.by_colleague and figures:
        key = "by_colleague" if counts.is_joint else "by_colleague_alone"
        lines.append(own[key].format(count=counts.by_colleague))
    if not figures:
        lines.append(own["A"])
    for one in figures:
        label = say["contacts"]["groups"].get(one.group, own["all"])
        count = total.get(one.group, 0) if one.group else sum(total.values())
        high = "…" if one.band.high is None else one.band.high
        lines.append(own["band"].format(label=label, count=count, band=f"{one.band.low}-{high}"))
    names = ", ".join(say["advice"]["names"][item] for item in advice)
    lines.append(own["advice"].format(items=names))
    if figures:
        lines.append(own["others"])
    if shared_with and figures:
        lines.append(own["joint"].format(other=shared_with))
        lines.append(own["joint_same"])
    if seen.form is not Form.A:
        lines.append(own["words"])
        lines += [own["titles"]] if any(one.title for one in seen.trainings) else []
    lines += [
        own["found"].format(found=f"“{one.text}” ({own['kinds'][one.kind]})") for one in found
    ]
    lines.append(own["question"])
    return lines


def near(names: Sequence[str], language: str) -> list[str]:
    """Return a question about other employers in the register with similar names."""
    say = texts(language)["preview"]
    return [say["near"].format(names=", ".join(names))] if names else []


def _amount(count: int, own: Mapping[str, Mapping[str, str]]) -> str:
    said = own["situations"]
    return said["one"] if count == 1 else said["many"].format(count=count)
