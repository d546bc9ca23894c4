"""What lies on the counsellor's disk, and how it is sealed."""
