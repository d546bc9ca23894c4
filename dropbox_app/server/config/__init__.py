"""The operator's files: the settings, addresses and custom pages of each site."""
