"""It makes no difference in which process a block of seeds is trained, nor how full the block is."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.budget import Budget
from a3c_exp.config.compose import compose_jobs
from a3c_exp.optimizers.sgd import SGD
from a3c_exp.parallelism.base import EpisodeEvent, Event, MessageEvent, TrainingSetup
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.seed_processes.place import Arguments, Target, ThisMachine
from a3c_exp.parallelism.seed_processes.strategy import SeedProcesses
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import ConfigError, NonFiniteError, WorkerError
from a3c_exp.training.run import RunIdentity, run as train
from a3c_exp.training.run_tracker import NEVER_DUE
from tests.support.command import lines, record, summary
from tests.support.pushing import PATIENCE
from tests.support.single_process import FALLING, beginnings, same_bits, tiny_task

STEPS = 150
task_of: Callable[..., TrainingSetup] = partial(
    tiny_task, "shared", budget=Budget(max_env_steps=STEPS), seed=5,
    loss=LossConfig(entropy_coef=0.5), max_grad_norm=0.5, schedules=FALLING,
)  # fmt: skip


class Trained:
    """A training of several seeds from its beginning, or from ``states``, to its end."""

    def __init__(self, kind: Any, task: TrainingSetup, states: Sequence[TrainingState] | None = None) -> None:
        self.kind, self.task = kind.with_processes(task), task  # which a kind of several processes already is
        self.events: list[Event] = list(self.kind.start(task, states or beginnings(task)))

    def until(self, steps: int = NEVER_DUE) -> "Trained":
        """Go on until every seed stands at these steps or has spent its budget."""
        deadline = time.monotonic() + PATIENCE
        aim = min(steps, STEPS)
        while any(self.kind.counts(seed).env_steps < aim for seed in range(self.task.num_seeds)):
            assert time.monotonic() < deadline
            self.events += self.kind.advance(0.1, [steps] * self.task.num_seeds)
        return self

    def end(self) -> list[TrainingState]:
        self.events += self.kind.stop()
        return self.save()

    def save(self) -> list[TrainingState]:
        states = []
        for seed in range(self.task.num_seeds):
            state, events = self.kind.snapshot(seed)
            self.events += events
            states.append(state)
        return states

    def episodes(self, seed: int) -> list[Any]:
        return [event.episode for event in self.events if isinstance(event, EpisodeEvent) and event.index == seed]


def assert_same(ours: Sequence[TrainingState], theirs: Sequence[TrainingState]) -> None:
    for state, other in zip(ours, theirs, strict=True):
        assert state.env_steps == other.env_steps and state.updates == other.updates and state.episodes == other.episodes
        assert same_bits(state.weights, other.weights) and same_bits(state.optimizer_state, other.optimizer_state)
        assert str(state.parallelism_state) == str(other.parallelism_state)


@pytest.mark.parametrize("kind", [partial(Deterministic, lag=(0, 3)), Synchronous])
def test_a_block_is_the_same_in_any_process_and_with_any_other_seeds(kind: Any) -> None:
    here = Trained(kind(seed_block=2), task_of(num_seeds=3)).until()
    there = Trained(kind(seed_block=2, processes=2), task_of(num_seeds=3)).until()
    assert isinstance(there.kind, SeedProcesses)
    ours, theirs = here.end(), there.end()
    assert_same(ours, theirs)
    for seed in range(3):
        assert here.episodes(seed) == there.episodes(seed) != []
        assert here.kind.counts(seed) == there.kind.counts(seed) and here.kind.counts(seed).env_steps == STEPS
        assert same_bits(there.kind.weights(seed), ours[seed].weights)
    assert here.kind.summary(2)["seed_block"] == there.kind.summary(2)["seed_block"] == 2
    assert (here.kind.summary()["processes"], there.kind.summary()["processes"]) == (1, 2)

    full = Trained(kind(seed_block=2), task_of(num_seeds=4)).until()
    assert_same(full.end()[:3], ours)


def test_a_process_that_is_killed_ends_the_run_and_costs_no_bit() -> None:
    task = task_of(num_seeds=3)
    whole = Trained(Deterministic(seed_block=1, processes=3), task).until().end()

    broken = Trained(Deterministic(seed_block=1, processes=3), task).until(50)
    saved = broken.save()
    assert all(50 <= state.env_steps < STEPS for state in saved), "each seed waits at its due step"
    os.kill(broken.kind._group.processes[1].process.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"process 1, which trained seed 6, was killed by SIGKILL"):
        broken.until()
    left = broken.end()
    assert not broken.kind._group.processes, "a process is left"
    assert left[1] is saved[1], "its last state is lost; its last checkpoint is not"
    assert_same(Trained(Deterministic(seed_block=1, processes=2), task, left).until().end(), whole)


class Losing(ThisMachine):
    """A place whose processes may be killed at any time, and then count as lost with their machine."""

    loses_processes = True

    def group(self, target: Target, arguments: Arguments) -> Any:
        supervisor: Any = super().group(target, arguments)
        deaths = supervisor.deaths
        supervisor.deaths = lambda: [(replace(death, lost=True), messages) for death, messages in deaths()]
        return supervisor


def test_another_process_goes_on_for_one_that_was_lost_and_nothing_is_lost_or_doubled() -> None:
    task = task_of(num_seeds=3)
    whole = Trained(Deterministic(seed_block=2), task)
    ends = whole.until().end()

    broken = Trained(SeedProcesses(Deterministic(), 2, 2, Losing()), task)
    for steps in (40, 110):
        broken.until(steps)
        saved = broken.save()
        assert [state.env_steps for state in saved] == [broken.kind.counts(seed).env_steps for seed in range(3)]
        assert all(same_bits(broken.kind.weights(seed), saved[seed].weights) for seed in range(3))
        for process in list(broken.kind._group.processes.values()):
            process.kill()
    assert_same(broken.until().end(), ends)
    for seed in range(3):
        assert broken.episodes(seed) == whole.episodes(seed) != []
    said = [event.text for event in broken.events if isinstance(event, MessageEvent)]
    assert sum("was killed by SIGKILL: another one goes on for it, from step" in text for text in said) == 4, said


def test_a_process_that_is_lost_again_and_again_ends_the_run() -> None:
    broken = Trained(SeedProcesses(Deterministic(), 1, 2, Losing()), task_of(num_seeds=2))
    with pytest.raises(WorkerError, match=r"process \d, which trained seed \d, was killed by SIGKILL"):
        for _ in range(200):
            for process in list(broken.kind._group.processes.values()):
                process.kill()
            broken.kind.advance(0.05, [NEVER_DUE] * 2)
    broken.end()
    assert broken.kind.can_resume(0) and broken.kind.can_resume(1)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, r"Try parallelism\.processes=4"),
        ({"processes": 2, "env_processes": 2}, r"Try parallelism\.env_processes=0"),
        ({"processes": 2, "address": "127.0.0.1:1"}, r"no Ray cluster at 127\.0\.0\.1:1 .* leave parallelism\.address"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_anything_starts(keys: dict[str, Any], said: str) -> None:
    if "address" in keys and find_spec("ray") is None:
        pytest.skip("Ray is an extra: pip install 'a3c_exp[ray]'")
    with pytest.raises(ConfigError, match=said):
        Synchronous(on="ray", **keys).check(task_of(num_seeds=2))


def test_a_seed_without_a_checkpoint_starts_together_with_one_that_resumes() -> None:
    task = task_of(num_seeds=2)
    whole = Trained(Deterministic(), task).until().end()
    half = Trained(Deterministic(), task).until(50)
    mixed = [beginnings(task)[0], half.end()[1]]
    assert_same(Trained(Deterministic(), task, mixed).until().end(), whole)


def test_an_error_in_a_process_is_raised_in_the_run() -> None:
    task = task_of(num_seeds=2, optimizer=SGD(lr=1e30), max_episode_steps=None)
    broken = Trained(Deterministic(processes=2), task)
    with pytest.raises(NonFiniteError, match="not finite"):
        broken.until()
    assert all(state.weights.isfinite().all() for state in broken.end()), "nothing of it was applied"


def test_processes_for_seeds_and_for_environments_at_once_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"Try parallelism\.env_processes=0"):
        Deterministic(env_processes=2, processes=2)


def test_a_run_in_processes_is_the_run_in_one(tmp_path: Path) -> None:
    command = ("env=cartpole", "model.hidden=[6]", "workers=2", "logger=none", "truncation=end", "max_episode_steps=30",
               "max_updates=null", "max_env_steps=701", "evaluation.every_env_steps=300", "evaluation.episodes=2",
               "parallelism=deterministic", "num_seeds=3", "parallelism.seed_block=2")  # fmt: skip
    for processes in (1, 2):
        overrides = [*command, f"parallelism.processes={processes}"]
        (job,) = compose_jobs(overrides, multirun=False)
        train(job.config, RunIdentity(tmp_path / str(processes), "run", None, "cartpole", "deterministic", overrides))
    for seed in range(3):
        one, two = tmp_path / "1" / f"seed={seed}", tmp_path / "2" / f"seed={seed}"
        for key in ("weights_digest", "episodes_digest", "env_steps", "updates"):
            assert summary(one)[key] == summary(two)[key]
        evaluations = [
            [(evaluation["env_step"], evaluation["returns"]) for evaluation in lines(where / "evaluations.jsonl")]
            for where in (one, two)
        ]
        assert evaluations[0] == evaluations[1] and len(evaluations[0]) == 3
    assert record(tmp_path / "2")["status"] == "finished"
    assert summary(tmp_path / "2" / "seed=2")["parallelism"]["processes"] == 2
