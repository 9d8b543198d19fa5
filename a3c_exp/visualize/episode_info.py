"""What there is to say beside one picture of the first environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gymnasium import Space

from a3c_exp.envs.base import Environments
from a3c_exp.evaluate.evaluator import Decision
from a3c_exp.models.distributions import Distribution
from a3c_exp.visualize.policy_plots import Part, parts

USUAL_FRAMES_PER_SECOND = 30.0


@dataclass(frozen=True)
class Glance:
    """One moment of an episode.

    Attributes:
        parts: of the policy.
        values: V(s), the latest last.
        facts: what the task itself says, such as its speed.
        step: how many were taken so far.
        return_: rewards so far.
    """

    parts: Sequence[Part]
    values: Sequence[float]
    facts: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    return_: float = 0.0


class Story:
    """Keeps what an episode's glances need to remember.

    Args:
        envs: whose first environment is looked at.
        family: of the policy.
        remembered: values of V that are kept.
    """

    def __init__(self, envs: Environments, family: Distribution, remembered: int = 120) -> None:
        self._envs = envs
        self._space: Space[Any] = envs.action_space
        self._family = family
        self._names: Sequence[str] | None = getattr(envs, "action_names", None)
        self._remembered = remembered
        self._values: list[float] = []
        self._parts: Sequence[Part] = ()
        self._step = 0
        self._return = 0.0

    def decided(self, decision: Decision) -> None:
        self._parts = parts(self._family, decision.output.parameters, decision.action, self._space, self._names)
        self._values = [*self._values, float(decision.output.value)][-self._remembered :]

    def stepped(self, reward: float) -> None:
        self._step += 1
        self._return += reward

    def glance(self) -> Glance:
        """At this moment."""
        facts = self._envs.facts() if hasattr(self._envs, "facts") else {}
        return Glance(self._parts, tuple(self._values), facts, self._step, self._return)


def frames_per_second(envs: Environments) -> float:
    """At which pictures move as fast as the task itself, as far as it says."""
    return float(getattr(envs, "frames_per_second", USUAL_FRAMES_PER_SECOND))
