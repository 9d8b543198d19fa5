"""``python -m a3c_exp.runs``: run directories, written, found, read, filtered and ranked."""
