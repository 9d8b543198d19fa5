"""A worker's luck is its own: it does not depend on who is stacked with it."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from a3c_exp.algorithm.types import LearnerConfig
from a3c_exp.config.budget import Budget
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.adam import Adam
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.worker_group import RoundResult, WorkerGroup, WorkerId
from tests.parallelism.hogwild.test_strategy import watched
from tests.support.faulty import WatchedEnvironments

N = 5


def pendulum(folder: Path) -> TrainingSetup:
    make_envs = partial(WatchedEnvironments, "Pendulum-v1", folder)
    return TrainingSetup(make_envs, partial(SeparateMLP), Adam(1e-4), LearnerConfig(n_step=N), 6, Budget(), 7, seed=11)


def members(ids: Iterable[int]) -> list[WorkerId]:
    return [WorkerId(11, worker) for worker in ids]


def rounds(folder: Path, ids: list[int], count: int, begun: int = 0) -> list[RoundResult]:
    """What these workers do in one process, in ``count`` windows after the first ``begun``."""
    folder.mkdir()
    counters = np.full((2, len(ids)), begun, np.int64)
    workers = WorkerGroup(pendulum(folder), members(ids), counters[0], counters[1], lambda _: True)
    done = [workers.round(np.full(len(ids), N, np.int64)) for _ in range(count)]
    workers.close()
    assert counters[0].tolist() == [begun + count] * len(ids)
    return done


def test_a_worker_alone_and_among_others_lives_the_same_life(tmp_path: Path) -> None:
    count = 70  # more than the windows whose noise is drawn at once
    alone, among = rounds(tmp_path / "alone", [2], count), rounds(tmp_path / "among", [0, 1, 2, 3, 4, 5], count)
    for one, all_ in zip(alone, among, strict=True):
        assert one.steps[0] == all_.steps[2]
        # Sums over one worker or six may be rounded differently, but no more than that.
        torch.testing.assert_close(one.gradients[0], all_.gradients[2], rtol=1e-3, atol=1e-4)
    ends = [
        [(e.env_seed, e.length) for round_ in done for e in round_.ended if e.worker == k]
        for done, k in ((alone, 0), (among, 2))
    ]
    assert ends[0] == ends[1] != []
    # Noise and seeds are the same to the last bit; so are first observations, and first actions but for rounding.
    lines = {line["seed"]: line for line in watched(tmp_path / "among")}
    for line in watched(tmp_path / "alone"):
        twin = lines[line["seed"]]
        assert line["observation"] == twin["observation"]
        np.testing.assert_allclose(line["action"], twin["action"], rtol=1e-4, atol=1e-5)


def test_six_workers_with_the_same_weights_do_not_do_the_same(tmp_path: Path) -> None:
    task = pendulum(tmp_path)
    workers = WorkerGroup(task, members(range(6)), np.zeros(6, np.int64), np.zeros(6, np.int64), lambda _: True)
    noise = workers._noise.of_round(np.zeros(6, np.int64), np.full(6, True))
    assert np.unique(noise).size == 6 * N, "two workers drew the same noise"
    (first,) = rounds(tmp_path / "among", [0, 1, 2, 3, 4, 5], 1)
    assert len({tuple(row.tolist()) for row in first.gradients}) == 6
    assert len({line["seed"] for line in watched(tmp_path / "among")}) == 6
    assert len({tuple(line["action"]) for line in watched(tmp_path / "among")}) == 6


def test_a_replacement_goes_on_with_the_noise_where_the_dead_one_stood(tmp_path: Path) -> None:
    """Its counters live in shared memory, and are all that a stream needs."""
    noise: dict[str, list[NDArray[np.float32]]] = {}
    for name, begun in (("whole", 0), ("replaced", 66)):
        folder = tmp_path / name
        folder.mkdir()
        counters = np.full((2, 1), begun, np.int64)
        workers = WorkerGroup(pendulum(folder), members([4]), counters[0], counters[1], lambda _: True)
        noise[name] = []
        for _ in range(begun, 68):
            noise[name].append(workers._noise.of_round(workers._rounds, np.full(1, True)))
            workers._rounds += 1
    assert np.array_equal(np.stack(noise["whole"][66:]), np.stack(noise["replaced"]))
    assert len({block.tobytes() for block in noise["whole"]}) == 68, "noise was used twice"
