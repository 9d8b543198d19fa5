"""Weights & Biases, in a process of its own that a run never waits for."""

from a3c_exp.loggers.wandb_logger.logger import WandbLogger

__all__ = ["WandbLogger"]
