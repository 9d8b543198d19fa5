"""The trials of a study: queue, worker processes, pruning."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.sweep.trials.trial import run_trial as run_trial
    from a3c_exp.sweep.trials.trial_queue import TrialQueue as TrialQueue
    from a3c_exp.sweep.trials.trial_worker import run_trials as run_trials
    from a3c_exp.sweep.trials.trial_worker_pool import TrialWorkerPool as TrialWorkerPool
else:
    __getattr__, __all__ = lazy_exports(
        __name__, TrialQueue="trial_queue", TrialWorkerPool="trial_worker_pool", run_trial="trial", run_trials="trial_worker"
    )
