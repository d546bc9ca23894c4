"""Finds out what a stranger's file is and holds, without opening it in this process."""
