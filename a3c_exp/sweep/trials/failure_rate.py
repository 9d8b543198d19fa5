"""Whether a study's trials fail so often that it should stop, and for which reason."""

import re
from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from a3c_exp.runs.study_storage import REASON, RETRYABLE

_MIN_TRIALS = 3
"""Trials that may fail before all failing means that something is wrong with the configuration."""


def study_stop_reason(trials: Sequence[FrozenTrial], max_failure_rate: float, n_jobs: int, n_trials: int) -> str | None:
    """Why a study should stop, with the cause that most failures share; ``None`` if it should go on.

    Args:
        trials: that ended in this session: the cause of earlier failures may have been removed since.
        max_failure_rate: of the study.
        n_jobs: trials at a time; the first batch runs to its end.
        n_trials: of the study.
    """
    ended = [trial for trial in trials if trial.state.is_finished() and not trial.user_attrs.get(RETRYABLE)]
    failed = [trial for trial in ended if trial.state is TrialState.FAIL]
    if len(ended) < min(max(_MIN_TRIALS, n_jobs), n_trials) or len(failed) < max_failure_rate * len(ended):
        return None
    cause, times = common_cause([str(trial.user_attrs.get(REASON, "unknown")) for trial in failed])
    share = "all of them" if times == len(failed) else f"{times} of them"
    return f"{len(failed)} of {len(ended)} trials failed (max_failure_rate={max_failure_rate:g}), {share} with: {cause}"


def common_cause(reasons: Sequence[str]) -> tuple[str, int]:
    """The most frequent reason, numbers in it aside, and how many have it.

    >>> common_cause(["worker 1: NaN", "worker 2: NaN", "killed"])
    ('worker 1: NaN', 2)
    """
    alike = [re.sub(r"\d+", "#", reason) for reason in reasons]
    most, times = Counter(alike).most_common(1)[0]
    return reasons[alike.index(most)], times
