"""The rules of mailboxes: submit, reply, withdraw, expire. The rules open no sealed file."""
