"""From observations as an environment gives them, one or a batch, to the array that a network reads."""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, MultiBinary, Tuple
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.spaces.checks import describe_space, describe_value, numeric_array
from a3c_exp.spaces.codecs import observation_encoder
from a3c_exp.spaces.flatten import leaf_paths


class ObservationBatcher:
    """Writes observations of ``space`` into one array ``[n, *observation]``, as ``envs`` writes its own."""

    def __init__(self, space: Space[Any], envs: EnvBatch) -> None:
        self._space = space
        self._row = envs.observation[0].copy()
        # What is stored as bytes without a space of its own is written as it is: its channels come first already.
        self._encode = observation_encoder(space)[1] if envs.raw_observation_space is not None else None

    def batch(self, observation: Any) -> tuple[NDArray[Any], bool]:
        """The array, and whether it was a batch; a ValueError if it is neither one observation nor a batch of them."""
        count = self._count(observation)
        rows = [observation] if count is None else [_row(self._space, observation, k) for k in range(count)]
        out = np.zeros((len(rows), *self._row.shape), self._row.dtype)
        for k, row in enumerate(rows):
            try:
                value = numeric_array(row, self._space) if isinstance(self._space, Box | MultiBinary) else row
                if self._encode is None:
                    out[k] = value
                else:
                    self._encode(value, out[k, ...])
            except (TypeError, ValueError, LookupError) as error:
                raise ValueError(f"the observation {error}") from error
        return out, count is not None

    def _count(self, observation: Any) -> int | None:
        """How many observations a batch holds; ``None`` for a single one. Their first part tells."""
        keys, leaf = next(leaf_paths(self._space))
        part = observation
        try:
            for key in keys:
                part = part[key]
        except (TypeError, LookupError):
            raise ValueError(self._problem(observation)) from None
        shape: tuple[int, ...] = np.shape(part)
        if shape == leaf.shape:
            return None
        if shape[1:] == leaf.shape and len(shape) == len(leaf.shape or ()) + 1:
            return shape[0]
        raise ValueError(self._problem(part))

    def _problem(self, value: Any) -> str:
        space = describe_space(self._space)
        return f"the observation is {describe_value(value)}, neither one of {space} nor a batch of them. Try env.reset()[0]"


def _row(space: Space[Any], value: Any, k: int) -> Any:
    """The k-th observation of a batch: of a Dict or Tuple, whose parts are batches, in the space's own nesting."""
    if isinstance(space, Dict):
        return {key: _row(part, value[key], k) for key, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(_row(part, value[place], k) for place, part in enumerate(space.spaces))
    return np.asarray(value)[k]
