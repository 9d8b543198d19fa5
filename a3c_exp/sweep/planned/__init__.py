"""Sweeps that keep their plan: reserved before the first run begins, and gone on with until every run has finished."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.planned.planning import plan_sweep as plan_sweep
    from a3c_exp.sweep.planned.resume import planned_sweep as planned_sweep
    from a3c_exp.sweep.planned.sweeper import sweep as sweep
