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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn import functional

GAMMA = 0.9
ENTROPY_COEF = 0.005
N_STEP = 10
MAX_EPISODE_STEPS = 4000
REWARD_SHIFT = REWARD_SCALE = 8.1  # learns from (reward + 8.1) / 8.1, about -1 to 1
LEARNING_RATE = 1e-4
BETAS = (0.96, 0.999)
WARM_UP_WINDOWS = 20  # per worker; the first few include torch's and numpy's lazy initialization
START_TIMEOUT = 300.0  # seconds; a dozen processes that import torch on a busy machine with cold disks are slow
STOP_TIMEOUT = 20.0


class ActorCritic(nn.Module):
    """Two separate networks: actor 3 -> 200 -> (mean, sigma), critic 3 -> 100 -> V; weights N(0, 0.1), biases 0."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Linear(3, 200)
        self.mean = nn.Linear(200, 1)
        self.sigma = nn.Linear(200, 1)
        self.critic = nn.Linear(3, 100)
        self.value = nn.Linear(100, 1)
        for layer in (self.actor, self.mean, self.sigma, self.critic, self.value):
            nn.init.normal_(layer.weight, 0.0, 0.1)
            nn.init.zeros_(layer.bias)

    def policy(self, observation: Tensor) -> Any:  # a Normal, whose methods torch leaves untyped
        """The distribution over actions ``[n, 1]`` at observations ``[n, 3]``."""
        hidden = functional.relu6(self.actor(observation))
        return Normal(2.0 * torch.tanh(self.mean(hidden)), functional.softplus(self.sigma(hidden)) + 1e-4)

    def state_value(self, observation: Tensor) -> Tensor:
        """V ``[n, 1]`` at observations ``[n, 3]``."""
        value: Tensor = self.value(functional.relu6(self.critic(observation)))
        return value

    def act(self, observation: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            sample = self.policy(torch.from_numpy(observation).unsqueeze(0)).sample()
        action: np.ndarray = sample[0].numpy()
        return action

    def loss(self, observation: Tensor, action: Tensor, target: Tensor) -> Tensor:
        """``mean(policy loss + (R - V)^2)`` over a window: ``[n, 3]``, ``[n, 1]``, ``[n, 1]``."""
        distribution = self.policy(observation)
        error = target - self.state_value(observation)
        objective = distribution.log_prob(action) * error.detach() + ENTROPY_COEF * distribution.entropy()
        loss: Tensor = (error.pow(2) - objective).mean()
        return loss


class SharedAdam(torch.optim.Adam):
    """torch's Adam with its state created at the start in shared memory, so that all workers update one state.

    ``step`` has to be a tensor created here: the one that Adam creates at its first step would be private to a process.
    """

    def __init__(self, params: Any, fused: bool = False) -> None:
        super().__init__(params, lr=LEARNING_RATE, betas=BETAS, fused=fused)
        for group in self.param_groups:
            for parameter in group["params"]:
                shared: dict[str, Any] = {
                    "step": torch.zeros((), dtype=torch.float32),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
                self.state[parameter] = {name: tensor.share_memory_() for name, tensor in shared.items()}


class Window(NamedTuple):
    """Up to ``N_STEP`` steps between two pulls, and what followed the last of them."""

    observations: list[np.ndarray]
    actions: list[np.ndarray]
    rewards: list[float]
    last_observation: np.ndarray
    terminated: bool


def n_step_returns(rewards: Sequence[float], value: float) -> list[float]:
    """``R_t = r_t + gamma R_{t+1}``, from the value of the state after the window.

    >>> n_step_returns([1.0, 2.0], 10.0)
    [10.9, 11.0]
    """
    returns = []
    for reward in reversed(rewards):
        value = reward + GAMMA * value
        returns.append(value)
    return returns[::-1]


def collect(environment: Any, local: ActorCritic, observation: np.ndarray, steps: int) -> Window:
    """Act for ``steps`` steps, or fewer if the episode terminates."""
    observations, actions, rewards = [], [], []
    terminated = False
    for _ in range(steps):
        action = local.act(observation)
        observations.append(observation)
        observation, reward, terminated, _, _ = environment.step(action)
        actions.append(action)
        rewards.append(float(reward))
        if terminated:
            break
    return Window(observations, actions, rewards, observation, terminated)


def push_and_pull(optimizer: torch.optim.Optimizer, local: ActorCritic, shared: ActorCritic, window: Window) -> None:
    """One update of the shared weights by the local gradient, then a copy of the shared weights."""
    if window.terminated:
        value = 0.0
    else:
        with torch.no_grad():
            value = local.state_value(torch.from_numpy(window.last_observation).unsqueeze(0)).item()
    rewards = [(reward + REWARD_SHIFT) / REWARD_SCALE for reward in window.rewards]
    loss = local.loss(
        torch.from_numpy(np.stack(window.observations)),
        torch.from_numpy(np.stack(window.actions)),
        torch.tensor(n_step_returns(rewards, value)).unsqueeze(1),
    )
    local.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    # Each time: zero_grad sets gradients to None, and a gradient assigned once would be pushed forever.
    for shared_parameter, local_parameter in zip(shared.parameters(), local.parameters(), strict=True):
        shared_parameter.grad = local_parameter.grad
    optimizer.step()
    local.load_state_dict(shared.state_dict())


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

    def __init__(self, workers: int, seed: int = 0, tuned: bool = False) -> None:
        context = mp.get_context("spawn")
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
