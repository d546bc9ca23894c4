"""Opened threads: their files, the next author (``turn``), and their list row (``summary``)."""
