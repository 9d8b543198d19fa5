"""Several runs at a time on this machine: what stands behind ``hydra/launcher=local``."""
