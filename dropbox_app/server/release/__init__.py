"""Code with which a server verifies and installs a release. Nothing that serves imports it."""
