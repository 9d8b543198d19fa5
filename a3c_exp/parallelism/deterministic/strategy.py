"""A3C in virtual time: asynchronous, from stale weights, and the same bit for bit whenever it is repeated."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Le

from a3c_exp.config.type_checks import NonNegativeInt, PositiveInt
from a3c_exp.parallelism.deterministic.fixed_lag import LagSchedule
from a3c_exp.parallelism.deterministic.virtual_time import VirtualTimeRule
from a3c_exp.parallelism.deterministic.worker_schedule import Order, Speeds
from a3c_exp.parallelism.single_process.base import SingleProcessStrategy
from a3c_exp.system.errors import ConfigError

Variation = Annotated[float, Ge(0), Le(10)]
_MAX_UNIFORM_VARIATION = 1 / 3**0.5


class Deterministic(SingleProcessStrategy):
    """Asynchronous workers in virtual time.

    Each worker has its own copy of the weights. When its window ends, it pushes the gradient that it computed from that copy,
    pulls, and begins its next window; the others have been pushing meanwhile. A seeded schedule says whose window ends next.
    What a window holds depends on the weights that were pulled for it and on nothing that happens later, so all windows that
    have begun are computed side by side, and their gradients applied one by one in the schedule's order.

    Args:
        speeds: ``equal``: every worker has one window a round; or the distribution of the windows' durations: ``lognormal``,
            ``gamma`` or ``uniform``.
        order: of equally fast workers: ``shuffled`` anew every round, or ``fixed``, where the policy lag is N - 1 always.
        between_workers, between_windows: coefficients of variation of the workers' mean durations, and of each window's
            duration around its worker's mean. Of no effect where speeds are equal.
        lag: ``None`` lets the schedule decide. A number sets the policy lag of every push: its window is computed from the
            weights as they were that many updates before. Two numbers draw it for each push, evenly from the first to the last.
        env_processes: processes that step the environments; 0 steps them here.
        processes: for several seeds, that share them in whole blocks; ``None`` or 1 trains all in this process.
        seed_block: seeds that are stacked together; ``None`` stacks all that a process has.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(
        self,
        speeds: Speeds = "equal",
        order: Order = "shuffled",
        between_workers: Variation = 0.5,
        between_windows: Variation = 0.1,
        lag: int | Sequence[int] | None = None,
        env_processes: NonNegativeInt = 0,
        processes: PositiveInt | None = None,
        seed_block: PositiveInt | None = None,
    ) -> None:
        for key, value in (("between_workers", between_workers), ("between_windows", between_windows)):
            if speeds == "uniform" and value > _MAX_UNIFORM_VARIATION:
                raise ConfigError(
                    f"parallelism.{key} is {value}, but the coefficient of variation of uniform durations is at most "
                    f"{_MAX_UNIFORM_VARIATION:.3g}. Try parallelism.{key}=0.3"
                )
        variation = between_workers, between_windows
        rule = VirtualTimeRule(speeds, order, variation, LagSchedule(lag))
        super().__init__(rule, env_processes, processes, seed_block)
