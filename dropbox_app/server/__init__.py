"""The server, which has only public keys and cannot open the sealed data that it stores."""
