"""Write ``site.toml``: a new file for ``init``, or an existing file with other origins."""

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from dropbox_app.server.config.settings import Settings, parse
from dropbox_app.server.config.toml_fields import string
from dropbox_app.server.errors import SettingsError


def with_origins(
    text: str,
    path: Path,
    public: Sequence[str] | None = None,
    desks: Sequence[str] | None = None,
) -> str:
    """Return the same settings with other origins. Comments are kept where possible.

    Raises SettingsError for an invalid origin.
    """
    before, changed = parse(text, path), text
    after = replace(
        before,
        origins=before.origins if public is None else tuple(public),
        desk_origins=before.desk_origins if desks is None else tuple(desks),
    )
    for key, wanted in (("origins", public), ("desk_origins", desks)):
        if wanted is not None:
            changed = _with_list(changed, key, wanted)
    # An IPv6 address contains brackets. In that case the file is rewritten as ``init`` writes it.
    try:
        if parse(changed, path) == after:
            return changed
    except SettingsError:
        pass
    written = write(after)
    parse(written, path)
    return written


def with_store(text: str, path: Path, store: str) -> str:
    """Return the same settings with another store. Comments are kept if possible.

    Raises SettingsError for a wrong address.
    """
    after = replace(parse(text, path), store=store)
    line = f"store = {string(store)}"
    changed, found = re.subn(r"^store\s*=.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    if not found:  # the file is from an older version
        changed = re.sub(r"^origins\s*=", lambda at: f"{line}\n{at[0]}", text, count=1, flags=re.M)
    try:
        if parse(changed, path) == after:
            return changed
    except SettingsError:
        pass  # a wrong address is also rejected below
    written = write(after)
    parse(written, path)
    return written


def _with_list(text: str, key: str, wanted: Sequence[str]) -> str:
    line = f"{key} = {_toml_list(wanted)}"
    there = re.compile(rf"^{key}\s*=\s*\[[^\]]*\]", re.MULTILINE)
    if there.search(text):
        return there.sub(lambda _: line, text, count=1)
    # The file was written by an older version and lacks this key.
    return re.sub(r"^origins\s*=", lambda found: f"{line}\n{found[0]}", text, count=1, flags=re.M)


def write(settings: Settings) -> str:
    """Return ``site.toml`` as ``init`` writes it: every setting with an explanation."""
    texts = {"site": settings.site, "name": settings.name, "run_by": settings.run_by}
    texts |= {"controller": settings.controller, "phone": settings.phone}
    texts |= {"hours": settings.hours, "leave_to": settings.leave_to, "store": settings.store}
    shown: dict[str, str] = {key: string(value) for key, value in texts.items()}
    rows = [
        f"    {{ number = {string(row.number)}, nl = {string(row.nl)}, en = {string(row.en)} }},\n"
        for row in settings.crisis
    ]
    shown["crisis"] = f"[\n{''.join(rows)}]" if rows else "[]"
    rows = [
        f"    {{ card = {string(row.card)}, phone = {string(row.phone)}, "
        f"hours = {string(row.hours)} }},\n"
        for row in settings.telephones
    ]
    shown["telephones"] = f"[\n{''.join(rows)}]" if rows else "[]"
    other = settings.other_contact
    shown["other_contact"] = f"{{ name = {string(other.name)}, phone = {string(other.phone)} }}"
    shown["origins"] = _toml_list(settings.origins)
    shown["desk_origins"] = _toml_list(settings.desk_origins)
    shown["languages"] = _toml_list(settings.languages)
    shown["run_by_is_employer"] = str(settings.run_by_is_employer).lower()
    shown["response_days"] = str(settings.response_days)
    law = settings.law
    for key in ("draft", "author", "read_by"):
        shown[f"law_{key}"] = string(getattr(law, key))
    shown["law_read_on"] = str(law.read_on) if law.read_on else '""'
    shown["seal_in_browser"] = str(settings.reporter.seal_in_browser).lower()
    for group in (settings.retention, settings.limits):
        shown |= {item.name: str(getattr(group, item.name)) for item in fields(group)}
    return _TEMPLATE.format_map(shown)


def _toml_list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(string(text) for text in texts) + "]"


_TEMPLATE = """\
# Settings of this site. After a change: `klankbord-server site check`, then SIGHUP to the server
# (`systemctl reload klankbord`).

# The site id. Never change it: it is part of every code, so without it no code works.
site = {site}

# The organisation, as reporters read it.
name = {name}

# Every address of the site, as scheme://host[:port] in lower case. Plain http is only for .onion
# and for this machine itself.
origins = {origins}

# Addresses for desks only, such as an onion address that only clients with a key can reach. If
# there are any, the server responds to desks only there, and to reporters only elsewhere.
desk_origins = {desk_origins}

# Who runs this server. The pages say so.
run_by = {run_by}
# Whether that is the employer. If so, the pages say what the employer could see.
run_by_is_employer = {run_by_is_employer}

# Who is the controller in the sense of the GDPR, and how to reach them. The privacy page names
# them, or says that nobody is named.
controller = {controller}

# The counsellor's telephone number: the drop box is never the only way.
phone = {phone}
# The hours when somebody answers that telephone.
hours = {hours}

# Counsellors with a telephone number of their own, by the card's name that `card list` shows.
# `hours` may be left out. Example: {{ card = "els", phone = "030 123 45 67", hours = "9-17" }}
telephones = {telephones}

# Whom reporters can call if the report is about a counsellor: somebody who is not a counsellor
# here, such as a colleague elsewhere. If a site with one counsellor names nobody, `site check` and
# `doctor` report it as wrong.
other_contact = {other_contact}

# The languages of the pages: "nl" and "en" always, and "pl", "uk" or "ar" (Polish, Ukrainian,
# Arabic) if you add them: drafts that no native speaker has read. Codes stay Dutch or English.
languages = {languages}

# Where "Leave quickly" leads: a harmless website that does not block Tor.
leave_to = {leave_to}

# The number of working days within which a counsellor answers. The pages promise this, and each
# desk must fetch that often. After two more working days without a fetch, the pages say that nobody
# has looked.
response_days = {response_days}

# Whom to call for immediate help, instead of 112 and 113: at most six tables such as
# {{ number = "112", nl = "Direct gevaar", en = "Immediate danger" }}
crisis = {crisis}

# Where the conversations are: empty for a file in this folder, which is right for nearly everybody,
# or the address of a PostgreSQL database. Without a password: `?passfile=/PATH` names its file.
store = {store}

# How a reporter's browser takes part.
[reporter]
# Whether browsers with JavaScript seal messages and files themselves, so that they and the code
# leave the reporter's device only sealed. This is new: leave it off until others have tried it.
seal_in_browser = {seal_in_browser}

# How long things are kept, in days.
[retention]
# A reporter's messages and files, after each addressed counsellor has fetched them.
reporter_items = {reporter_items}
# A counsellor's messages and files, after each addressed counsellor has fetched them.
counsellor_items = {counsellor_items}
# The maximum, while an addressed counsellor has not fetched them.
unfetched = {unfetched}
# A conversation, after the last message from either side.
idle = {idle}
# How long before a conversation ends its page announces this.
notice = {notice}
# A conversation that would expire during an announced absence, after that absence.
absence = {absence}
# After this long without a fetch, a desk may be gone: its reporters' data is not removed.
silent_desk = {silent_desk}
# The list of withdrawn conversations. Must be more than `backup`.
withdrawn_ids = {withdrawn_ids}
# How long a backup may be kept, including copies elsewhere. The server keeps its own for 14 days,
# or for this many if that is less.
backup = {backup}

# The largest sizes that are accepted, in bytes unless stated otherwise.
[limits]
# All free text in one message.
text = {text}
# One file, before it is sealed.
file = {file}
# The number of files in one message.
files_per_message = {files_per_message}
# One conversation. Files leave room for messages: message_bytes, or a tenth if that is less.
mailbox_bytes = {mailbox_bytes}
# The number of messages in one conversation, half for the reporter and half for the counsellors. At
# least 10.
messages = {messages}
# The total size of these messages, sealed, divided in the same way. At least 1048576.
message_bytes = {message_bytes}
# All conversations. Files are accepted up to 85 %, reporters' texts up to 95 %, answers up to all.
site_bytes = {site_bytes}
# Below this much free disk space no reporters' texts are accepted, below twice as much no files,
# and below half of it no answers.
free_bytes = {free_bytes}

# The legal text on the pages about exceptions and privacy: a draft from this program, or
# texts of your own in content/nl/law-exceptions.md, content/nl/law-privacy.md and the same in
# content/en. No lawyer has read the drafts.
[law]
# The draft that the pages show if the site has no text of its own: general, education or
# government.
draft = {law_draft}
# Who wrote the site's own texts.
author = {law_author}
# The lawyer who read the text that is shown. Only together with `read_on`.
read_by = {law_read_by}
# The day of that reading, such as 2026-11-29 without quotes.
read_on = {law_read_on}
"""
