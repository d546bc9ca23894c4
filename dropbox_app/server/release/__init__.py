"""Verify and install a release of the server.

No module that serves requests imports this package.
"""
