"""One extension of each kind: two environments, a model, an optimizer, a parallelism and a logger."""
