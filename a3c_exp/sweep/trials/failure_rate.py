"""Whether a study's trials fail so often that it is better stopped, and of what."""

import re
from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from a3c_exp.runs.study_storage import REASON, RETRYABLE

_MIN_TRIALS = 3
"""Trials that may fail before all failing means that something is wrong with the configuration."""


def study_stop_reason(trials: Sequence[FrozenTrial], max_failure_rate: float, n_jobs: int, n_trials: int) -> str | None:
    """Why a study should stop, with the cause that most failures share; ``None``: go on.

    Args:
        trials: that ended in this session: what failed in an earlier one may have been mended since.
        max_failure_rate: of the study.
        n_jobs: trials side by side; the first batch is let end.
        n_trials: of the study.
    """
    told = [trial for trial in trials if trial.state.is_finished() and not trial.user_attrs.get(RETRYABLE)]
    failed = [trial for trial in told if trial.state is TrialState.FAIL]
    if len(told) < min(max(_MIN_TRIALS, n_jobs), n_trials) or len(failed) < max_failure_rate * len(told):
        return None
    cause, times = common_cause([str(trial.user_attrs.get(REASON, "no reason known")) for trial in failed])
    share = "all of them" if times == len(failed) else f"{times} of them"
    return f"{len(failed)} of {len(told)} trials failed (max_failure_rate={max_failure_rate:g}), {share} with: {cause}"


def common_cause(reasons: Sequence[str]) -> tuple[str, int]:
    """The reason that most have, numbers in it aside, and how many have it.

    >>> common_cause(["worker 1: NaN", "worker 2: NaN", "killed"])
    ('worker 1: NaN', 2)
    """
    alike = [re.sub(r"\d+", "#", reason) for reason in reasons]
    most, times = Counter(alike).most_common(1)[0]
    return reasons[alike.index(most)], times
