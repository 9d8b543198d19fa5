"""A3C in virtual time: asynchronous updates in a seeded order, the same bit for bit whenever repeated."""
