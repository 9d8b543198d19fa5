"""Numbers of an environment's ``info``, averaged over each episode, for logs: ``env.log_info=[key]``."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium

from a3c_exp.spaces.checks import single_number
from a3c_exp.system.errors import EnvInterfaceError

EpisodeInfo = Callable[[int], Mapping[str, float]]


class InfoMeans(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Sums up ``info[key]`` over the current episode, for each of ``keys``; steps whose info lacks a key do not count."""

    def __init__(self, env: gymnasium.Env[Any, Any], keys: Sequence[str]) -> None:
        super().__init__(env)
        self._sums = dict.fromkeys(keys, 0.0)
        self._counts = dict.fromkeys(keys, 0)
        self._problem = ""

    def reset(self, **kwargs: Any) -> Any:
        for key in self._sums:
            self._sums[key], self._counts[key] = 0.0, 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        returned = self.env.step(action)
        info = returned[-1] if isinstance(returned, tuple) else None
        if isinstance(info, Mapping):  # the step's own check says what is wrong with anything else
            for key in self._sums:
                if key in info:
                    self._add(key, info[key])
        return returned

    def _add(self, key: str, value: Any) -> None:
        try:
            self._sums[key] += single_number(value)
        except (TypeError, ValueError) as error:
            self._problem = self._problem or f"env.log_info has {key}, but info[{key!r}] {error}. Leave it out"
        self._counts[key] += 1

    def means(self, index: int) -> dict[str, float]:
        """The mean of each key over the episode, NaN where no step had it; an EnvInterfaceError about the environment at this
        ``index`` if a value was no number."""
        if self._problem:
            raise EnvInterfaceError(self._problem, index)
        counts = self._counts
        return {key: total / counts[key] if counts[key] else math.nan for key, total in self._sums.items()}


def episode_info(envs: Sequence[gymnasium.Env[Any, Any]]) -> EpisodeInfo | None:
    """What ``EnvBatch`` has under this name; ``None`` if nothing is wanted."""
    wrapped = [env for env in envs if isinstance(env, InfoMeans)]
    return (lambda index: wrapped[index].means(index)) if wrapped else None
