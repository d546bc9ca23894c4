"""Everything that a person can do at the desk: the one way for the command line and for a page.

An action takes an opened desk (``Workplace``) and what was asked, and returns what there is to
show. It prints nothing, asks nothing and knows no terminal; what can go wrong is an error of
``desk/errors.py`` whose sentence the person reads.
"""
