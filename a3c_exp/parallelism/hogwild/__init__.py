"""A3C as published: processes push to and pull from shared weights, and none waits for another."""
