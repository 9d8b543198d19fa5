"""Actions in CarRacing: a few fixed combinations of steering, gas and brake, or any."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from a3c_exp.config.type_checks import matches_type
from a3c_exp.spaces.codecs import action_decoder
from a3c_exp.system.errors import ConfigError

Actions = Sequence[Sequence[float]] | Literal["continuous"] | None
"""Rows of ``[steering, gas, brake]``; ``continuous`` for all of them; ``None`` for the article's four."""

ARTICLE_ACTIONS: Sequence[Sequence[float]] = ((-0.8, 0.0, 0.0), (0.8, 0.0, 0.0), (0.0, 0.1, 0.0), (0.0, 0.0, 0.6))
"""The CarRacing article's: left, right, a little gas, brake."""
FULL_BRAKE = (0.0, 0.0, 1.0)
"""What the article does while the frame stack fills."""
_LOW, _HIGH = np.array([-1, 0, 0], np.float32), np.array([1, 1, 1], np.float32)
_NAMES = ("steering", "gas", "brake")


class CarActions:
    """From a policy's actions to ``[steering, gas, brake]``; a ConfigError for fewer than two, or one that is not three numbers
    in their ranges."""

    def __init__(self, actions: Actions = None) -> None:
        self.space: Space[Any]
        if actions == "continuous":
            self.space = Box(_LOW, _HIGH)
            self._table: NDArray[np.float64] | None = None
        else:
            # In single precision first, as gymnasium's own space would have them.
            self._table = _check_actions(ARTICLE_ACTIONS if actions is None else actions).astype(np.float32).astype(np.float64)
            self.space = Discrete(len(self._table))
        self._decode = action_decoder(self.space)

    def __call__(self, action: NDArray[Any]) -> NDArray[np.float64]:
        """``[K]`` choices or ``[K, 3]`` numbers, which are clipped, to ``[K, 3]``."""
        decoded = np.asarray(self._decode(action))
        return decoded.astype(np.float64) if self._table is None else self._table[decoded]

    @property
    def names(self) -> Sequence[str]:
        """Of the choices, such as ``left 0.8`` or ``gas 0.1``, or of the three numbers."""
        return _NAMES if self._table is None else [_action_name(*row) for row in self._table.tolist()]


def _action_name(steering: float, gas: float, brake: float) -> str:
    side = "left" if steering < 0 else "right"
    parts = [f"{name} {size:.3g}" for name, size in ((side, abs(steering)), ("gas", gas), ("brake", brake)) if size]
    return " ".join(parts) or "coast"


def _check_actions(actions: Any) -> NDArray[np.float64]:
    allowed = "It is continuous, null for the article's four, or a list such as [[-0.8,0,0],[0.8,0,0],[0,0.1,0],[0,0,0.6]]"
    if isinstance(actions, str) or not isinstance(actions, Sequence) or len(actions) < 2:
        raise ConfigError(f"env.actions is {actions!r}, which leaves nothing to choose from. {allowed}")
    for index, row in enumerate(actions):
        if not matches_type(row, tuple[float, float, float]):
            raise ConfigError(
                f"env.actions[{index}] is {row!r}, but an action is three numbers: [steering, gas, brake]. "
                "Try 'env.actions=[[-1,0,0],[1,0,0],[0,1,0]]'"
            )
        for name, value, low, high in zip(_NAMES, row, _LOW, _HIGH, strict=True):
            if not low <= value <= high:
                raise ConfigError(
                    f"env.actions[{index}] has {name} {value:g}, but {name} lies in [{low:g}, {high:g}]. Choose a number in it"
                )
    return np.array(actions, np.float64)
