"""Backups of a whole server, sealed to the operator's key."""
