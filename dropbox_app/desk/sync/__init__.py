"""Fetching from a site and sending to it."""
