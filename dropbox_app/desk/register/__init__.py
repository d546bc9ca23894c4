"""The counsellor's register: typed and validated events, and pure rules about them."""
