"""``python -m a3c_exp.report``: figures, tables and verdicts from run directories."""
