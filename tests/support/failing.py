"""An environment that does what no environment should, at a step of one's choice."""

import os
import signal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.gymnasium import GymnasiumEnvs


class FailingEnvironments(GymnasiumEnvs):
    """Pendulum, until its process has stepped ``fail_at`` times; then it raises, dies or returns NaN."""

    def __init__(
        self,
        num_envs: int = 1,
        fail_at: int = 0,
        how: Literal["raise", "kill", "not_finite"] = "raise",
        render_mode: str | None = None,
    ) -> None:
        super().__init__("Pendulum-v1", num_envs, render_mode=render_mode)
        self._left = fail_at or None
        self._how = how

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        ended = super().step(action, active)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                if self._how == "raise":
                    raise RuntimeError("the pendulum came off")
                if self._how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                self.reward[:] = np.nan
                self._left = 1
        return ended
