"""What a call of ``parallelism=ray`` costs each that takes part, measured on this machine."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from scipy.optimize import nnls

from a3c_exp.config.compose import compose_jobs
from a3c_exp.parallelism.ray.actor_transport import HOST_ENVIRONMENT, INLINE_SETTINGS
from a3c_exp.parallelism.ray.gradient_dtype import Packed, pack, unpack
from a3c_exp.system.ray.cluster import connect
from a3c_exp.system.torch_settings import single_threaded
from a3c_exp.training.build import build_run
from benchmarks.harness.interleaved import MeasurementError
from benchmarks.harness.training_runs import TrainingRuns, metrics_by_seed, steady_rate

NUMBERS = 1_703, 56_000, 557_000, 1_114_065
"""Of weights: Pendulum's networks, something between, CarRacing's with ``model.hidden_size=136``, and CarRacing's."""
STACKED = 1, 6


@dataclass(frozen=True)
class Linear:
    """Seconds as ``fixed + per_worker * K + per_number * K * P``, for K workers with a gradient of P numbers each."""

    fixed: float
    per_worker: float
    per_number: float

    def seconds(self, workers: int, numbers: float) -> float:
        return self.fixed + self.per_worker * workers + self.per_number * workers * numbers

    @classmethod
    def fit(cls, points: Sequence[tuple[int, int, float]]) -> "Linear":
        """The best in proportion, with no negative part, through measured points ``(K, P, seconds)``."""
        rows = np.array([[1.0, workers, workers * numbers] for workers, numbers, _ in points])
        seconds = np.array([max(point[2], 1e-6) for point in points])  # of which proportions can be taken
        scale = rows.max(axis=0)
        found, _ = nnls(rows / seconds[:, np.newaxis] / scale, np.ones(len(points)))
        return cls(*(found / scale).tolist())


@dataclass(frozen=True)
class Costs:
    """Of a call that carries weights to a group, one row for all its workers, and gradients back.

    Attributes:
        gateway: seconds of a core on the server's machine, in the process that calls.
        host: seconds of a core on the group's node, besides the windows themselves.
        travel: seconds in which neither works.
        server: seconds in which the server settles the gradients, one after another.
    """

    gateway: Linear
    host: Linear
    travel: Linear
    server: Linear


def measure_costs(seconds: float) -> Costs:
    """Calls of an actor that answers as a group's host does, and the server's updates, ``seconds`` for each size."""
    calls = [(k, p, *_measure_call(k, p, seconds)) for k in STACKED for p in NUMBERS]
    gateway, host, travel = (Linear.fit([(k, p, parts[part]) for k, p, *parts in calls]) for part in range(3))
    server = Linear.fit([(k, p, _measure_updates(k, p, seconds)) for k in STACKED for p in NUMBERS])
    return Costs(gateway, host, travel, server)


def calls_per_second(groups: int, workers: int, numbers: int, seconds: float) -> float:
    """Of so many actors that compute nothing, each called again as soon as it has answered."""
    import ray

    actors, weights = _actors(groups, workers), np.zeros((1, numbers), np.float32)
    pending = {actor.answer.remote(weights): actor for actor in actors}
    gradients = torch.empty(workers, numbers)
    ray.get(list(pending))
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        (ready, *_), _ = ray.wait(list(pending), num_returns=1, timeout=30)
        actor = pending.pop(ready)
        unpack(ray.get(ready), gradients)
        pending[actor.answer.remote(weights)] = actor
        done += 1
    rate = done / (time.perf_counter() - began)
    for actor in actors:
        ray.kill(actor)
    return rate


