"""A study stops when its configuration is wrong, and for no single failure."""

from dataclasses import replace

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from a3c_exp.runs.study_storage import REASON, RETRY_OF, RETRYABLE, SEED_STD
from a3c_exp.sweep.study.config import Objective
from a3c_exp.sweep.study.study_snapshot import StudySnapshot, ended_line, status_line
from a3c_exp.sweep.trials.trial_queue import study_stop_reason
from tests.support.studies import settings


def trials(*ends: str | float, **attributes: object) -> list[FrozenTrial]:
    """A number completes with that value; a word fails for that reason."""
    study = optuna.create_study()
    for end in ends:
        complete = isinstance(end, float)
        about = attributes if complete else {REASON: end, **attributes}
        state = TrialState.COMPLETE if complete else TrialState.FAIL
        study.add_trial(create_trial(state=state, value=end if complete else None, user_attrs=about))  # type: ignore[arg-type]
    return study.trials


def why(trials: list[FrozenTrial], rate: float = 1.0, n_jobs: int = 1, n_trials: int = 60) -> str | None:
    return study_stop_reason(trials, settings(max_failure_rate=rate, n_jobs=n_jobs, n_trials=n_trials))


def test_a_first_batch_that_fails_whole_stops_the_study_with_the_common_cause() -> None:
    assert why(trials("no such task", "no such task")) is None, "two may be a coincidence"
    said = why(trials("worker 1: nan", "worker 2: nan", "killed by SIGKILL"))
    assert said == "3 of 3 trials failed (max_failure_rate=1), 2 of them with: worker 1: nan"
    assert why(trials("a", "a", "a"), n_jobs=4) is None, "the first batch runs to its end"
    assert why(trials("a", "a"), n_trials=2) == "2 of 2 trials failed (max_failure_rate=1), all of them with: a"


def test_one_success_keeps_a_study_going_unless_a_lower_rate_was_asked_for() -> None:
    mixed = trials("a", "a", 1.0, "a")
    assert why(mixed) is None
    assert "3 of 4 trials failed" in (why(mixed, rate=0.75) or "") and why(mixed, rate=0.8) is None


def test_a_trial_that_is_retried_is_no_failure() -> None:
    assert why(trials("stopped by Ctrl-C", "stopped by Ctrl-C", "stopped by Ctrl-C", **{RETRYABLE: True})) is None


def view(ended: list[FrozenTrial], *objectives: Objective) -> StudySnapshot:
    chosen = objectives or (Objective("evaluation.mean", "maximize"),)
    return StudySnapshot(replace(settings(study_name="s", n_trials=4), objectives=chosen), ended, set())


def test_the_best_is_the_one_that_the_direction_asks_for() -> None:
    ended = trials(-5.0, -1.0, "broken", -3.0)
    assert [trial.number for trial in view(ended).best] == [1]
    assert [trial.number for trial in view(ended, Objective("wall_time", "minimize")).best] == [0]
    assert status_line(view(ended)) == "4 of 4 trials: 3 complete, 1 failed | best -1.000 (trial 1)"
    assert ended_line(ended[2]) == "trial 2 failed: broken"
    assert view([]).best == [] and view([]).format_counts() == "0 of 4 trials"


def test_a_trial_that_is_retried_is_shown_once() -> None:
    study = optuna.create_study()
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={RETRYABLE: True, REASON: "gone"}))
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=2.0, user_attrs={RETRY_OF: 0, SEED_STD: [12.3]}))
    assert status_line(view(study.trials)) == "1 of 4 trials: 1 complete | best 2 ± 12 (trial 1)"


def test_of_several_objectives_none_is_the_best_that_another_beats_in_everything() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ([1.0, 5.0], [2.0, 9.0], [0.5, 6.0], [2.0, 9.5]):
        study.add_trial(create_trial(state=TrialState.COMPLETE, values=values))
    both = (Objective("evaluation.mean", "maximize"), Objective("wall_time", "minimize"))
    assert [trial.number for trial in view(study.trials, *both).best] == [0, 1]
    assert {trial.number for trial in study.best_trials} == {0, 1}
