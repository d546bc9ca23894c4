"""What the operator wrote: settings, addresses and own pages of each site."""
