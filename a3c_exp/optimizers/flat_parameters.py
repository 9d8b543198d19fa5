"""All weights of a model as one vector of P numbers: a pull is one copy, a push one kernel, a checkpoint one array."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from a3c_exp.system.errors import ConfigError

SMALL_FAN_IN = 4
"""Layers of at most so many inputs are multiplied by their transposed weights."""


@dataclass(frozen=True)
class ParameterLayout:
    """Where each named parameter of a module lies in the flat vector: names in order, shapes, how many numbers each has."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    sizes: tuple[int, ...]

    @classmethod
    def from_module(cls, module: nn.Module) -> "ParameterLayout":
        """The layout of a module's parameters; a parameter that several layers share is in it once. A ConfigError says what the
        vector cannot hold: state other than parameters, or parameters that are frozen, overlap, have no values yet, or are not
        float32."""
        parameters = dict(module.named_parameters())
        for name, parameter in parameters.items():
            _reject_unsupported(name, parameter)
        _reject_extra_state(module)
        _reject_overlaps(parameters)
        if not parameters:
            raise ConfigError(
                f"the model ({type(module).__name__}) has no parameters, so there is nothing to train. Give it a layer"
            )
        shapes = tuple(parameter.shape for parameter in parameters.values())
        return cls(tuple(parameters), shapes, tuple(shape.numel() for shape in shapes))

    @property
    def size(self) -> int:
        """P, the length of the flat vector."""
        return sum(self.sizes)

    def flatten(self, module: nn.Module) -> Tensor:
        """The module's current weights as a new vector ``[P]``."""
        # A parameter that was added, removed or changed since would silently not be trained.
        now = ParameterLayout.from_module(module)
        other = set(now.names) ^ set(self.names) or "other shapes"
        assert now == self, f"the model has other parameters than its layout: {other}"
        parameters = dict(module.named_parameters())
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of ``flat [P]`` under the parameters' names, for ``torch.func.functional_call``: one split, since
        differentiating through many slices costs several times as much."""
        assert flat.shape == (self.size,), f"expected [{self.size}], got {tuple(flat.shape)}"
        pieces = torch.split(flat, list(self.sizes))
        return {name: piece.view(shape) for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)}

    def unflatten_rows(self, flat: Tensor) -> dict[str, Tensor]:
        """Views ``[R, *shape]`` of ``flat [R, P]`` under the parameters' names."""
        pieces = torch.split(flat, list(self.sizes), dim=1)
        return {name: piece.view(-1, *shape) for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)}

    def unflatten_transposed(self, flat: Tensor, transposed: Sequence[Tensor]) -> dict[str, Tensor]:
        """``unflatten``, with one weight vector's ``transposed`` matrices instead of those with few inputs."""
        parameters, remaining = self.unflatten(flat), iter(transposed)
        for name, shape in zip(self.names, self.shapes, strict=True):
            if _has_small_fan_in(shape):
                parameters[name] = next(remaining).t()
        return parameters

    def transposed(self, flat: Tensor) -> list[Tensor]:
        """The matrices with few inputs of ``flat [R, P]``, transposed to ``[R, inputs, outputs]``: views, which are not
        contiguous. A layer with few inputs, ``[outputs, inputs]``, is vectorized over outputs only if those are."""
        pieces = zip(torch.split(flat, list(self.sizes), dim=1), self.shapes, strict=True)
        return [piece.view(-1, *shape).transpose(1, 2) for piece, shape in pieces if _has_small_fan_in(shape)]


def _has_small_fan_in(shape: torch.Size) -> bool:
    return len(shape) == 2 and 1 < shape[1] <= SMALL_FAN_IN < shape[0]


def _reject_extra_state(module: nn.Module) -> None:
    """Checkpoints hold the vector alone, and workers exchange nothing else."""
    for name, child in module.named_modules():
        if getattr(child, "track_running_stats", False):
            raise ConfigError(
                f"the model's layer {name} ({type(child).__name__}) keeps running statistics, which asynchronous workers "
                "cannot share. Use a group or instance norm, or track_running_stats=False"
            )
    names = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name in module.state_dict():
        if name not in names:
            raise ConfigError(
                f"the model keeps {name} besides its parameters: neither workers nor checkpoints share it. "
                "Register a constant with register_buffer(..., persistent=False), and keep no changing state"
            )


def _reject_unsupported(name: str, parameter: nn.Parameter) -> None:
    if is_lazy(parameter) or parameter.is_meta:
        raise ConfigError(
            f"the model's parameter {name} has no values yet (a lazy layer or the meta device). "
            "Give the layer its input size, e.g. nn.Linear(inputs, outputs) for nn.LazyLinear(outputs)"
        )
    if parameter.dtype != torch.float32:
        raise ConfigError(
            f"the model's parameter {name} is {str(parameter.dtype).removeprefix('torch.')}, but shared weights are float32. "
            "Call .float() on its layer"
        )
    if not parameter.requires_grad:
        raise ConfigError(
            f"the model's parameter {name} is frozen (requires_grad=False), but every shared weight is trained. "
            "Register a constant with register_buffer(..., persistent=False) instead"
        )


def _reject_overlaps(parameters: dict[str, nn.Parameter]) -> None:
    """Two parameters in one memory would be separated: the vector would hold, and train, a copy of each."""
    ranges = sorted((p.data_ptr(), _end_address(p), name) for name, p in parameters.items() if p.numel() > 0)
    for (_, end, name), (begin, _, other) in itertools.pairwise(ranges):
        if begin < end:
            raise ConfigError(
                f"the model's parameters {name} and {other} share memory. "
                "To tie layers, give both the same nn.Parameter: a.weight = b.weight"
            )


def _end_address(parameter: Tensor) -> int:
    """The address after the last of its numbers."""
    steps = sum((size - 1) * stride for size, stride in zip(parameter.shape, parameter.stride(), strict=True))
    return parameter.data_ptr() + (steps + 1) * parameter.element_size()
