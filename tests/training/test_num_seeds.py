"""Seeds that train side by side are the runs that each would have been alone, each in a directory of its own."""

import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.deterministic.strategy import Deterministic
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from tests.support.command import lines, record, run, start, summary
from tests.support.interruptions import HOLD, killed_at_a_checkpoint, same_run
from tests.support.single_process import ROUNDS_ALIKE, Driven, same_bits, tiny_task

SMALL = (
    "env=cartpole", "model.hidden=[6]", "workers=2", "logger=none", "truncation=end", "max_episode_steps=30",
    "max_updates=null", "max_env_steps=1001", "evaluation.every_env_steps=300", "evaluation.episodes=2",
    "checkpoint.every_env_steps=400", "hydra.run.dir=here",
)  # fmt: skip
SLOW = "env._target_=tests.support.interruptions.Sleepy"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    ("model", "env_id", "settings"),
    [
        ("separate", "Pendulum-v1", {}),
        ("shared", "CartPole-v1", {"lag": (0, 4)}),
        ("gru", "CartPole-v1", {"speeds": "gamma"}),
        ("wide", "Pendulum-v1", {}),
        ("loose", "CartPole-v1", {}),
    ],
)
def test_a_seed_among_others_is_the_seed_alone_bit_for_bit(
    model: str, env_id: str, settings: dict[str, Any], workers: int
) -> None:
    """Each product in a stack has the shape that it has alone, and MKL rounds it alike wherever it lies, as elementwise
    functions do (``stable_ops``). A seed of three workers begins elsewhere than alone by bytes that MKL looks at unless it is
    told to round alike, and "wide" is wide enough for that to show.
    """
    task = partial(tiny_task, model, env_id, workers=workers, budget=Budget(max_env_steps=120), window_ends_with_episode=False)
    kind = partial(Deterministic, **settings)
    together = Driven(kind(), task(seed=5, num_seeds=3)).finish().stop()
    states = together.save()
    for index in range(3):
        alone = Driven(kind(), task(seed=5 + index)).finish().stop()
        (state,) = alone.save()
        if workers == 1 or not ROUNDS_ALIKE:
            # One worker of one seed alone is computed without a batch, which is cheaper and rounds otherwise.
            torch.testing.assert_close(states[index].weights, state.weights, rtol=0, atol=3e-6)
            assert together.kind.counts(index) == alone.kind.counts()
            continue
        assert same_bits(states[index].weights, state.weights)
        assert same_bits(states[index].optimizer_state, state.optimizer_state)
        assert [event.episode for event in together.episodes(index)] == [event.episode for event in alone.episodes()]
        assert together.stats(index).lag_histogram.tolist() == alone.stats().lag_histogram.tolist()
        assert together.kind.counts(index) == alone.kind.counts()
        assert together.kind.counts(index).env_steps == 120
        assert str(states[index].parallelism_state) == str(state.parallelism_state), (
            "a checkpoint of one is a checkpoint of the other"
        )


@pytest.mark.parametrize("workers", [1, 3])
def test_a_synchronous_seed_among_others_is_the_seed_alone(workers: int) -> None:
    task = partial(tiny_task, "separate", "Pendulum-v1", workers=workers, budget=Budget(max_updates=12))
    together = Driven(Synchronous(), task(seed=5, num_seeds=2)).finish().stop()
    together.save()
    for index in range(2):
        alone = Driven(Synchronous(), task(seed=5 + index)).finish().stop()
        alone.save()
        torch.testing.assert_close(together.kind.weights(index), alone.kind.weights(), rtol=0, atol=3e-6)
        mine, theirs = together.episodes(index), alone.episodes()
        assert [event.episode.env_seed for event in mine] == [event.episode.env_seed for event in theirs]
        assert together.kind.counts(index) == alone.kind.counts()


