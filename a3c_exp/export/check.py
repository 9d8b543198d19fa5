"""An exported file against the policy that it came from: the same observations, the same actions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.batched_policy import BatchedPolicy
from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed
from a3c_exp.algorithm.window_gradient import functional_forward
from a3c_exp.envs.base import EnvBatch
from a3c_exp.export.arrays import leaf_arrays, raw_arrays
from a3c_exp.models.base import ActorCritic
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.spaces.codecs import action_decoder
from a3c_exp.spaces.flatten import consecutive_slices, leaf_size, leaf_spaces
from a3c_exp.system.errors import A3CError

OBSERVATIONS = 1000
"""How many observations a file is checked on."""
_BATCHES = (1, 2, 47, 50)  # sizes: the first ones, then the last one again and again
_TOLERANCE = 1e-3  # of real-valued actions and recurrent states, relative above 1
_TIE = 1e-4  # nats: two actions of which rounding may make either the most likely one

_REPORT = "Nothing was written. Please report this"

Run = Callable[[Sequence[NDArray[Any]]], Sequence[NDArray[Any]]]
"""An exported file: from its inputs to its outputs, n of each."""


@dataclass(frozen=True)
class Samples:
    """What a policy did with the n observations that it came to."""

    inputs: Sequence[NDArray[Any]]  # an exported file's, [n, ...] each
    outputs: Sequence[NDArray[Any]]  # what it should return
    action: NDArray[Any]  # [n, ...] before a Box clips it
    log_prob: Callable[[int, NDArray[Any]], float]  # of another action than the k-th


@dataclass(frozen=True)
class Difference:
    """The largest differences between a file and the policy; ``ties``: discrete actions of equal probability."""

    action: float
    state: float
    ties: int
    observations: int

    def __str__(self) -> str:
        ties = f", {self.ties} ties decided otherwise" if self.ties else ""
        state = f", of states {self.state:.1e}" if self.state else ""
        return f"on {self.observations:,} observations; largest difference of actions {self.action:.1e}{state}{ties}"


def sample(
    model: ActorCritic, layout: ParameterLayout, weights: Tensor, envs: EnvBatch, space: Space[Any], seed: int, limit: int
) -> Samples:
    """What the policy with ``weights [P]`` does in its first steps in ``envs``, in episodes of at most ``limit`` steps; as in
    evaluations. ``space`` is that of the file's observations."""
    policy = BatchedPolicy(model, layout, weights.unsqueeze(0).contiguous(), envs.observation, 1, deterministic=True)
    noise = np.zeros((envs.num_envs, 1, model.distribution.noise_size), np.float32)
    state, lengths = torch.zeros(envs.num_envs, model.hidden_state_size), np.zeros(envs.num_envs, np.int64)
    episode, everyone = 0, np.ones(envs.num_envs, np.bool_)
    ended, kept = everyone.copy(), list[tuple[NDArray[Any], ...]]()
    for _ in range(-(-OBSERVATIONS // envs.num_envs)):
        for k in ended.nonzero()[0].tolist():
            envs.reset(k, env_seed(seed, 0, episode, StreamPurpose.evaluation))
            episode, lengths[k], state[k] = episode + 1, 0, 0.0
        policy.begin(noise)
        with torch.inference_mode():
            action, new_state = policy.act(0, state)
        kept.append((envs.observation.copy(), state.numpy().copy(), action.copy(), new_state.numpy().copy()))
        state = new_state.clone()
        envs.step(action, everyone)
        lengths += 1
        ended = envs.terminated | envs.truncated | (lengths >= limit)
        envs.terminated[:] = envs.truncated[:] = False
    observation, before, action, after = (np.concatenate(part)[:OBSERVATIONS] for part in zip(*kept, strict=True))

    kind = torch.from_numpy(action).dtype

    def log_prob(k: int, other: NDArray[Any]) -> float:
        row, own = (torch.from_numpy(part[k : k + 1]) for part in (observation, before))
        with torch.no_grad():
            parameters = functional_forward(model, layout.unflatten(weights), row, own).parameters
            return float(model.distribution.log_prob(parameters, torch.from_numpy(other[np.newaxis]).to(kind)))

    decoded, states = (
        list(action_decoder(envs.action_space)(action)),
        ([before], [after]) if model.hidden_state_size else ([], []),
    )
    return Samples(
        inputs=[*raw_arrays(space, observation), *states[0]],
        outputs=[*leaf_arrays(envs.action_space, decoded), *states[1]],
        action=action,
        log_prob=log_prob,
    )


def compare(samples: Samples, space: Space[Any], run: Run) -> Difference:
    """How far a file's outputs are from the policy's; ``space`` is that of actions.

    Raises:
        A3CError: at some observation by more than rounding can explain.
    """
    count, leaves = len(samples.action), leaf_spaces(space)
    returned = [np.concatenate(parts) for parts in zip(*map(run, _batches(samples.inputs, count)), strict=True)]
    kinds = [[(part.shape, str(part.dtype)) for part in parts] for parts in (samples.outputs, returned)]
    if kinds[0] != kinds[1]:
        raise A3CError(f"the exported file returns {kinds[1]}, but the policy {kinds[0]}. {_REPORT}")
    distances = [_distance(ours, theirs) for ours, theirs in zip(samples.outputs, returned, strict=True)]
    state = distances.pop() if len(distances) > len(leaves) else np.zeros((count, 1))
    others = _other_actions(samples, space, returned, distances)
    ties = [k for k in others if _is_tie(samples, k, _as_sampled(samples, space, returned, k))]
    far = set(others) - set(ties) | set(np.flatnonzero((state > _TOLERANCE).any(axis=1)).tolist())
    largest = max(float(np.delete(distance, ties, axis=0).max(initial=0.0)) for distance in distances)
    if far:
        raise A3CError(
            f"the exported file does other than the policy at {len(far)} of {count} observations, the first of them number "
            f"{min(far) + 1}: actions differ by up to {largest:.2g}, states by up to {state.max():.2g}. {_REPORT}"
        )
    return Difference(largest, float(state.max()), len(ties), count)


def _batches(inputs: Sequence[NDArray[Any]], count: int) -> Iterator[list[NDArray[Any]]]:
    begin, sizes = 0, [*_BATCHES]
    while begin < count:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        yield [np.ascontiguousarray(part[begin : begin + size]) for part in inputs]
        begin += size


def _distance(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """``[n, numbers]`` relative to what is above 1."""
    flat, other = (part.reshape(len(ours), -1).astype(np.float64) for part in (ours, theirs))
    distance: NDArray[np.float64] = np.abs(flat - other) / np.maximum(1.0, np.abs(flat))
    return distance


def _other_actions(
    samples: Samples, space: Space[Any], returned: Sequence[NDArray[Any]], distances: Sequence[NDArray[np.float64]]
) -> list[int]:
    """The rows with another action; of whole numbers that which lies as near to what was rounded is none."""
    leaves = [leaf for _, leaf in leaf_spaces(space)]
    action, wrong = samples.action.reshape(len(samples.action), -1), np.zeros(len(samples.action), np.bool_)
    for leaf, slice_, theirs, distance in zip(
        leaves, consecutive_slices([leaf_size(leaf) for leaf in leaves]), returned, distances, strict=False
    ):
        bad = distance > _TOLERANCE
        if isinstance(leaf, Box) and leaf.dtype.kind in "iub":
            exact = np.clip(action[:, slice_], leaf.low.reshape(-1), leaf.high.reshape(-1))
            bad &= np.abs(exact - theirs.reshape(len(theirs), -1)) > 0.5 + _TOLERANCE
        wrong |= bad.any(axis=1)
    return np.flatnonzero(wrong).tolist()


def _is_tie(samples: Samples, k: int, other: NDArray[Any]) -> bool:
    """Whether another action than the k-th is as likely."""
    return abs(samples.log_prob(k, other) - samples.log_prob(k, samples.action[k])) <= _TIE


def _as_sampled(samples: Samples, space: Space[Any], returned: Sequence[NDArray[Any]], k: int) -> NDArray[Any]:
    """The k-th action of a file, as the policy's distribution counts."""
    starts = [np.asarray(getattr(leaf, "start", 0)) for _, leaf in leaf_spaces(space)]
    parts = [(part[k] - start).reshape(-1).astype(np.float64) for start, part in zip(starts, returned, strict=False)]
    return np.concatenate(parts).reshape(samples.action.shape[1:])
