"""The HTTP server: the reporters' pages, which do not need JavaScript, and the two APIs."""
