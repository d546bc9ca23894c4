"""Determine the type and contents of untrusted files, without opening them in this process."""
