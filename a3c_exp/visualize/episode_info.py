"""What there is to say beside one picture of the first environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gymnasium import Space

from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.evaluator import PolicyStep
from a3c_exp.models.distributions import Distribution
from a3c_exp.visualize.policy_plots import PolicyPlot, policy_plots

DEFAULT_FRAMES_PER_SECOND = 30.0


@dataclass(frozen=True)
class FrameInfo:
    """One moment of an episode.

    Attributes:
        policy_plots: of the policy.
        values: V(s), the latest last.
        env_info: what the task itself says, such as its speed.
        step: how many were taken so far.
        return_: rewards so far.
    """

    policy_plots: Sequence[PolicyPlot]
    values: Sequence[float]
    env_info: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    return_: float = 0.0


class EpisodeHistory:
    """Keeps what an episode's glances need to remember.

    Args:
        envs: whose first environment is looked at.
        distribution: of the policy.
        max_values: values of V that are kept.
    """

    def __init__(self, envs: EnvBatch, distribution: Distribution, max_values: int = 120) -> None:
        self._envs = envs
        self._space: Space[Any] = envs.action_space
        self._distribution = distribution
        self._action_names: Sequence[str] | None = getattr(envs, "action_names", None)
        self._max_values = max_values
        self._values: list[float] = []
        self._policy_plots: Sequence[PolicyPlot] = ()
        self._step = 0
        self._return = 0.0

    def before_step(self, policy_step: PolicyStep) -> None:
        self._policy_plots = policy_plots(
            self._distribution, policy_step.output.parameters, policy_step.action, self._space, self._action_names
        )
        self._values = [*self._values, float(policy_step.output.value)][-self._max_values :]

    def after_step(self, reward: float) -> None:
        self._step += 1
        self._return += reward

    def frame_info(self) -> FrameInfo:
        """At this moment."""
        facts = self._envs.info() if hasattr(self._envs, "info") else {}
        return FrameInfo(self._policy_plots, tuple(self._values), facts, self._step, self._return)


def frames_per_second(envs: EnvBatch) -> float:
    """At which pictures move as fast as the task itself, as far as it says."""
    return float(getattr(envs, "frames_per_second", DEFAULT_FRAMES_PER_SECOND))
