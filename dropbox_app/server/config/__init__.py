"""The operator's files: settings, addresses and own pages of each site."""
