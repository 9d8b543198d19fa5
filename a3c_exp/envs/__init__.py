"""Environments in batches: any gymnasium id, classic control, CarRacing, and environments written in tensors."""
