"""A trained policy as a Python object: loaded from a run or an exported folder, it acts on observations."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig
from torch import Tensor

from a3c_exp.algorithm.batched_policy import BatchedPolicy
from a3c_exp.algorithm.window_gradient import padded_forward
from a3c_exp.api.observations import ObservationBatcher
from a3c_exp.envs.base import space_of_observations
from a3c_exp.models.base import PolicyValue
from a3c_exp.models.distributions import Distribution, draw_noise
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.spaces.codecs import action_decoder
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.training import pretrained
from a3c_exp.training.build import build_run
from a3c_exp.training.resume import saved_config
from a3c_exp.training.saved_weights import SavedWeights, load_weights, require_single_seed

State = tuple[NDArray[np.float32], ...]
"""Recurrent state of n environments, ``([n, state_size],)``."""


@dataclass(frozen=True)
class ActionDistribution:
    """The policy's distribution over actions for n observations; for one, without the axis n. Its actions are those that the
    network's head is over: before a Box clips them, and of a Discrete space counted from 0."""

    distribution: Distribution
    parameters: Tensor  # [n, parameters_size]

    def mode(self) -> Tensor:
        """The actions ``[n, ...]`` that ``predict`` takes with ``deterministic=True``."""
        return self.distribution.mode(self.parameters)

    def log_prob(self, action: ArrayLike | Tensor) -> Tensor:
        """The log-probability (density) ``[n]`` of actions ``[n, ...]``, summed over their dimensions; further axes in front
        are for several actions of each."""
        mode = self.mode()
        actions = torch.as_tensor(action, device=mode.device).to(mode.dtype)
        several = actions.shape[: actions.dim() - mode.dim()]
        return self.distribution.log_prob(self.parameters.expand(*several, *self.parameters.shape), actions)

    def entropy(self) -> Tensor:
        """The entropy ``[n]`` in nats, summed over action dimensions."""
        return self.distribution.entropy(self.parameters)


