"""Many runs by one command: sweeps and Optuna studies."""
