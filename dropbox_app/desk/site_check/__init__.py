"""Compare a reporter's site with the release, as an ordinary visitor sees it.

``release``   reads the manifest, the templates and the catalogues of this release.
``values``    the values of the templates: known texts, and slots for what only the site knows.
``shapes``    turns a template into the shape of a page: fixed text, alternatives and slots.
``matching``  compares a page with its shape and returns the contents of the slots.
``visit``     requests pages as a browser does.
``compare``   compares one visit with the release, a second visit and the last check.
"""
