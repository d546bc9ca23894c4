"""The pages, one module for each."""

from flask import Blueprint

from dropbox_app.desk.web.views import (
    agenda,
    away,
    backups,
    beginning,
    cards,
    case,
    cases,
    contact,
    employers,
    entering,
    entry,
    fetching,
    files,
    posters,
    save_all,
    settings,
    snippets,
    thread,
    threads,
    today,
)

BLUEPRINTS: tuple[Blueprint, ...] = (
    entering.blueprint,
    today.blueprint,
    fetching.blueprint,
    files.blueprint,
    save_all.blueprint,
    thread.blueprint,
    threads.blueprint,
    contact.blueprint,
    cases.blueprint,
    case.blueprint,
    entry.blueprint,
    employers.blueprint,
    agenda.blueprint,
    beginning.blueprint,
    cards.blueprint,
    away.blueprint,
    posters.blueprint,
    backups.blueprint,
    settings.blueprint,
    snippets.blueprint,
)
