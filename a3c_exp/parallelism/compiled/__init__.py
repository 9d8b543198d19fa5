"""Whole rounds and series of updates as compiled code."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.parallelism.compiled.fused_rollout import FusedRollout as FusedRollout
    from a3c_exp.parallelism.compiled.fused_step import FusedStep as FusedStep
    from a3c_exp.parallelism.compiled.sequential_updates import SequentialUpdates as SequentialUpdates
else:
    __getattr__, __all__ = lazy_exports(
        __name__, FusedRollout="fused_rollout", FusedStep="fused_step", SequentialUpdates="sequential_updates"
    )
