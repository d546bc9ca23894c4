"""The schedule of the counsellor's sealing keys."""
