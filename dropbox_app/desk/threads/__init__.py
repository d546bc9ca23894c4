"""Opened threads: their files, whose turn it is (``turn``), their row in a list (``summary``)."""
