"""The pages, one module for each."""

from flask import Blueprint

from dropbox_app.desk.web.views import entering, fetching, files, save_all, thread, threads, today

BLUEPRINTS: tuple[Blueprint, ...] = (
    entering.blueprint,
    today.blueprint,
    fetching.blueprint,
    files.blueprint,
    save_all.blueprint,
    thread.blueprint,
    threads.blueprint,
)
