"""Weights & Biases, in a process of its own that a run never waits for."""
