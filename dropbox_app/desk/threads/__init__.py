"""Opened threads and their files."""
