"""The sentences of a check, in Dutch and English."""

import functools
import importlib.resources
import tomllib
from collections.abc import Mapping

from dropbox_app.desk.site_check.findings import Finding, Kept

LANGUAGES = ("nl", "en")


@functools.cache
def _words(lang: str) -> Mapping[str, Mapping[str, str]]:
    folder = importlib.resources.files("dropbox_app.desk.site_check")
    return tomllib.loads((folder / f"{lang}.toml").read_text("utf-8"))


def said(lang: str, key: str) -> str:
    """Return a sentence about a whole check."""
    return _words(lang)["result"][key]


def sentence(lang: str, finding: Finding) -> str:
    """Return a finding as a sentence."""
    told, given = _words(lang), {"where": finding.where, **finding.said}
    key = finding.kind
    if key == "changed":
        given["what"] = _value(told["value"], given.get("value", ""))
        for name in ("old", "new"):
            part = told["changed"][name].format(**{name: given.get(name, "")})
            given[name] = part if given.get(name) else ""
    if key == "version":
        given["version"] = told["version"][given.get("than") or "same"].format(
            name=given.get("name", "")
        )
        key = "version_proven" if given.get("proven") else key
    return told["finding"][key].format(**given)


def _value(names: Mapping[str, str], slot: str) -> str:
    """Return in words what a slot contains, by the longest known name with which the slot begins.

    For an organisation's own text, the page on which it is shown is added.
    """
    known = [name for name in names if name and slot.startswith(name)]
    said = names[max(known, key=len)] if known else names[""].format(name=slot)
    page = slot.partition(" ")[2]
    return f"{said} (/{page})" if page else said


def summary(lang: str, kept: Kept, *, first: bool = False) -> list[str]:
    """Return the result of a check as sentences: the outcome, each finding, what to do, limits."""
    outcome = "same" if kept.same else "differs" if kept.alarm else "asks"
    lines = [said(lang, outcome), *(sentence(lang, one) for one in kept.findings)]
    if kept.alarm:
        lines.append(said(lang, "do_alarm"))
    if first:
        lines.append(said(lang, "first"))
    lines.append(said(lang, "circuits" if kept.circuits else "direct"))
    lines.append(said(lang, "moment"))
    return lines
