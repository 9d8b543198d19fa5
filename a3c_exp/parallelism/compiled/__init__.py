"""Whole rounds and series of updates as compiled code."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout as FusedRollout
    from a3c_exp.parallelism.compiled.fused_step import FusedStep as FusedStep
    from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates as SequentialUpdates
