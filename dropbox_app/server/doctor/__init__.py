"""Checks of a server and its host, which change nothing."""
