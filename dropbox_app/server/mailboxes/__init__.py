"""The rules of mailboxes: submit, reply, withdraw, expire. No sealed file is opened here."""
