"""The server. It holds public keys only, and stores nothing that it can open by itself."""
