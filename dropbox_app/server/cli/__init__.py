"""``klankbord-server``: the operator's commands."""
