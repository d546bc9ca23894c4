"""The rules of mailboxes: submit, reply, withdraw, expire. Opens no sealed file."""
