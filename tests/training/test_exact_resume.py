"""A run that was killed and gone on with is the run that was never stopped, bit for bit; and a repetition is the run itself."""

import os
import re
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from a3c_exp.algorithm.loss import LossConfig
from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.training.checkpoint import Checkpoints, load
from tests.support.command import record, run, start, summary
from tests.support.interruptions import BREAK, HELD, HOLD, killed_at_a_checkpoint, same_run
from tests.support.single_process import FALLING, Driven, same_bits, tiny_task

KINDS: dict[str, Any] = {
    "synchronous": Synchronous,
    "deterministic": Deterministic,
    "lagging": partial(Deterministic, lag=(0, 5)),
    "lognormal": partial(Deterministic, speeds="lognormal"),
}
COMMAND = (
    "env=cartpole", "model.hidden=[8]", "workers=3", "logger=none", "truncation=end", "max_episode_steps=30",
    "evaluation.every_env_steps=400", "evaluation.episodes=2", "metrics.every_env_steps=300", "hydra.run.dir=here",
)  # fmt: skip


class Unrepeatable(gymnasium.Env[Any, Any]):
    """Observes random numbers that no seed determines."""

    observation_space = Box(-1, 1, (2,))
    action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self._observe(), 1.0, self.steps == 9, False, {}

    def _observe(self) -> Any:
        return np.frombuffer(os.urandom(2), np.uint8).astype(np.float32) / 255


gymnasium.register("Unrepeatable-v0", Unrepeatable)


def through_a_file(state: TrainingState, folder: Path) -> TrainingState:
    """As a new process would read it."""
    return load(Checkpoints(folder, keep_last=99).save(state, {}))[0]


@pytest.mark.parametrize("kind", ["synchronous", "deterministic", "lagging", "lognormal"])
@pytest.mark.parametrize(
    ("model", "env_id", "ends_with_episode"),
    [("separate", "Pendulum-v1", True), ("shared", "CartPole-v1", False), ("gru", "CartPole-v1", False)],
)
def test_what_a_checkpoint_holds_is_all_there_is(
    model: str, env_id: str, ends_with_episode: bool, kind: str, tmp_path: Path
) -> None:
    """What is used of the budget at each pull, too, which schedules of windows go by."""
    scheduled = {"schedules": FALLING, "loss": LossConfig(entropy_coef=0.5), "max_grad_norm": 0.5}
    more: dict[str, Any] = {} if model == "separate" else scheduled
    task = tiny_task(model, env_id, budget=Budget(max_env_steps=110), window_ends_with_episode=ends_with_episode, **more)
    whole, saved, before = Driven(KINDS[kind](), task), [], []
    for updates in (1, 6):
        saved += whole.step(updates).save()
        before.append(len(whole.episodes()))
    whole.finish().stop()
    (end,) = whole.save()
    for state, num_before in zip(saved, before, strict=True):
        resumed = Driven(KINDS[kind](), task, [through_a_file(state, tmp_path)])
        assert resumed.notices == []
        (again,) = resumed.save()
        assert torch.equal(again.weights, state.weights), "looking is not training"
        resumed.finish().stop()
        (reached,) = resumed.save()
        assert same_bits(reached.weights, end.weights) and same_bits(reached.optimizer_state, end.optimizer_state)
        assert resumed.episodes() == whole.episodes()[num_before:]
        assert reached.rounds.tolist() == end.rounds.tolist()
        assert reached.episodes_begun.tolist() == end.episodes_begun.tolist()
        assert str(reached.parallelism_state) == str(end.parallelism_state)


@pytest.mark.parametrize("ends_with_episode", [True, False])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_episode_that_cannot_be_replayed_begins_anew_and_the_budget_stays(
    kind: str, ends_with_episode: bool, tmp_path: Path
) -> None:
    for budget in (Budget(max_episodes=8), Budget(max_env_steps=101)):
        task = tiny_task(
            "loose",
            "Unrepeatable-v0",
            budget=budget,
            max_episode_steps=None,
            window_ends_with_episode=ends_with_episode,
        )
        for updates in (1, 3, 6):
            first = Driven(KINDS[kind](), task).step(updates)
            if first.stop().spent():
                continue
            (state,) = first.save()
            within = [k for k, episode in enumerate(state.parallelism_state["episodes"]) if episode["in_episode"]]
            resumed = Driven(KINDS[kind](), task, [through_a_file(state, tmp_path / f"{updates}")])
            assert len(resumed.notices) == bool(within)
            for notice in resumed.notices:
                names = re.findall(r"worker (\d+)", notice)
                assert names == [str(k) for k in within]
            resumed.finish().stop()
            resumed.save()
            counts = resumed.kind.counts()
            assert counts.env_steps == budget.max_env_steps or counts.episodes == budget.max_episodes
            assert len(first.episodes()) + len(resumed.episodes()) == counts.episodes
            assert all(event.episode.length == 9 for event in first.episodes() + resumed.episodes())


