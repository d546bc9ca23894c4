"""The counsellor's register: events that are typed and checked, and pure rules on them."""
