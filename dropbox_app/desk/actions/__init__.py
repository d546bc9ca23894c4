"""All actions that a user can take at the desk, from the command line or from the page.

An action takes an open desk (``Workplace``) and a request, and returns the data to show. An action
never prints, prompts or uses a terminal. An action raises the errors of ``desk/errors.py``, whose
messages are shown to the user.
"""
