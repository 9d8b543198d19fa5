"""The trials of a study: queue, worker processes, pruning."""
