"""How gradients travel from a group's host to the gateway."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GradientDtype = Literal["float32", "bfloat16"]
"""As they are, or rounded to two bytes a number."""

Packed = NDArray[np.float32] | NDArray[np.uint16]
"""``[K, P]``. The latter are bfloat16s, which numpy does not know."""


def pack(gradients: Tensor, dtype: GradientDtype) -> Packed:
    """``[K, P]`` float32 as they are sent."""
    gradients = gradients.detach()
    packed: Packed = (gradients.bfloat16().view(torch.uint16) if dtype == "bfloat16" else gradients).numpy()
    return packed


def unpack(packed: Packed, gradients: Tensor) -> None:
    """Write what was sent into ``gradients`` ``[K, P]``."""
    out = gradients.numpy()
    if packed.dtype == np.float32:
        out[:] = packed
    else:  # a bfloat16 is the upper half of a float32
        np.left_shift(packed, 16, out=out.view(np.uint32), dtype=np.uint32)
