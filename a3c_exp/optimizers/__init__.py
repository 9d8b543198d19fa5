"""Optimizers whose weights and state are flat vectors, which workers can share."""
