"""``python -m a3c_exp.evaluate``: a policy judged on held-out episodes."""
