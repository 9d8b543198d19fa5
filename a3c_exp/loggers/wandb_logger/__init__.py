"""Weights & Biases, in a process of its own that a run never waits for."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.loggers.wandb_logger.logger import WandbLogger as WandbLogger
