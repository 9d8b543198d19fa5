"""What goes wrong in these tests: environments and optimizers that worker processes import, and that fail once when told to.

Everything here is at the top level of a module that is found through ``sys.path``, so that spawned processes can unpickle it.
"""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.envs.base import EnvBatch
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.optimizers.base import Optimizer

Ending = Literal["kill", "exit", "raise", "stop", "ignore", "nan"]


@dataclass(frozen=True)
class Faults:
    """Each of these befalls one process, whichever comes first to its ``at_step``-th step; then it is used up.

    Attributes:
        endings: in the order in which they are dealt out.
        folder: where a file says which were used up, by whom and when; processes share nothing else.
        at_step: counted from the process's start, over all its environments.
    """

    endings: tuple[Ending, ...]
    folder: Path
    at_step: int = 12

    def claim(self) -> Ending | None:
        """The next one that nobody had yet."""
        mine = self.folder / f"process_{os.getpid()}"
        mine.write_text(json.dumps({"pid": os.getpid(), "time": time.monotonic()}))
        for number, ending in enumerate(self.endings):
            try:
                os.link(mine, self.folder / f"fault_{number}")  # whole at once, and to one process only
            except FileExistsError:
                continue
            return ending
        return None

    def struck(self, number: int) -> dict[str, Any]:
        """Who was struck by the fault with this number, and when by the clock that all processes share."""
        said: dict[str, Any] = json.loads((self.folder / f"fault_{number}").read_text())
        return said


def meet(ending: Ending) -> float:
    """Suffer it. Returns the reward that the environment gives if it comes back at all."""
    match ending:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "raise":
            raise RuntimeError("the pole snapped")
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "ignore":
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
            while True:
                time.sleep(1.0)
        case "nan":
            return math.nan
    return 1.0


@dataclass(frozen=True)
class Gathering:
    """Processes wait for each other before their first step, so that none has spent the budget before another is there."""

    folder: Path
    processes: int
    seconds: float = 60.0

    def wait(self) -> None:
        (self.folder / f"here_{os.getpid()}").touch()
        deadline = time.monotonic() + self.seconds
        while len(list(self.folder.glob("here_*"))) < self.processes and time.monotonic() < deadline:
            time.sleep(0.01)


