"""One run from a checked configuration to a finished run directory."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.training.build import RunComponents as RunComponents, build_run as build_run
    from a3c_exp.training.run import RunIdentity as RunIdentity, StopCallback as StopCallback
    from a3c_exp.training.seed_runs import RunContext as RunContext
    from a3c_exp.training.trainer import Trainer as Trainer