def measure_training(
    overrides: Sequence[str], base: Sequence[str], min_steps: int, runs: TrainingRuns
) -> tuple[dict[str, float], float]:
    """How many cores host, gateway and server keep busy in the second half of a training, and its steps per second."""
    samples: list[tuple[float, dict[str, float]]] = []

    def look(processes: list[psutil.Process]) -> None:
        spent, threads = {"host": 0.0}, {}
        for process in processes:
            with suppress(psutil.Error):
                line, times = " ".join(process.cmdline()), process.cpu_times()
                if "GroupActor" in line:
                    spent["host"] += times.user + times.system
                elif "multiprocessing.forkserver" in line:
                    threads[process.num_threads(), process.pid] = times.user + times.system
        if len(threads) > 2:  # the fork server, the server, and the gateway, which has Ray's threads
            spent["server"], spent["gateway"] = (threads[key] for key in sorted(threads)[-2:])
            samples.append((time.perf_counter(), spent))

    steps = runs.steps_for(overrides, 1.5 * runs.seconds, base, min_steps)
    directory, _ = runs.run(overrides, steps, interval=0.25, on_poll=look, base=base)
    busy = [sample for sample in samples if sample[1]["host"] > 0]
    if len(busy) < 8:
        raise MeasurementError(f"the training was seen {len(busy)} times; try longer measurements (--seconds)")
    (began, before), (ended, after) = busy[len(busy) // 2], busy[-4]
    used = {part: (after[part] - before[part]) / (ended - began) for part in before}
    return used, steady_rate(metrics_by_seed(directory)[0])


def measure_slowdown(overrides: Sequence[str], base: Sequence[str], min_steps: int, runs: TrainingRuns) -> float:
    """How many times as long a window takes while every core computes one, by trainings that have nothing else in common."""
    cores = os.cpu_count() or 1
    separate = [*overrides, "parallelism=deterministic"]
    alone = runs.steps_per_second([*separate, "num_seeds=1", "parallelism.processes=1"], base, min_steps)
    together = runs.steps_per_second([*separate, f"num_seeds={cores}", f"parallelism.processes={cores}"], base, min_steps)
    return max(cores * alone / together, 1.0)


def _actors(count: int, workers: int) -> list[Any]:
    os.environ.update(INLINE_SETTINGS)
    connect("local", "this benchmark", "address")
    import ray

    class Actor:
        def answer(self, weights: Any) -> Packed:
            return pack(torch.from_numpy(np.repeat(weights, workers, axis=0)), "bfloat16")

        def spent(self) -> float:
            return time.process_time()

    options = {"num_cpus": 0, "runtime_env": {"env_vars": HOST_ENVIRONMENT}}
    actors = [ray.remote(Actor).options(**options).remote() for _ in range(count)]
    ray.get([actor.spent.remote() for actor in actors])
    return actors


def _measure_call(workers: int, numbers: int, seconds: float) -> tuple[float, float, float]:
    """Seconds of a call in the process that calls, in the one that answers, and in neither."""
    import ray

    (actor,), weights = _actors(1, workers), np.zeros((1, numbers), np.float32)
    gradients = torch.empty(workers, numbers)
    for _ in range(3):
        unpack(ray.get(actor.answer.remote(weights)), gradients)
    there, here, began, calls = ray.get(actor.spent.remote()), time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        unpack(ray.get(actor.answer.remote(weights)), gradients)
        calls += 1
    whole = (time.perf_counter() - began) / calls
    mine, theirs = (time.process_time() - here) / calls, (ray.get(actor.spent.remote()) - there) / calls
    ray.kill(actor)
    return mine, theirs, max(whole - mine - theirs, 0.0)


def _measure_updates(workers: int, numbers: int, seconds: float) -> float:
    """Seconds of the updates by K gradients, with the preset's optimizer, and of copying each its weights."""
    (job,) = compose_jobs(["env=pendulum", "logger=none"], False)
    optimizer = build_run(job.config).setup.optimizer
    with single_threaded(), torch.inference_mode():
        weights, gradients = torch.zeros(numbers), torch.randn(workers, numbers)
        state, answers = torch.zeros(optimizer.state_rows, numbers), torch.zeros(workers, numbers)
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for k in range(workers):
                optimizer.step(weights, gradients[k], state, calls * workers + k, 1e-4)
                answers[k].copy_(weights)
            calls += 1
        return (time.perf_counter() - began) / calls
