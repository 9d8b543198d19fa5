"""Estimates, intervals and tests; used by training, evaluation and the report."""
