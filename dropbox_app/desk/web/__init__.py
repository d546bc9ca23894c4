"""The desk's page: a web server on this computer, for one person with one browser."""
