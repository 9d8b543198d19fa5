"""A study's trials: which there are, which may begin, and how each ended. Exactly as many run as were asked for."""

import contextlib
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from omegaconf import DictConfig
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages.journal import JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from a3c_exp.runs.study_storage import COMMAND, DIRECTORY, REASON, RETRY_OF, RETRYABLE, open_storage
from a3c_exp.sweep.study.config import StudyConfig
from a3c_exp.sweep.study.sampler_pruner import make_pruner, make_sampler
from a3c_exp.sweep.study.search_space import SearchSpace
from a3c_exp.sweep.trials.heartbeat import StaleTrialDetector, TrialHeartbeat, heartbeats_of, is_from_process
from a3c_exp.system.errors import ConfigError

_LOCK_GRACE_PERIOD = 30
_TELL_TIMEOUT = 60.0
_MIN_TRIALS = 3  # trials that may fail before all failing means that something is wrong with the configuration
PROCESS_GONE = "its process is gone: it was killed, or the power failed"
STATE_NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
         TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}  # fmt: skip


@dataclass(frozen=True)
class ClaimedTrial:
    """A trial that this process may run."""

    number: int
    overrides: list[str]  # its own and those that all trials share
    heartbeat: TrialHeartbeat  # to be closed when it has ended


class TrialQueue:
    """One study's trials, shared by every process that works on it; they take turns by a lock in the study's directory."""

    def __init__(self, study: optuna.Study, settings: StudyConfig, directory: Path) -> None:
        self.study = study
        self._settings = settings
        self._lock = JournalFileOpenLock(str((directory / "claims").absolute()), grace_period=_LOCK_GRACE_PERIOD)
        self._stale_detector = StaleTrialDetector(settings.heartbeat_timeout)

    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.study.get_trials(deepcopy=False)

    def claim(self, space: SearchSpace, base: DictConfig) -> ClaimedTrial | None:
        """Begin a trial that is drawn from ``space``; ``None`` if all that were asked for have begun. A custom function is
        called with ``base``. Raises ConfigError if that fails."""
        with self._locked():
            self._fail_stale_trials()
            if not self.num_remaining():
                return None
            trials = self.trials()
            self.study.sampler = make_sampler(self._settings, len(trials) - len(retried_numbers(trials)))
            trial = self.study.ask()
            # Within the lock: no other process may take it for stale before it has begun.
            heartbeat = TrialHeartbeat(self.study._storage, trial._trial_id, "worker", self._settings.heartbeat_timeout)
        try:
            overrides = space.suggest_overrides(trial, base)
        except Exception as error:  # whatever a function of the user raises
            heartbeat.close()
            reason = f"custom_search_space failed: {type(error).__name__}: {error}. Mend the function"
            self.fail(trial.number, reason)
            raise ConfigError(f"hydra.sweeper.{reason}") from None
        trial.set_user_attr(COMMAND, shlex.join(["python", "-m", "a3c_exp", *overrides]))
        trial.set_user_attr(DIRECTORY, f"trial={trial.number}")
        return ClaimedTrial(trial.number, overrides, heartbeat)

    def fail_stale_trials(self) -> None:
        """Mark trials as failed whose process is gone, and enqueue each of them again, once."""
        with self._locked():
            self._fail_stale_trials()

    def complete(self, number: int, values: Sequence[float]) -> None:
        self._tell(number, TrialState.COMPLETE, values)

    def prune(self, number: int, reason: str) -> None:
        self._set_user_attr(number, REASON, reason)
        self._tell(number, TrialState.PRUNED)

    def fail(self, number: int, reason: str, retry: bool = False) -> None:
        """Record why a trial failed, unless it has ended already; with ``retry``, not by its own fault, it is repeated."""
        trial = self.trials()[number]
        if trial.state.is_finished():
            return
        self._set_user_attr(number, REASON, reason)
        if retry:
            self._set_user_attr(number, RETRYABLE, True)
        self._tell(number, TrialState.FAIL)

    def is_first_try(self, number: int) -> bool:
        """Whether a trial repeats no other one."""
        return RETRY_OF not in self.trials()[number].user_attrs

    def running_trials_of(self, pid: int) -> list[FrozenTrial]:
        """The running trials that a process of this machine works on."""
        return [trial for trial in self._running_trials() if any(is_from_process(beat, pid) for beat in heartbeats_of(trial))]

    def num_remaining(self) -> int:
        """Trials that were asked for and have not begun, or that are to be tried again."""
        return num_remaining(self.trials(), self._settings.n_trials)

    def has_unconfirmed_trials(self) -> bool:
        """Whether a running trial may yet turn out to be stale, so that it has to be retried."""
        return any(not self._stale_detector.is_confirmed_alive(trial) for trial in self._running_trials())

    def _running_trials(self) -> list[FrozenTrial]:
        return [trial for trial in self.trials() if trial.state is TrialState.RUNNING]

    def _fail_stale_trials(self) -> None:
        for trial in self._running_trials():
            if self._stale_detector.is_stale(trial):
                # Once: the second time the trial itself may have ended its process.
                self.fail(trial.number, PROCESS_GONE, retry=self.is_first_try(trial.number))
        for trial in _to_be_retried(self.trials()):
            self.study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})

    def _set_user_attr(self, number: int, key: str, value: object) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self.study._storage.set_trial_user_attr(self.trials()[number]._trial_id, key, value)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        """Write the end of a trial, again and again if the storage is away: it is worth an hour of training."""
        deadline = time.monotonic() + _TELL_TIMEOUT
        while True:
            try:
                self.study.tell(number, values, state, skip_if_finished=True)
                return
            except UpdateFinishedTrialError:
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):  # another process waited too long and took it away
                self._lock.release()


