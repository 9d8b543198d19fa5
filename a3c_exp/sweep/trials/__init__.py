"""The trials of a study: queue, worker processes, pruning."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.sweep.trials.trial import run_trial as run_trial
    from a3c_exp.sweep.trials.trial_queue import TrialQueue as TrialQueue
    from a3c_exp.sweep.trials.trial_worker import run_trials as run_trials
