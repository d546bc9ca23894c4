"""Opened threads: their files, whose turn it is (``turn``), and their list row (``summary``)."""
