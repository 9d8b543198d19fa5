"""The report on an Optuna study."""
