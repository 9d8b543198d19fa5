"""What parallelisms with worker processes share: supervision, shared counters, locks, wake-ups."""
