"""``klankbord-desk``: the counsellor's commands."""
