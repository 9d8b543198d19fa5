"""``python -m a3c_exp.play``: drive the car yourself."""
