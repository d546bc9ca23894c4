"""The pages, one module for each."""

from flask import Blueprint

from dropbox_app.desk.web.views import entering, fetching, files, thread, threads, today

BLUEPRINTS: tuple[Blueprint, ...] = (
    entering.blueprint,
    today.blueprint,
    fetching.blueprint,
    files.blueprint,
    thread.blueprint,
    threads.blueprint,
)
