"""A3C in virtual time: asynchronous updates in a seeded order, the same bit for bit whenever repeated."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.parallelism.deterministic.strategy import Deterministic as Deterministic
    from a3c_exp.parallelism.deterministic.virtual_time import VirtualTimeRule as VirtualTimeRule
    from a3c_exp.parallelism.deterministic.worker_schedule import WorkerSchedule as WorkerSchedule
else:
    __getattr__, __all__ = lazy_exports(
        __name__, Deterministic="strategy", VirtualTimeRule="virtual_time", WorkerSchedule="worker_schedule"
    )
