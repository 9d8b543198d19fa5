"""Worker processes: their loop, their supervision, and the budget and counters that they share."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy as MultiprocessStrategy
    from a3c_exp.parallelism.multiprocess.shared_counters import SharedCounters as SharedCounters
    from a3c_exp.parallelism.multiprocess.supervisor import Supervisor as Supervisor
    from a3c_exp.parallelism.multiprocess.worker_loop import Exchange as Exchange, WorkerLoop as WorkerLoop
