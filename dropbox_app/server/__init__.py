"""The server, which has only public keys and cannot by itself open the data that it stores."""
