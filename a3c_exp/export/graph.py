"""A policy as one module of tensors: what the environment observes goes in, the action that it takes comes out."""

from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from torch import Tensor, nn

from a3c_exp.export.arrays import choice_counts, leaf_shape
from a3c_exp.models.base import ActorCritic, network_input
from a3c_exp.spaces.flatten import consecutive_slices, leaf_size, leaf_spaces
from a3c_exp.spaces.pictures import is_bytes

STATE, NEW_STATE = "state", "new_state"


class PolicyGraph(nn.Module):
    """The deterministic policy of n environments, from the observations themselves to the actions themselves: observations are
    encoded and normalized, actions scaled, clipped and rounded inside, with the numbers and types of the spaces.

    Each part of a Dict or Tuple is a tensor of its own, in the order of ``spaces.flatten.leaf_paths``. A recurrent policy takes
    its state as the last input and returns the next one last.

    Args:
        model: with the policy's weights; it is moved to the CPU and frozen.
        observation_space: of one environment, whose elements the inputs are.
        encoded_shape: of an observation as the model reads it.

    Attributes:
        input_names, output_names: ``observation`` and ``action`` (``observation.<path>`` of parts), then those of the state.
        examples: two observations of zeros, as ``forward`` takes them.
        description: of inputs and outputs, for a file's metadata.
    """

    def __init__(
        self, model: ActorCritic, observation_space: Space[Any], encoded_shape: tuple[int, ...], action_space: Space[Any]
    ) -> None:
        super().__init__()
        self.model = model.cpu().requires_grad_(False)
        self.recurrent = model.hidden_state_size > 0
        observed, acted = leaf_spaces(observation_space), leaf_spaces(action_space)
        self.encoders = nn.ModuleList(
            _Picture(encoded_shape) if is_bytes(observation_space) else _Plain() if not path and isinstance(leaf, Box)
            else _OneHot(leaf) if isinstance(leaf, Discrete | MultiDiscrete) else _Flat(is_bytes(leaf))
            for path, leaf in observed
        )  # fmt: skip
        self.decoders = nn.ModuleList(_Clip(leaf) if isinstance(leaf, Box) else _Choice(leaf) for _, leaf in acted)
        self._slices = consecutive_slices([leaf_size(leaf) for _, leaf in acted])
        self.input_names = [_name("observation", path) for path, _ in observed] + [STATE] * self.recurrent
        self.output_names = [_name("action", path) for path, _ in acted] + [NEW_STATE] * self.recurrent
        self.examples = [torch.zeros(2, *leaf_shape(leaf), dtype=_torch_type(leaf)) for _, leaf in observed]
        for (_, leaf), example in zip(observed, self.examples, strict=True):
            if isinstance(leaf, Discrete | MultiDiscrete):
                example += torch.from_numpy(np.asarray(leaf.start)).to(example.dtype)
        if self.recurrent:
            self.examples.append(torch.zeros(2, model.hidden_state_size))

    @property
    def description(self) -> dict[str, Any]:
        inputs = zip(self.input_names, self.examples, strict=True)
        numbers = {name: f"{str(example.dtype).removeprefix('torch.')} {['n', *example.shape[1:]]}" for name, example in inputs}
        description = {"inputs": numbers, "outputs": self.output_names}
        if self.recurrent:
            description["state"] = f"zeros where an episode begins, then the {NEW_STATE} of the step before"
        return description

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Actions ``[n, ...]``, a tensor a part, for observations ``[n, ...]``; with a state ``[n, state_size]`` behind, if the
        policy has one."""
        *observed, state = inputs if self.recurrent else (*inputs, torch.zeros(inputs[0].shape[0], 0))
        encoded = [encode(part) for encode, part in zip(self.encoders, observed, strict=True)]
        observation = encoded[0] if len(encoded) == 1 else torch.cat(encoded, dim=-1)
        output = self.model(network_input(observation), state)
        action = self.model.distribution.mode(output.parameters)
        parts = [action] if len(self._slices) == 1 else [action[:, slice_] for slice_ in self._slices]
        actions = tuple(decode(part) for decode, part in zip(self.decoders, parts, strict=True))
        return (*actions, output.hidden_state) if self.recurrent else actions


class _Plain(nn.Module):
    """A Box of numbers, whose shape the network sees."""

    def forward(self, value: Tensor) -> Tensor:
        return value.to(torch.float32)


class _Picture(nn.Module):
    """Bytes, with their channels first as ``spaces.pictures.turn`` puts them; the network divides them by 255."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, value: Tensor) -> Tensor:
        if value.shape[1:] == self.shape or value.dim() == 3:
            return value.reshape(-1, *self.shape)
        return value.movedim(-1, -3).reshape(-1, *self.shape)


class _Flat(nn.Module):
    """A part, or a MultiBinary, as a vector; bytes divided by 255."""

    def __init__(self, scale: bool) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, value: Tensor) -> Tensor:
        flat = value.to(torch.float32).reshape(value.shape[0], -1)
        return flat / 255 if self.scale else flat


class _OneHot(nn.Module):
    """Choices as vectors of zeros and a one each, side by side."""

    def __init__(self, space: Discrete | MultiDiscrete) -> None:
        super().__init__()
        counts = choice_counts(space)
        starts = np.asarray(space.start, np.int64).reshape(-1).tolist()
        self.register_buffer("choice", torch.tensor([i for i, count in enumerate(counts) for _ in range(count)]))
        values = [start + k for start, count in zip(starts, counts, strict=True) for k in range(count)]
        self.register_buffer("value", torch.tensor(values))

    def forward(self, value: Tensor) -> Tensor:
        choices = value.to(torch.int64).reshape(value.shape[0], -1)
        return (choices[:, self.get_buffer("choice")] == self.get_buffer("value")).to(torch.float32)


class _Clip(nn.Module):
    """Numbers within a Box's bounds, the nearest whole ones where it holds integers."""

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.shape, self.dtype = space.shape, _torch_type(space)
        # Single precision has no room for the bounds of large integers.
        self.wide = torch.float32 if space.dtype == np.float32 else torch.float64
        self.whole = not self.dtype.is_floating_point
        for name, bound in (("low", space.low), ("high", space.high)):
            self.register_buffer(name, torch.from_numpy(np.asarray(bound, np.float64)).to(self.wide))

    def forward(self, action: Tensor) -> Tensor:
        action = action.reshape(-1, *self.shape).to(self.wide)
        clipped = torch.minimum(torch.maximum(action, self.get_buffer("low")), self.get_buffer("high"))
        return (torch.round(clipped) if self.whole else clipped).to(self.dtype)


class _Choice(nn.Module):
    """Choices, counted from the space's start."""

    def __init__(self, space: Space[Any]) -> None:
        super().__init__()
        assert isinstance(space, Discrete | MultiDiscrete | MultiBinary), space
        self.shape, self.dtype = leaf_shape(space), _torch_type(space)
        start = 0 if isinstance(space, MultiBinary) else space.start
        self.register_buffer("start", torch.from_numpy(np.asarray(start, np.int64)))

    def forward(self, action: Tensor) -> Tensor:
        return (action.reshape(-1, *self.shape).to(torch.int64) + self.get_buffer("start")).to(self.dtype)


def _name(kind: str, path: str) -> str:
    return f"{kind}.{path}" if path else kind


def _torch_type(space: Space[Any]) -> torch.dtype:
    return torch.from_numpy(np.zeros(0, space.dtype)).dtype
