"""The desk's sealed storage on the counsellor's disk."""