@pytest.mark.parametrize(
    "choice",
    [
        (
            "parallelism=deterministic",
            "model=recurrent_mlp",
            "model.hidden=[8]",
            "model.hidden_size=6",
            "parallelism.lag=[0,5]",
            "beta_schedule=linear",
        ),
        ("parallelism=synchronous", "seed=4"),
    ],
    ids=["deterministic-gru-lag", "synchronous"],
)
def test_a_killed_run_that_is_resumed_was_never_killed(choice: tuple[str, ...], tmp_path: Path) -> None:
    command = (*(override for override in COMMAND if "model=recurrent_mlp" not in choice or "hidden" not in override), *choice)
    # That time passes, or stands still, makes no difference.
    slow = f"{WORLD}.Sleepy"
    command = (*command, slow, "max_updates=null", "max_env_steps=1501", "checkpoint.every_env_steps=500")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir(), whole.mkdir()
    undisturbed = start(*command, cwd=whole)
    newest = killed_at_a_checkpoint(*command, cwd=killed, number=2, hold=1300)
    assert record(killed / "here")["status"] == "running" and load(newest)[0].env_steps < 1501
    resumed = run("resume=here", cwd=killed)
    assert resumed.returncode == 0, resumed.stderr
    _, err = undisturbed.communicate(timeout=100)
    assert undisturbed.returncode == 0, err
    assert summary(killed / "here")["env_steps"] == 1501
    assert len(record(killed / "here")["sessions"]) == 2
    same_run(killed / "here", whole / "here")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs that nothing befalls have finished, by the kind of their parallelism."""
    folder = tmp_path_factory.mktemp("unbroken")
    for kind in ("deterministic", "synchronous"):
        ended = run(*BREAKABLE, f"parallelism={kind}", f"hydra.run.dir={kind}", cwd=folder)
        assert ended.returncode == 0, ended.stderr
    return folder


WORLD = "env._target_=tests.support.interruptions"
BREAKABLE = (*COMMAND, "max_updates=null", "max_env_steps=801", "checkpoint.every_env_steps=200")


@pytest.mark.parametrize(
    ("how", "kind", "more"),
    [
        ("raise", "deterministic", ()),
        ("raise", "synchronous", ()),
        ("nan", "deterministic", ()),
        ("exit", "deterministic", ()),
        ("leak", "synchronous", ()),
        ("kill", "deterministic", ("parallelism.env_processes=2",)),
        ("raise", "synchronous", ("parallelism.env_processes=2",)),
    ],
)
def test_a_run_that_its_environments_failed_goes_on_from_an_exact_checkpoint(
    how: str, kind: str, more: tuple[str, ...], unbroken: Path, tmp_path: Path
) -> None:
    """Its state when they fail is that of the middle of a round, from which another run would go on."""
    (tmp_path / BREAK).write_text(how)
    broken = run(*BREAKABLE, f"parallelism={kind}", *more, f"{WORLD}.Breaking", cwd=tmp_path)
    assert broken.returncode == 1 and not (tmp_path / BREAK).exists(), broken.stderr
    assert record(tmp_path / "here")["status"] == "failed"
    resumed = run("resume=here", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    same_run(tmp_path / "here", unbroken / kind)


def test_sigterm_to_the_whole_group_does_not_fail_a_run_with_processes_for_its_environments(
    unbroken: Path, tmp_path: Path
) -> None:
    """As systemd, containers and schedulers send it."""
    (tmp_path / HOLD).write_text("200")
    command = (
        *BREAKABLE,
        "parallelism=deterministic",
        "parallelism.env_processes=2",
        f"{WORLD}.Sleepy",
    )
    process = start(*command, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / HELD).exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGTERM)
    finally:
        (tmp_path / HOLD).unlink()
        _, err = process.communicate(timeout=100)
    assert process.returncode == 143 and record(tmp_path / "here")["status"] == "interrupted", err
    resumed = run("resume=here", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    same_run(tmp_path / "here", unbroken / "deterministic")


def test_a_run_that_was_stopped_in_its_last_evaluation_makes_it_when_resumed(unbroken: Path, tmp_path: Path) -> None:
    (tmp_path / HOLD).touch()
    process = start(*BREAKABLE, "parallelism=deterministic", f"{WORLD}.Lingering", cwd=tmp_path)
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / HELD).exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    finally:
        (tmp_path / HOLD).unlink()
        _, err = process.communicate(timeout=100)
    assert process.returncode == 130 and record(tmp_path / "here")["status"] == "interrupted", err
    parts = [tmp_path / "here" / name for name in (".run.json.99.part", "checkpoints/.step_600.pt.99.part")]
    for part in parts:
        part.touch()  # as a writer that is killed leaves it
    resumed = run("resume=here", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    same_run(tmp_path / "here", unbroken / "deterministic")
    assert not any(part.exists() for part in parts)
    again = run("resume=here", cwd=tmp_path)
    assert again.returncode == 2 and "has spent its budget" in again.stderr


@pytest.mark.parametrize("kind", ["deterministic", "synchronous"])
def test_a_run_repeats_bit_for_bit_however_slow_its_world(kind: str, tmp_path: Path) -> None:
    command = (*COMMAND, f"parallelism={kind}", "max_updates=null", "max_env_steps=801")
    variants: dict[str, tuple[str, ...]] = {"once": (), "slowly": (f"{WORLD}.Sleepy",)}
    if kind == "deterministic":
        variants["otherwise"] = ("seed=1",)
    processes = {}
    for name, more in variants.items():
        (tmp_path / name).mkdir()
        processes[name] = start(*command, *more, cwd=tmp_path / name)
    for process in processes.values():
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    same_run(tmp_path / "once" / "here", tmp_path / "slowly" / "here")
    if kind == "deterministic":
        one, other = (summary(tmp_path / name / "here") for name in ("once", "otherwise"))
        assert one["weights_digest"] != other["weights_digest"] and one["episodes_digest"] != other["episodes_digest"]
