"""A3C on Pendulum as it is usually written in PyTorch: the baseline of a3c_exp's speed.

    python -m benchmarks.baselines.textbook_a3c --workers 12 --seconds 20

One process and one local network per worker, one forward pass per step, a shared Adam, no lock. It belongs to the family of
scripts that the Pendulum report descends from, with that family's known mistakes corrected, since a wrong program is no
baseline: the optimizer's step count and moments are shared, the global gradient is assigned anew with every push, and
the time limit bootstraps from the value of the last observation. It is as fast as careful code of this kind: acting runs
only the actor, without a graph, and every process uses one torch thread.
"""

import argparse
import ctypes
import json
import os
import queue
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium
import torch
import torch.multiprocessing as mp
from torch.distributions import Distribution

from benchmarks.baselines.textbook_learner import N_STEP, ActorCritic, SharedAdam, collect, push_and_pull

MAX_EPISODE_STEPS = 4000
WARM_UP_WINDOWS = 20  # per worker; the first few include torch's and numpy's lazy initialization
START_TIMEOUT = 300.0  # seconds; a dozen processes that import torch on a busy machine with cold disks are slow
STOP_TIMEOUT = 20.0


def record_episode(moving_average: Any, results: Any, rank: int, mean_reward: float) -> None:
    """The report's curve: started at the first episode's mean step reward, then 0.99 old + 0.01 new."""
    with moving_average.get_lock():
        old = moving_average.value
        moving_average.value = mean_reward if old == 0.0 else 0.99 * old + 0.01 * mean_reward
        results.put((rank, mean_reward, moving_average.value))


def run_worker(
    rank: int, shared: ActorCritic, optimizer: SharedAdam, shared_state: "SharedState", seed: int, tuned: bool
) -> None:
    """The main loop of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the main process stops the workers
    torch.set_num_threads(1)
    torch.manual_seed(seed + rank)
    if tuned:
        Distribution.set_default_validate_args(False)
    parent = os.getppid()
    environment: Any = gymnasium.make("Pendulum-v1").unwrapped  # without the 200-step limit
    local = ActorCritic()
    local.load_state_dict(shared.state_dict())
    observation, _ = environment.reset(seed=seed + rank)
    step, total = 0, 0.0
    # A killed main process cannot stop its children, which then have another parent.
    while not shared_state.stop.value and os.getppid() == parent:
        window = collect(environment, local, observation, min(N_STEP, MAX_EPISODE_STEPS - step))
        push_and_pull(optimizer, local, shared, window)
        observation = window.last_observation
        taken = len(window.rewards)
        step += taken
        total += sum(window.rewards)
        shared_state.steps[rank] += taken
        if window.terminated or step == MAX_EPISODE_STEPS:
            record_episode(shared_state.moving_average, shared_state.results, rank, total / step)
            observation, _ = environment.reset()
            step, total = 0, 0.0


class SharedState:
    """What processes share besides the weights. ``steps`` has one element, with one writer, per worker, so it needs no lock."""

    def __init__(self, context: Any, workers: int) -> None:
        self.steps = context.RawArray(ctypes.c_int64, workers)
        self.stop = context.RawValue(ctypes.c_bool, False)
        self.moving_average = context.Value(ctypes.c_double, 0.0)
        self.results = context.Queue()


@dataclass(frozen=True)
class Measurement:
    """Steps between two moments at which every worker was training.

    Attributes:
        workers: number of worker processes.
        steps: in the steady state, without start and first windows.
        seconds: of the steady state.
        steps_per_second: in the steady state.
        total_steps: all steps, also before and after the measured span.
        episodes: episodes that ended.
        moving_average: the report's curve at the end; ``None`` before the first episode has ended.
    """

    workers: int
    steps: int
    seconds: float
    steps_per_second: float
    total_steps: int
    episodes: int
    moving_average: float | None


class Training:
    """Shared weights, optimizer and worker processes; use it with ``started``."""

    def __init__(self, workers: int, seed: int = 0, tuned: bool = False, start_method: str = "spawn") -> None:
        context: Any = mp.get_context(start_method)
        torch.manual_seed(seed)
        self.shared_state = SharedState(context, workers)
        self.shared = ActorCritic().share_memory()
        self.optimizer = SharedAdam(self.shared.parameters(), fused=tuned)
        self.episodes: list[tuple[int, float, float]] = []
        self.processes = [
            context.Process(
                target=run_worker,
                args=(rank, self.shared, self.optimizer, self.shared_state, seed, tuned),
                name=f"worker-{rank}",
                daemon=True,
            )
            for rank in range(workers)
        ]

    @contextmanager
    def started(self) -> Iterator["Training"]:
        """Workers run inside the block and have ended after it, also after an error."""
        try:
            for process in self.processes:
                process.start()
            yield self
        finally:
            self._stop()

    def steps(self) -> int:
        return sum(self.shared_state.steps)

    def wait_until_warm(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while min(self.shared_state.steps) < WARM_UP_WINDOWS * N_STEP:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"not all workers trained within {START_TIMEOUT:.0f} s: steps {list(self.shared_state.steps)}"
                )
            self._take_results(0.05)

    def train(self, seconds: float) -> tuple[int, float]:
        """Steps and elapsed time while workers train for about ``seconds``."""
        before, start = self.steps(), time.perf_counter()
        while (remaining := start + seconds - time.perf_counter()) > 0:
            self._take_results(min(remaining, 0.5))
        after, end = self.steps(), time.perf_counter()
        return after - before, end - start

    def _take_results(self, timeout: float) -> None:
        """Wait at most ``timeout`` for one result; a dead worker is an error, not a slow measurement."""
        try:
            self.episodes.append(self.shared_state.results.get(timeout=timeout))
        except queue.Empty:
            dead = [process.name for process in self.processes if process.exitcode is not None]
            if dead and not self.shared_state.stop.value:
                raise RuntimeError(f"{', '.join(dead)} died; its traceback is above") from None

    def _stop(self) -> None:
        self.shared_state.stop.value = True
        started = [process for process in self.processes if process.pid is not None]
        deadline = time.monotonic() + STOP_TIMEOUT
        # Empty the queue meanwhile: a worker with undelivered results does not end.
        while any(process.is_alive() for process in started) and time.monotonic() < deadline:
            self._take_results(0.05)
        for process in started:
            if process.is_alive():
                process.kill()
            process.join()
        while not self.shared_state.results.empty():
            self._take_results(0.05)
        self.shared_state.results.close()


def measure(workers: int, seconds: float, seed: int = 0, tuned: bool = False) -> Measurement:
    """Train for ``seconds`` in the steady state and count the steps."""
    training = Training(workers, seed, tuned)
    with training.started():
        training.wait_until_warm()
        steps, elapsed = training.train(seconds)
    last = training.episodes[-1][2] if training.episodes else None
    return Measurement(workers, steps, elapsed, steps / elapsed, training.steps(), len(training.episodes), last)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.baselines.textbook_a3c", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the measured steady state")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tuned", action="store_true", help="torch's own optimizations: fused Adam, no argument validation")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    try:
        result = measure(arguments.workers, arguments.seconds, arguments.seed, arguments.tuned)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if arguments.json:
        print(json.dumps(asdict(result)))
    else:
        span = f"{result.workers} workers, {result.steps:,} steps in {result.seconds:.1f} s"
        print(f"{result.steps_per_second:,.0f} steps/s ({span})")
        if result.moving_average is not None:
            print(f"{result.episodes} episodes, moving average of the mean step reward {result.moving_average:.3f}")


if __name__ == "__main__":
    main()
