"""The server, which has only public keys and stores nothing that it can open by itself."""
