"""Networks with a policy head and a value head."""
