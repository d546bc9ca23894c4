"""The HTTP server: the reporters' pages, which need no JavaScript, and the two APIs."""
