"""Training with all workers in one process: what every such parallelism shares, and synchronous A2C."""

from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.parallelism.single_process.pending_gradients import PendingGradients, WorkerGradient
from a3c_exp.parallelism.single_process.seed_training import SeedTraining
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.parallelism.single_process.update_rule import UpdateRule

__all__ = ["PendingGradients", "SeedTraining", "SingleProcessStrategy", "Synchronous", "UpdateRule", "WorkerGradient"]
