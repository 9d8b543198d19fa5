"""Optuna studies: their configuration, search space, signature, live table and best configuration."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.study.config import StudyConfig as StudyConfig
    from a3c_exp.sweep.study.planning import StudyPlan as StudyPlan, plan as plan
    from a3c_exp.sweep.study.sweeper import sweep as sweep
