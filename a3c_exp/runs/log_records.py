"""What a run writes down: one frozen record a line. No torch here, so that readers of run directories stay light."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JsonObject = Mapping[str, Any]
Status = Literal["running", "finished", "interrupted", "pruned", "failed"]
EpisodeEnd = Literal["terminated", "truncated"]


@dataclass(frozen=True)
class EpisodeRecord:
    """One finished training episode, as it stands in ``episodes.jsonl``.

    Attributes:
        episode: its number in order of arrival, from 1.
        worker: the logical worker that lived it, from 0.
        return_: undiscounted sum of the environment's own rewards (``return`` in the file).
        length: environment steps.
        mean_step_reward: ``return_ / length``.
        moving_average: the report's curve: started at the first episode's mean step reward, then ``0.99 old + 0.01 new``.
        env_step: environment steps of the whole run when it ended.
        update: updates of the shared weights when it ended.
        wall_time: seconds of training when it ended, earlier sessions of a resumed run included.
        end: ``terminated`` or ``truncated``.
        env_seed: the seed its reset was given.
    """

    episode: int
    worker: int
    return_: float
    length: int
    mean_step_reward: float
    moving_average: float
    env_step: int
    update: int
    wall_time: float
    end: EpisodeEnd
    env_seed: int

    def to_dict(self) -> dict[str, Any]:
        return {("return" if key == "return_" else key): value for key, value in vars(self).items()}


@dataclass(frozen=True)
class MetricsRecord:
    """Averages over the windows since the last line, as they stand in ``metrics.jsonl``.

    Attributes:
        recent_return: mean return of the last 100 training episodes, or of as many as there were.
        entropy_normalized: entropy over its maximum, 1 for a policy that knows nothing; ``None`` where there is no maximum.
        max_probability: the policy's largest probability, averaged over steps: 1 is full of itself; ``None`` for densities.
        grad_norm, grad_norm_clipped: L2 norm of a pushed gradient before and after clipping.
        explained_variance: ``1 - Var(R - V) / Var(R)``.
        value_mean, value_std: V(s) over steps.
        truncated_share: share of workers' windows in which a time limit ended an episode.
        dropped_share, downweighted_share: shares of gradients that were too stale and so not applied, or with less weight.
        worker_steps_per_second, worker_updates_per_second: of each worker, by its number.
    """

    env_step: int
    update: int
    episode: int
    wall_time: float
    steps_per_second: float
    updates_per_second: float
    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    grad_norm: float
    grad_norm_max: float
    explained_variance: float | None
    value_mean: float
    policy_lag_mean: float
    policy_lag_max: int
    moving_average: float | None
    recent_return: float | None = None
    grad_norm_clipped: float | None = None
    value_std: float | None = None
    entropy_normalized: float | None = None
    max_probability: float | None = None
    truncated_share: float | None = None
    dropped_share: float = 0.0
    downweighted_share: float = 0.0
    worker_steps_per_second: list[float] = field(default_factory=list)
    worker_updates_per_second: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation of the shared weights on held-out seeds, as it stands in ``evaluations.jsonl``.

    ``ci_low`` and ``ci_high`` bound the mean return: a percentile bootstrap's 95 % interval over episodes.
    """

    env_step: int
    update: int
    wall_time: float
    episodes: int
    deterministic: bool
    mean: float
    std: float
    median: float
    ci_low: float
    ci_high: float
    min: float
    max: float
    mean_length: float
    returns: list[float] = field(default_factory=list)
    best: bool = False

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))
