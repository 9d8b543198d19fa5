"""A3C in virtual time: asynchronous updates in a seeded order, the same bit for bit whenever repeated."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.deterministic.strategy import Deterministic as Deterministic
    from a3c_exp.parallelism.deterministic.worker_schedule import WorkerSchedule as WorkerSchedule