class Policy:
    """A policy with stable-baselines3's ``predict``, so that its ``evaluate_policy`` takes it too.

    Attributes:
        observation_space: of one environment's observations: what ``env.id`` with ``env.wrappers`` declares. Of presets that
            prepare pictures themselves (``car_racing``, ``atari``) it is that of the prepared ones.
        action_space: what ``predict`` gives elements of.
        config: the run's whole configuration, as of ``python -m a3c_exp --cfg job``.
        checkpoint: the file that the weights are from.
    """

    observation_space: Space[Any]
    action_space: Space[Any]
    config: DictConfig
    checkpoint: Path

    def __init__(self, setup: TrainingSetup, saved: SavedWeights, config: DictConfig) -> None:
        self.config, self.checkpoint = config, saved.checkpoint
        envs = setup.make_evaluation_envs(num_envs=1)
        try:
            self.observation_space, self.action_space = space_of_observations(envs), envs.action_space
            self._observations = ObservationBatcher(self.observation_space, envs)
            self._decode = action_decoder(envs.action_space)
            self._model, self._layout = setup.model(envs)
        finally:
            envs.close()
        if saved.weights.numel() != self._layout.size:
            raise RunDirectoryError(
                f"{saved.checkpoint} holds {saved.weights.numel()} weights, but the run's model has {self._layout.size}. "
                "Name a checkpoint of this run"
            )
        self._weights = saved.weights.to(setup.device).unsqueeze(0).contiguous()
        self._batched: tuple[BatchedPolicy, NDArray[Any], bool] | None = None  # of the latest number of observations
        self._sde_noise: NDArray[np.float32] | None = None
        self.set_random_seed(None)

    def predict(
        self,
        observation: Any,
        state: State | None = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = True,
    ) -> tuple[Any, State | None]:
        """The actions for one observation or a batch of n, as in stable-baselines3, whose default is a sample though.

        Args:
            observation: an element of ``observation_space``, or n of them with an axis more (each part of a Dict or Tuple has
                that axis then).
            state: what the last call returned; ``None``: all episodes begin.
            episode_start: ``[n]`` true where an episode begins, whose recurrent state is reset.
            deterministic: the distribution's mode, which evaluations take too, instead of a sample.

        Returns:
            The action, clipped to the space and of its type and shape, for a batch ``[n, ...]`` (a list of n where it is a
            Tuple or Dict); and the recurrent state, or ``state`` itself of a network that has none.

        Raises:
            ValueError: an observation or state that does not fit.
        """
        rows, is_batch = self._observations.batch(observation)
        hidden_state = self._hidden_state(len(rows), state, episode_start)
        policy, buffer = self._policy_for(rows, deterministic)
        buffer[:] = rows
        with _one_thread(), torch.inference_mode():
            policy.begin(self._noise(len(rows), deterministic))
            action, new_state = policy.act(0, hidden_state)
        decoded = self._decode(action.copy())
        actions = np.asarray(decoded) if self.action_space.shape is not None else decoded
        returned = (new_state.cpu().numpy().copy(),) if self._model.hidden_state_size else state
        if is_batch:
            return actions, returned
        return (np.asarray(actions[0]) if self.action_space.shape is not None else actions[0]), returned

    def distribution(
        self, observation: Any, state: State | None = None, episode_start: ArrayLike | None = None
    ) -> ActionDistribution:
        """The distribution over actions; arguments and errors as of ``predict``."""
        output, is_batch = self._forward(observation, state, episode_start)
        return ActionDistribution(self._model.distribution, output.parameters if is_batch else output.parameters[0])

    def value(self, observation: Any, state: State | None = None, episode_start: ArrayLike | None = None) -> Any:
        """The critic's estimate of the discounted return ``[n]``, a float for one observation, in the units that training has
        scaled rewards to; arguments and errors as of ``predict``."""
        output, is_batch = self._forward(observation, state, episode_start)
        return output.value.cpu().numpy() if is_batch else float(output.value[0])

    def set_random_seed(self, seed: int | None) -> None:
        """Begin the random numbers of sampled actions anew; ``None``: others every time."""
        self._generator = np.random.default_rng(seed)
        self._sde_noise = None

    def reset_noise(self, n_envs: int = 1) -> None:
        """Draw the noise that several steps share (``use_sde``) anew, as at the begin of an episode."""
        size = self._model.distribution.sde_noise
        self._sde_noise = self._generator.standard_normal((n_envs, size), np.float32)

    def _policy_for(self, rows: NDArray[Any], deterministic: bool) -> tuple[BatchedPolicy, NDArray[Any]]:
        """The policy that evaluations act with, and the array that it reads ``rows`` of this shape from."""
        if self._batched is None or len(self._batched[1]) != len(rows) or self._batched[2] != deterministic:
            buffer = np.zeros_like(rows)
            policy = BatchedPolicy(self._model, self._layout, self._weights, buffer, 1, deterministic=deterministic)
            self._batched = policy, buffer, deterministic
        return self._batched[:2]

    def _noise(self, count: int, deterministic: bool) -> NDArray[np.float32]:
        """``[n, 1, noise_size]`` for one step of n observations."""
        distribution = self._model.distribution
        noise = np.zeros((count, 1, distribution.noise_size), np.float32)
        if not deterministic:
            own = distribution.noise_size - distribution.sde_noise
            noise[:, 0, :own] = draw_noise(distribution, self._generator, (count,))
            if distribution.sde_noise:
                if self._sde_noise is None or len(self._sde_noise) != count:
                    self.reset_noise(count)
                noise[:, 0, own:] = self._sde_noise
        return noise

    def _hidden_state(self, count: int, state: State | None, episode_start: ArrayLike | None) -> Tensor:
        size, device = self._model.hidden_state_size, self._weights.device
        if not size or state is None:
            return torch.zeros(count, size, device=device)
        shapes = [np.shape(part) for part in state]
        if shapes != [(count, size)]:
            raise ValueError(
                f"state has arrays of shape {shapes}, but for {count} observations it is one of shape {(count, size)}. "
                "Pass on what predict returned, or None where an episode begins"
            )
        hidden_state = torch.as_tensor(state[0], dtype=torch.float32, device=device).clone()
        if episode_start is not None:
            starts = np.atleast_1d(np.asarray(episode_start, np.bool_))
            if starts.shape != (count,):
                raise ValueError(f"episode_start is of shape {starts.shape}, but there are {count} observations. Give one each")
            hidden_state[torch.from_numpy(starts).to(device)] = 0.0
        return hidden_state

    def _forward(self, observation: Any, state: State | None, episode_start: ArrayLike | None) -> tuple[PolicyValue, bool]:
        rows, is_batch = self._observations.batch(observation)
        hidden_state = self._hidden_state(len(rows), state, episode_start)
        observed = torch.from_numpy(rows).to(self._weights.device)
        with _one_thread(), torch.no_grad():
            return padded_forward(self._model, self._layout.unflatten(self._weights[0]), observed, hidden_state), is_batch


def load(run: str | Path, checkpoint: str = "best", trust: Sequence[str] = ()) -> Policy:
    """The policy of a run directory (of several seeds, one seed's), or of a folder that ``a3c_exp.export`` wrote.

    Args:
        run: such as ``outputs/2026-11-21/14-03-22_pendulum``, or ``pretrained/cartpole``, which comes with the code.
        checkpoint: ``best`` of the run's own evaluations, ``last``, or a file.
        trust: modules that may be imported although the configuration that names them is not as you saved it (SECURITY.md).

    Raises:
        ConfigError, RunDirectoryError: what ``python -m a3c_exp.evaluate`` says in the same place.
    """
    directory = pretrained.locate(Path(run).expanduser())
    if pretrained.is_pretrained(directory):
        if checkpoint != "best":
            raise ConfigError(f"{directory} holds one set of weights and no checkpoint {checkpoint!r}. Leave it out")
        exported = pretrained.load(directory, trust)
        config, saved = exported.config, exported.saved
    else:
        config = saved_config(directory, trust)
        require_single_seed(directory, config)
        saved = load_weights(directory, checkpoint)
    return Policy(build_run(config).setup, saved, config)


@contextmanager
def _one_thread() -> Iterator[None]:
    """As evaluations compute, so that sums are rounded alike."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
