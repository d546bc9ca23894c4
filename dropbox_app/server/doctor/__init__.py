"""Checks a server and its host without changing anything."""
