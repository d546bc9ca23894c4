"""Finds out what a stranger's file is and contains, without opening it in this process."""
