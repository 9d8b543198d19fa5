"""Where a run's records go: JSON lines on disk, the terminal, Weights & Biases."""
