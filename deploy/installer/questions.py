"""Ask for everything that no option specifies, and check each answer before the next question.

Part of ``deploy/install``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from installer import domain, notify
from installer.machine import say, stop

_YES, _NO = ("yes", "y", "ja", "j"), ("no", "n", "nee")


def ask(asked: argparse.Namespace, there: bool) -> None:
    """Ask about a new site and its domain. An existing site keeps its settings."""
    if asked.domain and not domain.NAME.fullmatch(asked.domain):
        stop(f"{asked.domain!r} is no domain such as box.example.org")
    if there and asked.domain is None:
        asked.domain = domain.there()
        if not asked.domain and domain.caddy_is_ours():
            stop(f"no domain can be read from {domain.CADDYFILE}; give it with --domain")
    if not there:
        if "" in (asked.name, asked.run_by):
            stop("the pages need both: the name of the organisation, and who runs the server")
        _ask_new(asked)
    for option in ("name", "run_by", "domain", "phone", "hours", "controller"):
        setattr(asked, option, getattr(asked, option) or "")
    asked.other_contact = tuple(asked.other_contact or ("", ""))


def _ask_new(asked: argparse.Namespace) -> None:
    needed = {"--name": asked.name, "--run-by": asked.run_by, "--domain": asked.domain}
    missing = [option for option, value in needed.items() if value is None]
    if not sys.stdin.isatty():
        if missing:
            stop(f"nobody is there to answer; give {', '.join(missing)}")
        return
    if asked.name is None:
        asked.name = _until("Name of the organisation, as reporters read it", _something)
    if asked.run_by is None:
        asked.run_by = _until("Who runs this server, as reporters read it", _something)
        # Only a clear "no" counts as no: otherwise reporters would not be told who could read
        # along.
        asked.run_by_employer |= _yes("Is that the employer? yes or no")
    if asked.phone is None:
        asked.phone = _answer("Telephone of the counsellor, for who would rather call; empty: none")
    if asked.phone and asked.hours is None:
        asked.hours = _answer("The hours when it is answered; empty: not shown")
    if asked.controller is None:
        asked.controller = _answer(
            "Who answers for the personal data, and how to reach them (controller); empty: none yet"
        )
    if asked.other_contact is None:
        name = _answer("Whom to call if it is about a counsellor: a name; empty: none yet")
        asked.other_contact = (
            name,
            _until("The telephone of that one", _something) if name else "",
        )
    if asked.domain is None:
        asked.domain = _until("Domain of your own; empty: onion only", _domain)


def ask_mail(asked: argparse.Namespace, there: bool) -> None:
    """Ask about the daily mail, but only at the first installation. The default is no.

    A restore asks nothing, because the operator may leave it unattended.
    """
    if asked.mail is None:
        asked.mail = notify.COMMAND.exists()
        if not there and not asked.restore and sys.stdin.isatty():
            asked.mail = _yes(
                "One mail a day that tells each counsellor whether to look? yes or no; empty: no",
                empty="no",
            )


def _something(answer: str) -> str:
    return "" if answer else "It cannot be empty."


def _domain(answer: str) -> str:
    fits = not answer or domain.NAME.fullmatch(answer)
    return "" if fits else "That is no domain such as box.example.org."


def _yes(question: str, empty: str = "") -> bool:
    def fault(answer: str) -> str:
        clear = (answer.lower() or empty) in _YES + _NO
        return "" if clear else "Please answer yes or no (ja or nee)."

    return (_until(question, fault).lower() or empty) in _YES


def _until(question: str, fault: Callable[[str], str]) -> str:
    """Ask until the answer is valid."""
    while wrong := fault(answer := _answer(question)):
        say(wrong)
    return answer


def _answer(question: str) -> str:
    try:
        return input(f"{question}: ").strip()
    except EOFError:
        stop("that was the end of the answers; nothing was changed")
