"""The data that templates show, computed before rendering."""
