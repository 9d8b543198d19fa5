"""One run from a checked configuration to a finished run directory."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.training.build import RunComponents as RunComponents
    from a3c_exp.training.build import build_run as build_run
    from a3c_exp.training.run import RunIdentity as RunIdentity
    from a3c_exp.training.run import StopCallback as StopCallback
    from a3c_exp.training.seed_runs import RunContext as RunContext
    from a3c_exp.training.trainer import Trainer as Trainer
else:
    __getattr__, __all__ = lazy_exports(
        __name__,
        RunComponents="build",
        RunContext="seed_runs",
        RunIdentity="run",
        StopCallback="run",
        Trainer="trainer",
        build_run="build",
    )
