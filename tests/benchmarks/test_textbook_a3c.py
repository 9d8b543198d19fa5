"""The textbook baseline is correct: otherwise any ratio to it would be worthless."""

import math
import multiprocessing
import os
import signal
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import gymnasium
import numpy as np
import pytest
import torch

from benchmarks.baselines.textbook_a3c import WARM_UP_WINDOWS, Training
from benchmarks.baselines.textbook_learner import (
    BETAS,
    ENTROPY_COEF,
    GAMMA,
    LEARNING_RATE,
    N_STEP,
    ActorCritic,
    SharedAdam,
    Window,
    collect,
    n_step_returns,
    push_and_pull,
)


def some_window(seed: int, terminated: bool = False) -> Window:
    random = np.random.default_rng(seed)
    observations = [random.normal(size=3).astype(np.float32) for _ in range(N_STEP + 1)]
    actions = [random.normal(size=1).astype(np.float32) for _ in range(N_STEP)]
    return Window(observations[:-1], actions, random.normal(size=N_STEP).tolist(), observations[-1], terminated)


def shared_and_local(seed: int = 0) -> tuple[ActorCritic, ActorCritic]:
    torch.manual_seed(seed)
    shared = ActorCritic()
    return shared, deepcopy(shared)


@pytest.mark.parametrize("fused", [False, True])
def test_the_shared_adam_is_not_another_adam(fused: bool) -> None:
    ours, theirs = shared_and_local()
    shared_adam = SharedAdam(ours.parameters(), fused=fused)
    adam = torch.optim.Adam(theirs.parameters(), lr=LEARNING_RATE, betas=BETAS)
    for _ in range(25):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        shared_adam.step()
        adam.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)
        assert shared_adam.state[mine]["step"].item() == 25


def test_returns_neither_skip_nor_double_a_discount() -> None:
    rewards, value = [1.0, -2.0, 0.5, 3.0], 7.0
    brute_force = [
        sum(GAMMA**k * reward for k, reward in enumerate(rewards[t:])) + GAMMA ** (len(rewards) - t) * value
        for t in range(len(rewards))
    ]
    assert n_step_returns(rewards, value) == pytest.approx(brute_force, rel=1e-12)


@pytest.mark.parametrize("terminated", [False, True])
def test_the_pushed_gradient_is_not_that_of_another_loss(terminated: bool) -> None:
    """Against the formulas written out: the actor sees a constant advantage, the critic sees only its squared error."""
    shared, local = shared_and_local()
    reference = deepcopy(local)
    window = some_window(1, terminated)
    push_and_pull(torch.optim.SGD(shared.parameters(), lr=0.0), local, shared, window)

    observation = torch.from_numpy(np.stack(window.observations))
    action = torch.from_numpy(np.stack(window.actions))
    hidden = reference.actor(observation).clamp(0, 6)
    mean = 2 * torch.tanh(reference.mean(hidden))
    sigma = torch.log1p(torch.exp(reference.sigma(hidden))) + 1e-4
    value = reference.value(reference.critic(observation).clamp(0, 6))
    last = reference.value(reference.critic(torch.from_numpy(window.last_observation)).clamp(0, 6)).item()
    # A time limit leaves a value behind, only a terminal state does not.
    rewards = [(reward + 8.1) / 8.1 for reward in window.rewards]
    target = torch.tensor(n_step_returns(rewards, 0.0 if terminated else last)).unsqueeze(1)
    log_prob = -((action - mean) ** 2) / (2 * sigma**2) - sigma.log() - 0.5 * math.log(2 * math.pi)
    entropy = 0.5 + 0.5 * math.log(2 * math.pi) + sigma.log()
    advantage = (target - value).detach()
    (-(log_prob * advantage).mean() - ENTROPY_COEF * entropy.mean() + ((target - value) ** 2).mean()).backward()

    for pushed, expected in zip(shared.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(pushed.grad, expected.grad, rtol=1e-4, atol=1e-6)


def test_the_second_push_is_not_the_first_gradient_again() -> None:
    """The classic script assigns ``_grad`` once; later pushes then repeat or accumulate it."""
    shared, local = shared_and_local()
    optimizer = torch.optim.SGD(shared.parameters(), lr=0.0)
    push_and_pull(optimizer, local, shared, some_window(1))
    push_and_pull(optimizer, local, shared, some_window(2))

    fresh_shared, fresh_local = shared_and_local()
    push_and_pull(torch.optim.SGD(fresh_shared.parameters(), lr=0.0), fresh_local, fresh_shared, some_window(2))
    for pushed, expected in zip(shared.parameters(), fresh_shared.parameters(), strict=True):
        torch.testing.assert_close(pushed.grad, expected.grad)


def test_a_pull_is_not_forgotten() -> None:
    shared, local = shared_and_local()
    before = deepcopy(local.state_dict())
    push_and_pull(SharedAdam(shared.parameters()), local, shared, some_window(1))
    for name, tensor in local.state_dict().items():
        assert torch.equal(tensor, shared.state_dict()[name])
        assert not torch.equal(tensor, before[name])


def test_the_environment_does_not_end_after_200_steps() -> None:
    environment = gymnasium.make("Pendulum-v1").unwrapped
    observation, _ = environment.reset(seed=0)
    window = collect(environment, ActorCritic(), observation, 250)
    assert len(window.rewards) == len(window.observations) == len(window.actions) == 250
    assert not window.terminated
    assert np.array_equal(window.observations[0], observation)
    assert not np.array_equal(window.observations[-1], window.last_observation)


@dataclass
class Run:
    """A short training of two workers: measured, then one worker is killed, then it is stopped."""

    training: Training
    weights_before: torch.Tensor
    steps: int
    seconds: float
    steps_before: int
    steps_after: int
    error: str
    pids: list[int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    training = Training(workers=2, start_method="forkserver")  # which has imported torch
    weights = torch.nn.utils.parameters_to_vector(training.shared.parameters()).detach().clone()
    with pytest.raises(RuntimeError) as caught, training.started():
        training.wait_until_warm()
        before = training.steps()
        steps, seconds = training.train(0.4)
        after = training.steps()
        pids = [process.pid for process in training.processes if process.pid is not None]
        os.kill(pids[0], signal.SIGKILL)
        training.train(20.0)
    yield Run(training, weights, steps, seconds, before, after, str(caught.value), pids)


def test_steps_of_the_warm_up_are_not_counted(run: Run) -> None:
    assert run.steps_before >= 2 * WARM_UP_WINDOWS * N_STEP
    assert 0 < run.steps <= run.steps_after - run.steps_before
    assert run.seconds >= 0.4


def test_optimizer_and_weights_are_not_private_to_a_worker(run: Run) -> None:
    weights = torch.nn.utils.parameters_to_vector(run.training.shared.parameters())
    assert not torch.equal(weights, run.weights_before)
    assert bool(weights.isfinite().all())
    windows = run.training.steps() / N_STEP
    for parameter in run.training.shared.parameters():
        state = run.training.optimizer.state[parameter]
        # A range: without a lock two workers can count one step, and a killed one may not report its last window.
        assert 0.5 * windows < state["step"].item() <= windows + 2
        assert state["exp_avg_sq"].abs().sum() > 0


def test_a_dead_worker_is_not_a_slow_measurement(run: Run) -> None:
    assert "worker-0 died" in run.error


def test_no_process_is_left_behind(run: Run) -> None:
    assert len(run.pids) == 2
    for pid in run.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("worker-")]
