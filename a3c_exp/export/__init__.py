"""``python -m a3c_exp.export``: the weights of a run as a small folder for others to use."""