class Countdown(EnvBatch):
    """K environments that end after a known number of steps, whatever one does: every count in a run can be foretold.

    Args:
        num_envs: K.
        lengths: environment k's episodes have ``lengths[k % len(lengths)]`` steps.
        faults: what befalls the process.
        gathering: whom it waits for before its first step.
        seconds: how long a step takes.
    """

    default_max_episode_steps: int | None = None

    def __init__(
        self,
        num_envs: int = 1,
        lengths: Sequence[int] = (7,),
        faults: Faults | None = None,
        gathering: Gathering | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.num_envs = num_envs
        self.observation_space: Space[Any] = Box(-1.0, 1.0, (3,), np.float32)
        self.action_space: Space[Any] = Discrete(2)
        self.observation = np.zeros((num_envs, 3), np.float32)
        self.reward = np.zeros(num_envs, np.float64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self._lengths = [lengths[k % len(lengths)] for k in range(num_envs)]
        self._count = [0] * num_envs
        self._faults = faults
        self._gathering = gathering
        self._seconds = seconds
        self._steps = 0

    def reset(self, index: int, seed: int) -> None:
        self._count[index] = 0
        self.observation[index] = 0.0

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        if self._gathering is not None and self._steps == 0:
            self._gathering.wait()
        if self._seconds:
            time.sleep(self._seconds)
        for k in active.nonzero()[0].tolist():
            self._steps += 1
            self._count[k] += 1
            self.observation[k] = self._count[k] / self._lengths[k]
            self.reward[k] = 1.0
            self.terminated[k] = self._count[k] >= self._lengths[k]
            if self._faults is not None and self._steps == self._faults.at_step:
                ending = self._faults.claim()
                if ending is not None:
                    self.reward[k] = meet(ending)
        return bool((self.terminated & active).any())

    def close(self) -> None:
        pass


class PackedOnce:
    """Makes environments, but can be sent to one process only, as when the machine has no room for another."""

    def __init__(self, make: Callable[..., Countdown]) -> None:
        self._make = make
        self._packed = 0

    def __call__(self, num_envs: int) -> Countdown:
        return self._make(num_envs=num_envs)

    def __reduce__(self) -> tuple[Any, ...]:
        self._packed += 1
        if self._packed > 1:
            raise OSError("no more")
        return PackedOnce, (self._make,)


class WatchedEnvironments(GymnasiumEnvs):
    """Any gymnasium task; writes down how its process is set up and how each episode begins.

    Args:
        id, num_envs: as for ``GymnasiumEnvs``.
        folder: receives one file a process.
        gathering: whom the process waits for before its first step.
    """

    def __init__(self, id: str, folder: Path, gathering: Gathering | None = None, num_envs: int = 1) -> None:
        super().__init__(id, num_envs)
        self._file = folder / f"process_{os.getpid()}.jsonl"
        self._gathering = gathering
        self._began: dict[int, int] = {}

    def reset(self, index: int, seed: int) -> None:
        super().reset(index, seed)
        self._began[index] = seed

    def step(self, action: NDArray[Any], active: NDArray[np.bool_]) -> bool:
        if self._gathering is not None:
            self._gathering.wait()
            self._gathering = None
        for k, seed in self._began.items():
            line = {
                "seed": seed,
                "observation": self.observation[k].tolist(),
                "action": action[k].tolist(),
                "process": os.getpid(),
                "torch_threads": torch.get_num_threads(),
                "threads": len(list(Path("/proc/self/task").iterdir())),
            }
            with self._file.open("a") as file:
                file.write(json.dumps(line) + "\n")
        self._began.clear()
        return super().step(action, active)


class Tick:
    """Adds 1/1024 to every weight and 1 to every number of its state, whatever the gradient.

    So weights and state say how many updates they have had, exactly (for the first 2^24), and a lost, doubled or torn update
    shows in every element by itself.
    """

    lr = 2.0**-10
    state_rows = 1

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        weights.add_(lr)
        optimizer_state.add_(1.0)


def ticked(state: TrainingState) -> bool:
    """Whether weights and optimizer state say of themselves that they had as many updates as were counted."""
    weights = torch.full_like(state.weights, state.updates * Tick.lr)
    return torch.equal(state.weights, weights) and bool((state.optimizer_state == state.updates).all())


Point = Literal["before_write", "half_written", "all_written"]


class Deadly:
    """Another optimizer, in the middle of whose step the process is killed, once.

    Args:
        inner: the optimizer.
        marker: a file that is made just before the death; while it exists, nobody dies.
        at_update: the first update that kills.
        point: how much has been written by then.
        ending: SIGKILL, or SIGSTOP to hold on to whatever is held.
    """

    def __init__(
        self, inner: Optimizer, marker: Path, at_update: int, point: Point, ending: signal.Signals = signal.SIGKILL
    ) -> None:
        self._inner = inner
        self._marker = marker
        self._at = at_update
        self._point = point
        self._ending = ending
        self.lr = inner.lr
        self.state_rows = inner.state_rows

    def step(self, weights: Tensor, gradient: Tensor, optimizer_state: Tensor, updates: int, lr: float) -> None:
        if updates < self._at or not self._is_chosen():
            self._inner.step(weights, gradient, optimizer_state, updates, lr)
            return
        written = {"before_write": 0, "half_written": weights.numel() // 2, "all_written": weights.numel()}[self._point]
        if written:
            self._inner.step(weights[:written], gradient[:written], optimizer_state[:, :written], updates, lr)
        os.kill(os.getpid(), self._ending)

    def _is_chosen(self) -> bool:
        """Whether this process is the one to die: it makes the marker, which only one can, and lock-free pushes race."""
        try:
            with self._marker.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True
