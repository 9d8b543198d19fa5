"""Environments that go wrong once, in every way that code goes wrong."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.envs.classic_control import ClassicControlEnvs

BREAK = Path("break")
"""A file in the directory that a run is started in."""


class Faulty(ClassicControlEnvs):
    """Where ``BREAK`` lies, the first process that has taken 300 steps removes it and does what it says."""

    steps_taken = 0
    leaking = False

    def step(self, action: Any, active: Any) -> bool:
        ended = super().step(action, active)
        self.steps_taken += int(np.count_nonzero(active))
        self._perhaps_break(in_reset=False)
        if self.leaking:
            with suppress(OSError):  # the next to open a file gets the error
                os.open(os.devnull, os.O_RDONLY)
        return ended

    def reset(self, index: int, seed: int) -> None:
        super().reset(index, seed)
        self._perhaps_break(in_reset=True)

    def _perhaps_break(self, in_reset: bool) -> None:
        if self.steps_taken < 300 or not BREAK.exists() or (how := BREAK.read_text()).endswith(" reset") != in_reset:
            return
        BREAK.unlink()
        if how.startswith("hang"):
            while True:
                time.sleep(60)
        if how == "exit":
            sys.exit(0)
        if how == "exit at once":
            os._exit(7)
        if how == "EOFError":
            raise EOFError
        if how.startswith("raise"):
            raise RuntimeError("the cart left the rails")
        self.leaking = True
