"""All weights of a model as one vector of P numbers: a pull is one copy, a push one kernel, a checkpoint one array."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from a3c_exp.core.errors import ConfigError


@dataclass(frozen=True)
class FlatLayout:
    """Where each named parameter of a module stands in the flat vector.

    Attributes:
        names: the parameters' names in order.
        shapes: their shapes.
        sizes: how many numbers each has.
    """

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, module: nn.Module) -> "FlatLayout":
        """The layout of a module's parameters.

        Raises:
            ConfigError: the module keeps running statistics, which a flat vector of weights cannot carry and which differ
                between workers.
        """
        for name, child in module.named_modules():
            if getattr(child, "track_running_stats", False):
                raise ConfigError(
                    f"the model's layer {name} ({type(child).__name__}) keeps running statistics, which asynchronous workers "
                    "cannot share. Use a group or instance norm, or track_running_stats=False"
                )
        parameters = dict(module.named_parameters())
        wrong = [name for name, parameter in parameters.items() if parameter.dtype != torch.float32]
        assert not wrong, f"parameters must be float32: {wrong}"
        return cls(
            tuple(parameters),
            tuple(parameter.shape for parameter in parameters.values()),
            tuple(parameter.numel() for parameter in parameters.values()),
        )

    @property
    def size(self) -> int:
        """P, the length of the flat vector."""
        return sum(self.sizes)

    def flatten(self, module: nn.Module) -> Tensor:
        """The module's current weights as a new vector ``[P]``."""
        parameters = dict(module.named_parameters())
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of ``flat [P]`` under the parameters' names, for ``torch.func.functional_call``.

        One split, not P slices: differentiating through slices costs several times as much.
        """
        assert flat.shape == (self.size,), f"expected [{self.size}], got {tuple(flat.shape)}"
        pieces = torch.split(flat, list(self.sizes))
        return {name: piece.view(shape) for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)}
