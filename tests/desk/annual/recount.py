"""Recount a year from a diary of events, without using the program's code.

Reads one line of JSON per event from standard input. Writes to standard output, for each employer,
the situations of both counsellors, the numbers that the external one left out, the ranges that its
report may print, the total of its bill, and the counsellor's hours by kind. The year is the first
argument. Only Python's standard library is imported.
"""

import collections
import json
import sys
from typing import Any

Diary = list[dict[str, Any]]
GROUPS = ("unwanted_behaviour", "integrity", "labour_conflict", "other")


def situations(
    diary: Diary, employer: str, year: int, by: str
) -> tuple[collections.Counter[str], int, int]:
    """Return one counsellor's situations by group, and how many are left out.

    These are the numbers left out due to complaints, and because the other counsellor counts them.
    """
    mine = [one for one in diary if one["by"] == by and one.get("at") == employer]
    came = {one["who"]: one for one in mine if one["what"] == "came"}
    circle = {who: who for who in came}  # the name shared by everybody in one situation
    for one in mine:
        if one["what"] == "together":
            old, new = circle[one["who"]], circle[one["with"]]
            circle = {who: new if name == old else name for who, name in circle.items()}
    complaints = [one for one in mine if one["what"] == "complaint"]
    told = {one["who"] for one in complaints if one["day"] <= f"{year}-12-31"}
    elsewhere = {one["who"] for one in mine if one["what"] == "colleague counts"}
    found: collections.Counter[str] = collections.Counter()
    left_out = by_other = 0
    for name in set(circle.values()):
        members = [who for who in circle if circle[who] == name]
        first = came[min(members, key=lambda who: came[who]["day"])]
        if first["day"].startswith(str(year)):
            if told.intersection(members):
                left_out += 1
            elif elsewhere.intersection(members):
                by_other += 1
            else:
                found[first["about"] or "other"] += 1
    return found, left_out, by_other


def printed(count: int) -> str:
    """Return the range of a count in the words of a Dutch report."""
    if count > 39:
        return "40 of meer"
    if count > 19:
        return "20 tot en met 39"
    return "10 tot en met 19" if count > 9 else "0 tot en met 9"


def counted(diary: Diary, employer: str, year: int) -> dict[str, object]:
    """Return everything that can be counted for one employer in the year."""
    own = [one for one in diary if one.get("at") == employer]
    of_year = [one for one in own if one["day"].startswith(str(year))]
    (agreed,) = [one for one in own if one["what"] == "agreed" and one["by"] == "external"]
    groups, left_out, by_other = situations(diary, employer, year, "external")
    groups += situations(diary, employer, year, "internal")[0]
    if agreed["people"] < 250:
        ranges = []
    elif agreed["people"] < 1000:
        ranges = [printed(sum(groups.values()))]
    else:
        ranges = [printed(groups[group]) for group in GROUPS]
    minutes: collections.Counter[str] = collections.Counter()
    for one in of_year:
        if one["by"] == "external" and "minutes" in one:
            minutes[one.get("work", "contact")] += one["minutes"]
    ordered = [one["price"] for one in of_year if one["what"] == "training"]
    hours = {work: round(total / 60, 1) for work, total in minutes.items()}
    return {
        "groups": [groups[group] for group in GROUPS],
        "left out": left_out,
        "by the other": by_other,
        "ranges": ranges,
        "bill": agreed["price"] + sum(ordered),
        "hours": hours,
        "minutes": minutes["contact"],
    }


def main() -> None:
    diary, year = [json.loads(line) for line in sys.stdin], int(sys.argv[1])
    learned = sum(
        one["minutes"]
        for one in diary
        if one["what"] == "learned" and one["day"].startswith(str(year))
    )
    employers = sorted({one["at"] for one in diary if "at" in one})
    made = {employer: counted(diary, employer, year) for employer in employers}
    json.dump({"employers": made, "upkeep": learned // 60}, sys.stdout)


if __name__ == "__main__":
    main()
