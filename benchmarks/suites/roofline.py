"""Upper bounds for any trainer on this machine: the environment alone, and the matrix products of the network alone."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import gymnasium
import torch


@dataclass(frozen=True)
class Network:
    """Layers and how they are used.

    Attributes:
        layers: (inputs, outputs) of each.
        workers: number of workers that act side by side.
        n_step: steps of a window.
        per_worker_weights: each worker has weights of its own, so that acting multiplies vectors, not matrices.
    """

    layers: tuple[tuple[int, int], ...]
    workers: int
    n_step: int
    per_worker_weights: bool = False

    @property
    def flops(self) -> float:
        """FLOPs per environment step: acting, and the forward and backward pass of learning, 2 + 2 + 4 per weight."""
        return 8.0 * sum(inputs * outputs for inputs, outputs in self.layers)


def env_steps_per_second(env_id: str, seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Steps per second of gymnasium's environment in one process, unwrapped, with actions drawn beforehand."""
    env = gymnasium.make(env_id).unwrapped
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(1000)]
    steps, started = 0, clock()
    while clock() - started < seconds:
        env.reset(seed=steps)
        for action in actions:
            terminated = env.step(action)[2]
            steps += 1
            if terminated:
                env.reset()
    return steps / (clock() - started)


def parallel_env_steps_per_second(env_id: str, seconds: float, processes: int) -> float:
    """The same in several processes at once, summed: an upper bound for trainers with as many processes."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _wait_at_barrier, (barrier,)) as pool:
        return sum(pool.map(env_steps_per_second, [env_id] * processes, [seconds] * processes))


def _wait_at_barrier(barrier: Barrier) -> None:
    """Start all processes at the same time, after their imports."""
    barrier.wait()


def arithmetic_limit(network: Network, seconds: float) -> float:
    """Environment steps per second if only the network's matrix products were computed, at this machine's rate for these shapes
    on one core, without activations, losses, environments or optimizers.

    Shared weights multiply all workers' observations in one product while acting and all their windows while learning;
    per-worker weights multiply a vector, which is bound by memory.
    """
    torch.set_num_threads(1)
    batch, rows = (network.workers, 1) if network.per_worker_weights else (1, network.workers)
    per_round = 0.0
    for inputs, outputs in network.layers:
        learning = rows * network.n_step
        shapes = [(rows, inputs, outputs)] * network.n_step  # acting, step by step
        shapes += [(learning, inputs, outputs), (learning, outputs, inputs), (inputs, learning, outputs)]
        for shape in sorted(set(shapes)):
            per_round += shapes.count(shape) * _seconds_of_product(batch, *shape, seconds / 20)
    return network.workers * network.n_step / per_round


def _seconds_of_product(batch: int, m: int, k: int, n: int, seconds: float) -> float:
    left, right, out = torch.randn(batch, m, k), torch.randn(batch, k, n), torch.empty(batch, m, n)
    with torch.inference_mode():
        for _ in range(20):
            torch.bmm(left, right, out=out)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            for _ in range(50):
                torch.bmm(left, right, out=out)
            count += 50
        return (time.perf_counter() - started) / count
