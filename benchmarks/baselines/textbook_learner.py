"""What each process of the textbook's A3C does with a window: networks, returns, a shared Adam, push and pull."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional

GAMMA = 0.9
ENTROPY_COEF = 0.005
N_STEP = 10
REWARD_SHIFT = REWARD_SCALE = 8.1  # learns from (reward + 8.1) / 8.1, about -1 to 1
LEARNING_RATE = 1e-4
BETAS = (0.96, 0.999)


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
