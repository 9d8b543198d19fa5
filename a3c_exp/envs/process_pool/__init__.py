"""Environments that step in processes of their own, over shared memory."""
