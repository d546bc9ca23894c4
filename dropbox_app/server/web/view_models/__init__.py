"""The data that templates show, computed before they are rendered."""
