"""An Optuna study: its search space, its plan, its directory, its live table."""
