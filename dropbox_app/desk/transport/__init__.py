"""The connection to a site: HTTP, proxies and Tor."""
