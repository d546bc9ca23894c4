"""The sentences of a check, in Dutch and English."""

import functools
import importlib.resources
import tomllib
from collections.abc import Callable, Mapping

from dropbox_app.desk.site_check.findings import Finding, Kept

LANGUAGES = ("nl", "en")


@functools.cache
def _words(lang: str) -> Mapping[str, Mapping[str, str]]:
    folder = importlib.resources.files("dropbox_app.desk.site_check")
    return tomllib.loads((folder / f"{lang}.toml").read_text("utf-8"))


def said(lang: str, key: str) -> str:
    """Return a sentence about a whole check."""
    return _words(lang)["result"][key]


def _same(text: str) -> str:
    return text


def sentence(
    lang: str,
    finding: Finding,
    kind: Callable[[str], str] = str,
    isolated: Callable[[str], str] = _same,
) -> str:
    """Return a finding as a sentence.

    ``kind`` is the type of the sentence: str, or a type that escapes the inserted values.
    ``isolated`` is applied to each text of the site.
    """
    told, said = _words(lang), {name: _writable(one) for name, one in finding.said.items()}
    given = {"where": _writable(finding.where)}
    given |= {name: isolated(one) if one else "" for name, one in said.items()}
    key = finding.kind
    if key == "changed":
        given["what"] = _value(told["value"], said.get("value", ""))
        for name in ("old", "new"):
            part = kind(told["changed"][name]).format(**{name: given.get(name, "")})
            given[name] = part if given.get(name) else ""
    if key == "version":
        version = kind(told["version"][said.get("than") or "same"])
        given["version"] = version.format(name=given.get("name", ""))
        key = "version_proven" if given.get("proven") else key
    return kind(told["finding"][key]).format(**given)


def _writable(text: str) -> str:
    """Return a text without lone surrogates, which could not be written or shown."""
    return text.encode("utf-8", "replace").decode()


def _value(names: Mapping[str, str], slot: str) -> str:
    """Describe a slot's contents in words, using the longest known prefix of the slot's name.

    For an organisation's own text, the page on which it is shown is added.
    """
    known = [name for name in names if name and slot.startswith(name)]
    said = names[max(known, key=len)] if known else names[""].format(name=slot)
    page = slot.partition(" ")[2]
    return f"{said} (/{page})" if page else said


def summary(
    lang: str,
    kept: Kept,
    *,
    first: bool = False,
    kind: Callable[[str], str] = str,
    isolated: Callable[[str], str] = _same,
) -> list[str]:
    """Return the result of a check as sentences: the outcome, each finding, what to do, limits.

    ``kind`` and ``isolated`` are as for ``sentence``.
    """
    outcome = "same" if kept.same else "differs" if kept.alarm else "asks"
    lines = [said(lang, outcome)]
    lines += [sentence(lang, one, kind, isolated) for one in kept.findings]
    if kept.alarm:
        lines.append(said(lang, "do_alarm"))
    if first and kept.values:
        lines.append(said(lang, "first"))
    lines.append(said(lang, "circuits" if kept.circuits else "direct"))
    lines.append(said(lang, "moment"))
    return lines