def test_seeds_end_when_each_has_spent_its_own_budget() -> None:
    task = tiny_task("loose", budget=Budget(max_episodes=7), num_seeds=3, max_episode_steps=25)
    driven = Driven(Deterministic(), task).finish().stop()
    driven.save()
    assert [len(driven.episodes(index)) for index in range(3)] == [7, 7, 7]
    assert len({driven.kind.counts(index).env_steps for index in range(3)}) > 1, "each took as many steps as it needed"


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where seeds 4 to 6 were trained together, one was trained alone, and three were killed on the way and resumed."""
    folder = tmp_path_factory.mktemp("seeds")
    for name in ("together", "alone", "killed"):
        (folder / name).mkdir()
    command = (*SMALL, "parallelism=deterministic", SLOW)
    side_by_side = [
        start(*command, "seed=4", "num_seeds=3", cwd=folder / "together"),
        start(*command, "seed=5", cwd=folder / "alone"),
    ]
    killed_at_a_checkpoint(*command, "seed=4", "num_seeds=3", cwd=folder / "killed", number=3, hold=2000)
    assert record(folder / "killed" / "here")["status"] == "running"
    resumed = run("resume=here", cwd=folder / "killed")
    assert resumed.returncode == 0, resumed.stderr
    for process in side_by_side:
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    return folder


@pytest.mark.parametrize(("number", "whole_group", "code"), [(signal.SIGKILL, False, 1), (signal.SIGTERM, True, 143)])
def test_a_signal_to_the_processes_of_seeds_costs_no_bit(
    number: signal.Signals, whole_group: bool, code: int, three_seeds: Path, tmp_path: Path
) -> None:
    """A seed whose process is killed goes on from its last checkpoint, which nothing took the place of since."""
    (tmp_path / HOLD).write_text("900")
    blocks = ("seed=4", "num_seeds=3", "parallelism.processes=3", "parallelism.seed_block=1")
    process = start(*SMALL, "parallelism=deterministic", SLOW, *blocks, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 90
        logs = [tmp_path / "here" / f"seed={seed}" / "episodes.jsonl" for seed in (4, 5, 6)]
        while not all(log.exists() and lines(log)[-1:] and lines(log)[-1]["env_step"] > 800 for log in logs):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        if whole_group:
            os.killpg(process.pid, number)
        else:
            (server,) = [child for child in psutil.Process(process.pid).children() if child.children()]  # the fork server
            server.children()[1].send_signal(number)
    finally:
        (tmp_path / HOLD).unlink()
        _, err = process.communicate(timeout=100)
    assert process.returncode == code, err
    resumed = run("resume=here", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for seed in (4, 5, 6):
        same_run(tmp_path / "here" / f"seed={seed}", three_seeds / "together" / "here" / f"seed={seed}")


def test_each_seeds_directory_is_the_run_that_it_would_have_been_alone(three_seeds: Path) -> None:
    parent = three_seeds / "together" / "here"
    assert sorted(path.name for path in parent.glob("seed=*")) == ["seed=4", "seed=5", "seed=6"]
    same_run(parent / "seed=5", three_seeds / "alone" / "here")
    for seed in (4, 5, 6):
        inner = parent / f"seed={seed}"
        about, config = record(inner), yaml.safe_load((inner / ".hydra" / "config.yaml").read_text())
        assert (about["seed"], about["status"]) == (seed, "finished")
        assert (config["seed"], config["num_seeds"]) == (seed, 1)
        assert summary(inner)["env_steps"] == 1001 == lines(inner / "evaluations.jsonl")[-1]["env_step"]
        assert len(lines(inner / "episodes.jsonl")) == summary(inner)["episodes"] > 10
        assert (inner / "checkpoints" / "step_1001.pt").is_file()


def test_the_summary_of_all_is_the_mean_and_the_spread_over_seeds(three_seeds: Path) -> None:
    parent = three_seeds / "together" / "here"
    whole, inner = summary(parent), [summary(parent / f"seed={seed}") for seed in (4, 5, 6)]
    means = torch.tensor([outcome["evaluation"]["mean"] for outcome in inner], dtype=torch.float64)
    assert whole["num_seeds"] == 3 and list(whole["seeds"]) == ["seed=4", "seed=5", "seed=6"]
    assert whole["evaluation"]["mean"] == pytest.approx(float(means.mean()))
    assert whole["evaluation"]["std"] == pytest.approx(float(means.std()))
    assert whole["evaluation"]["ci_low"] <= whole["evaluation"]["mean"] <= whole["evaluation"]["ci_high"]
    for key in ("episodes", "env_steps", "updates"):
        assert whole[key] == sum(outcome[key] for outcome in inner)
    assert json.loads(json.dumps(inner[1])) == whole["seeds"]["seed=5"]


def test_killed_seeds_are_gone_on_with_as_if_nothing_had_happened(three_seeds: Path) -> None:
    for seed in (4, 5, 6):
        inner = three_seeds / "killed" / "here" / f"seed={seed}"
        assert len(record(inner)["sessions"]) == 2
        same_run(inner, three_seeds / "together" / "here" / f"seed={seed}")
