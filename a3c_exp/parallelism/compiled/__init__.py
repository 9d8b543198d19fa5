"""Rounds and updates as native code, for environments written in tensors."""
