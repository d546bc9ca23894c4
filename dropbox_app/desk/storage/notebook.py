"""The counsellor's own texts at this desk: notes on threads, snippets, settings.

The texts are stored in the database, and therefore in its backups. The counsellor's own texts are
never sent.
"""

from dropbox_app.desk.storage.database import Database


def note(database: Database, site: str, mailbox: str) -> str:
    """Return the note on a thread; "" if there is none."""
    found = database.run("SELECT text FROM note WHERE site = ? AND mailbox = ?", (site, mailbox))
    return str(found[0][0]) if found else ""


def notes(database: Database) -> list[tuple[str, str, str]]:
    """Return all notes on threads: site, mailbox and text."""
    found = database.run("SELECT site, mailbox, text FROM note ORDER BY site, mailbox")
    return [(str(site), str(mailbox), str(text)) for site, mailbox, text in found]


def keep_note(database: Database, site: str, mailbox: str, text: str) -> None:
    """Store a note on an existing thread; "" removes it."""
    if not text:
        database.run("DELETE FROM note WHERE site = ? AND mailbox = ?", (site, mailbox))
        return
    database.run("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (site, mailbox, text))


def snippets(database: Database) -> dict[tuple[str, str], str]:
    """Return the counsellor's own versions of snippets, by name and language."""
    found = database.run("SELECT name, language, text FROM snippet")
    return {(str(name), str(language)): str(text) for name, language, text in found}


def keep_snippet(database: Database, name: str, language: str, text: str) -> None:
    """Store the counsellor's own version of a snippet; "" removes it."""
    if not text:
        database.run("DELETE FROM snippet WHERE name = ? AND language = ?", (name, language))
        return
    database.run("INSERT OR REPLACE INTO snippet VALUES (?, ?, ?)", (name, language, text))


def report(database: Database, employer: str, year: int) -> str:
    """Return the text stored for a year's report that is not yet issued; "" if there is none."""
    sql = "SELECT value FROM setting WHERE name = ?"
    found = database.run(sql, (_report(employer, year),))
    return str(found[0][0]) if found else ""


def keep_report(database: Database, employer: str, year: int, text: str) -> None:
    """Store a text for the report of a year; "" removes it."""
    if not text:
        database.run("DELETE FROM setting WHERE name = ?", (_report(employer, year),))
        return
    keep_setting(database, _report(employer, year), text)


def report_years(database: Database, employer: str) -> list[int]:
    """Return the years for whose reports a text is stored."""
    found = [name.split(" ", 2) for name in settings(database) if name.startswith("report ")]
    return [int(year) for _, year, name in found if name == employer]


def _report(employer: str, year: int) -> str:
    return f"report {year} {employer}"


def settings(database: Database) -> dict[str, str]:
    """Return the settings that were chosen, by name."""
    return {str(name): str(value) for name, value in database.run("SELECT * FROM setting")}


def keep_setting(database: Database, name: str, value: str) -> None:
    """Store a setting."""
    database.run("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))