def open_trial_queue(settings: StudyConfig, directory: Path) -> TrialQueue:
    """The queue of a study that exists. Raises ConfigError if its storage cannot be reached, or does not know the study."""
    name = settings.study_name or directory.name
    storage = open_storage(settings.storage, directory)
    try:
        study = optuna.load_study(study_name=name, storage=storage, pruner=make_pruner(settings))
    except KeyError:
        raise ConfigError(f"the storage of {directory} knows no study {name}. Choose another study.study_name") from None
    return TrialQueue(study, settings, directory)


def num_remaining(trials: Sequence[FrozenTrial], n_trials: int) -> int:
    """How many of the trials that were asked for have not begun, or are to be tried again: one that is retried counts once."""
    waiting = sum(trial.state is TrialState.WAITING for trial in trials) + len(_to_be_retried(trials))
    return max(0, n_trials - len(trials) + len(retried_numbers(trials))) + waiting


def _to_be_retried(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    failed = [trial for trial in trials if trial.user_attrs.get(RETRYABLE) and trial.state is TrialState.FAIL]
    retried = retried_numbers(trials)
    return [trial for trial in failed if trial.number not in retried]


def retried_numbers(trials: Sequence[FrozenTrial]) -> set[int]:
    """The numbers of the trials that others repeat."""
    return {trial.user_attrs[RETRY_OF] for trial in trials if RETRY_OF in trial.user_attrs}


def study_stop_reason(trials: Sequence[FrozenTrial], settings: StudyConfig) -> str | None:
    """Why a study should stop, with the cause that most failures share; ``None`` if it should go on. ``trials`` are those of
    this session: the cause of earlier failures may have been removed since."""
    ended = [trial for trial in trials if trial.state.is_finished() and not trial.user_attrs.get(RETRYABLE)]
    failed = [trial for trial in ended if trial.state is TrialState.FAIL]
    rate, too_few = settings.max_failure_rate, min(max(_MIN_TRIALS, settings.n_jobs), settings.n_trials)
    if len(ended) < too_few or len(failed) < rate * len(ended):
        return None
    reasons = [str(trial.user_attrs.get(REASON, "unknown")) for trial in failed]
    alike = [re.sub(r"\d+", "#", reason) for reason in reasons]  # "worker 1: NaN" and "worker 2: NaN" have one cause
    most, times = Counter(alike).most_common(1)[0]
    cause = reasons[alike.index(most)]
    share = "all of them" if times == len(failed) else f"{times} of them"
    return f"{len(failed)} of {len(ended)} trials failed (max_failure_rate={rate:g}), {share} with: {cause}"
