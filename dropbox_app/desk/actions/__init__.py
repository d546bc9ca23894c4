"""Everything that a user can do at the desk, from the command line or on the page.

An action takes an opened desk (``Workplace``) and a request, and returns what to show. It never
prints, prompts or uses a terminal. It raises the errors of ``desk/errors.py``, whose sentences are
shown to the user.
"""
