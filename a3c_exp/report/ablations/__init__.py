"""Ablations: claims, controlled comparisons, and the verdict on each claim."""
