"""All actions of a user at the desk, for the command line and the page alike.

An action takes an opened desk (``Workplace``) and a request, and returns the data to show. It never
prints, prompts or uses a terminal. It raises the errors of ``desk/errors.py``, whose sentences are
shown to the user.
"""
