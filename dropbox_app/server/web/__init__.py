"""The HTTP server: the site without JavaScript, the reporter API, and the desk API."""
