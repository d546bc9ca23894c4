"""Everything that a person can do at the desk, for the command line and for the page.

An action takes an opened desk (``Workplace``) and a request, and returns what there is to show. It
prints nothing, asks nothing and uses no terminal. Its errors are those of ``desk/errors.py``, whose
sentences the person reads.
"""
