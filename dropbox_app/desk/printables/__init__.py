"""Printable files: poster, wallet cards, text for an intranet, recovery sheet."""
