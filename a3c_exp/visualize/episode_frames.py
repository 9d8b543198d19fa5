"""Frames of an episode while the policy runs it: the rendered picture, and what policy, value and environment say of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.models.distributions import Distribution
from a3c_exp.visualize.policy_plots import PolicyPlot, policy_plots

_DEFAULT_FRAMES_PER_SECOND = 30.0
_MAX_VALUES = 120  # of V, as far back as the plot shows


@dataclass(frozen=True)
class FrameInfo:
    """One moment of an episode."""

    policy_plots: Sequence[PolicyPlot]  #: of the policy
    values: Sequence[float]  #: V(s), the latest last
    env_info: Mapping[str, float] = field(default_factory=dict)  #: what the environment reports, such as a speed
    step: int = 0  #: steps taken so far
    return_: float = 0.0  #: sum of the rewards so far


FrameFunction = Callable[[NDArray[np.uint8], FrameInfo, PolicyStep], NDArray[np.uint8]]
"""Makes a frame of a rendered picture, what there is to say of it, and the policy's step."""


class EpisodeFrames:
    """An ``EpisodeObserver`` that can ``compose`` a frame of the current moment of the first of the rendered ``envs``."""

    def __init__(self, envs: EnvBatch, distribution: Distribution, compose: FrameFunction) -> None:
        self.envs, self._distribution, self._compose = envs, distribution, compose
        self.step = 0
        self._values: list[float] = []
        self._policy_plots: Sequence[PolicyPlot] = ()
        self._policy_step: PolicyStep | None = None
        self._return = 0.0

    def before_step(self, policy_step: PolicyStep) -> None:
        self._policy_step = policy_step
        names: Sequence[str] | None = getattr(self.envs, "action_names", None)
        parameters, action = policy_step.output.parameters, policy_step.action
        self._policy_plots = policy_plots(self._distribution, parameters, action, self.envs.action_space, names)
        self._values = [*self._values, float(policy_step.output.value)][-_MAX_VALUES:]

    def after_step(self, reward: float) -> None:
        self.step += 1
        self._return += reward

    def frame(self, picture: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """``picture``, or what the environment renders now, with the latest step of the policy."""
        assert self._policy_step is not None, "a frame shows a step of the policy, and there was none yet"
        env_info = self.envs.info() if hasattr(self.envs, "info") else {}
        info = FrameInfo(self._policy_plots, tuple(self._values), env_info, self.step, self._return)
        return self._compose(self.envs.render() if picture is None else picture, info, self._policy_step)


def frames_per_second(envs: EnvBatch) -> float:
    """At which the pictures move as fast as the environment itself, where it says so."""
    return float(getattr(envs, "frames_per_second", _DEFAULT_FRAMES_PER_SECOND))


def use_headless_display() -> None:
    """Let pygame render into memory, unless the environment variable says otherwise."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def unused_path(folder: Path, suffix: str = "") -> Path:
    """The first ``episode_<n>`` in a folder that is not there yet."""
    paths = (folder / f"episode_{number}{suffix}" for number in count(1))
    return next(path for path in paths if not path.exists())
