"""The desk's storage on the counsellor's disk, and how it is sealed."""
