"""Training with all workers in one process: what every such parallelism shares, and synchronous A2C."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.single_process.base import SingleProcessStrategy as SingleProcessStrategy
    from a3c_exp.parallelism.single_process.pending_gradients import PendingGradients as PendingGradients
    from a3c_exp.parallelism.single_process.seed_training import SeedTraining as SeedTraining
    from a3c_exp.parallelism.single_process.synchronous import Synchronous as Synchronous
    from a3c_exp.parallelism.single_process.update_rule import UpdateRule as UpdateRule
