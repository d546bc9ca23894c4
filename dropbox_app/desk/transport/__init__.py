"""The way to a site: HTTP, proxies and Tor."""
