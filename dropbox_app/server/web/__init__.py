"""The HTTP server: the site without JavaScript, and the desk API."""
