"""How weights are drawn: from the seed alone, whatever was drawn before in this process."""

import math
from typing import Annotated

import torch
from annotated_types import Gt
from torch import nn

from a3c_exp.config.type_checks import Example
from a3c_exp.models.cells import Cell
from a3c_exp.system.errors import ConfigError

WeightStd = Annotated[float, Gt(0), Example(0.1)] | None


def initialize(
    model: nn.Module, policy: nn.Module, value: nn.Module, weight_std: float | None, orthogonal: bool, seed: int
) -> None:
    """Draw all weights of an actor-critic anew.

    Args:
        policy, value: the model's last layers.
        weight_std: weights from N(0, weight_std) and biases 0; ``None`` keeps each layer's own initialization.
        orthogonal: orthogonal weights (Saxe et al. 2014, arXiv:1312.6120) and biases 0, with gains as OpenAI's baselines made
            them customary: policy .01, value 1, recurrent cells 1, all other layers sqrt 2.

    Raises:
        ConfigError: both ways are asked for.
    """
    if orthogonal and weight_std is not None:
        raise ConfigError(
            f"model.orthogonal=true and model.weight_std={weight_std} are two ways to draw the same weights. "
            "Try model.orthogonal=true model.weight_std=null"
        )
    if weight_std is None and not orthogonal:
        with torch.random.fork_rng(devices=[]):  # layers draw from torch's global generator
            torch.manual_seed(seed)
            for layer in model.modules():
                if callable(reset := getattr(layer, "reset_parameters", None)):
                    reset()
        return
    generator = torch.Generator().manual_seed(seed)
    gains = {layer: gain for last, gain in ((policy, 0.01), (value, 1.0)) for layer in last.modules()}
    with torch.no_grad():
        for layer in model.modules():
            gain = gains.get(layer, 1.0 if isinstance(layer, Cell) else math.sqrt(2.0))
            for name, parameter in layer.named_parameters(recurse=False):
                if parameter.dim() > 1 and weight_std is not None:
                    parameter.normal_(0.0, weight_std, generator=generator)
                elif parameter.dim() > 1:
                    nn.init.orthogonal_(parameter, gain, generator)
                elif name.startswith("bias"):  # bias, bias_ih, bias_hh; the scales of a norm or a PReLU stay as they are
                    parameter.zero_()
