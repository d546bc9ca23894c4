"""Releases of Klankbord as a server checks and installs them. Nothing that serves imports this."""
