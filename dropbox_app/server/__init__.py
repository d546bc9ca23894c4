"""The server: public keys only."""
