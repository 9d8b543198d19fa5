"""Tests run as workers do: one thread a process, set before anything numeric is imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
