"""What runs that are held up, broken or killed need: environments that do it, and what is compared afterwards."""

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from a3c_exp.envs.classic_control import ClassicControlEnvs
from tests.support.command import lines, start, summary

HOLD = Path("hold")
"""A file in the directory that a run is started in."""
HELD = Path("held")
"""Made by the process that stands still because of it."""
BREAK = Path("break")
"""Another file in that directory."""


class Sleepy(ClassicControlEnvs):
    """Steps that take their time, now more and now less. Where ``HOLD`` lies it says after how many they stand still, until it
    is taken away."""

    steps_taken = 0

    def step(self, action: Any, active: Any) -> bool:
        time.sleep(0.004 * (int.from_bytes(os.urandom(1)) / 255))
        self.steps_taken += int(np.count_nonzero(active))
        deadline = time.monotonic() + 300.0  # in case the test runner is killed
        while self._is_held():
            HELD.touch()
            assert time.monotonic() < deadline, f"{HOLD} was not taken away"
            time.sleep(0.01)
        return super().step(action, active)

    def _is_held(self) -> bool:
        try:
            return self.steps_taken >= int(HOLD.read_text())
        except FileNotFoundError:
            return False


class Lingering(ClassicControlEnvs):
    """Where ``HOLD`` lies, they stand still in the evaluation after the last of 801 steps."""

    def step(self, action: Any, active: Any) -> bool:
        while HOLD.exists() and Path("here/checkpoints/step_801.pt").exists():
            HELD.touch()
            time.sleep(0.01)
        return super().step(action, active)


class Breaking(ClassicControlEnvs):
    """Where ``BREAK`` lies, the first process that has taken 300 steps removes it and does what it says."""

    steps_taken = 0

    def step(self, action: Any, active: Any) -> bool:
        ended = super().step(action, active)
        self.steps_taken += int(np.count_nonzero(active))
        if self.steps_taken < 300 or not BREAK.exists():
            return ended
        how = BREAK.read_text()
        BREAK.unlink()
        if how == "raise":
            raise RuntimeError("the pole snapped")
        if how == "exit":
            sys.exit(0)
        if how == "leak":
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            while True:
                os.open(os.devnull, os.O_RDONLY)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        self.reward[:] = np.nan
        return ended


def killed_at_a_checkpoint(*command: str, cwd: Path, number: int, hold: int) -> Path:
    """Start the command, kill it as soon as that many periodic checkpoints are there; returns the newest.

    Its environments, which are ``Sleepy``, stand still after ``hold`` steps in all, so that it is not at its end by then.
    """
    (cwd / HOLD).write_text(str(hold))
    process = start(*command, cwd=cwd)
    try:
        deadline = time.monotonic() + 90
        while True:
            checkpoints = sorted(
                (int(path.stem.removeprefix("step_")), path) for path in cwd.glob("here/**/checkpoints/step_*.pt")
            )
            if len([steps for steps, _ in checkpoints if steps > 0]) >= number:
                break
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        (cwd / HOLD).unlink()
    return checkpoints[-1][1]


def same_run(one: Path, other: Path) -> None:
    """Everything that is not about time."""
    first, second = summary(one), summary(other)
    for key in ("weights_digest", "episodes_digest", "episodes", "env_steps", "updates", "moving_average", "best_evaluation"):
        mine, theirs = first[key], second[key]
        if isinstance(mine, dict):
            mine, theirs = ({k: v for k, v in values.items() if k != "wall_time"} for values in (mine, theirs))
        assert mine == theirs, key
    for name in ("evaluations.jsonl", "episodes.jsonl"):
        mine, theirs = (
            [{k: v for k, v in line.items() if k != "wall_time"} for line in lines(where / name)] for where in (one, other)
        )
        assert mine == theirs, name
