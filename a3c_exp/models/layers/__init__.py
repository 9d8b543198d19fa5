"""Layers that train stacked, one set of weights for each worker."""
