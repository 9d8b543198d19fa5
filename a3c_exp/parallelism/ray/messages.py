"""What a gateway and the hosts of its worker groups say to each other, and what the gateway says to the main process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.ray.gradient_dtype import GradientDtype, Packed
from a3c_exp.system.child_process import Crash
from a3c_exp.system.errors import EnvInterfaceError
from a3c_exp.system.ray.node import NodeDescription


@dataclass(frozen=True)
class GroupSpec:
    """What a host is given: K workers, and where their random streams stand."""

    setup: TrainingSetup
    group: int  # its number
    incarnation: int  # which host of this group it is
    workers: Sequence[int]  # K numbers
    rounds: NDArray[np.int64]  # [K] windows begun by its predecessors
    episodes_begun: NDArray[np.int64]  # [K]
    node: NodeDescription | None  # the gateway's, with which the host's must agree; None: it may be any
    silence_timeout: float  # seconds of hearing nothing from the gateway after which the host ends
    pull_together: bool | None = False  # as in ``Sharing``
    gradient_dtype: GradientDtype = "bfloat16"


@dataclass(frozen=True)
class Prepared:
    """A host is ready for orders; or its node cannot host this training, which ``refusal`` says, to go behind a name."""

    refusal: str | None = None
    pulls_together: bool = False  # whether all its workers act with equal weights, of which one row is enough then


@dataclass(frozen=True)
class Window:
    """An order: act for up to ``allowed [K]`` steps from these ``weights [K, P]``, and differentiate."""

    weights: NDArray[np.float32]  # or [1, P]: the same for all
    allowed: NDArray[np.int64]
    tickets: int | None  # how many episodes may begin in it; None: any number
    fraction: float | None  # how much of the budget is used up, if anything is scheduled by that


@dataclass(frozen=True)
class Truncation:
    """An order: end the episodes that these workers, counted within the group, are in."""

    workers: Sequence[int]


@dataclass(frozen=True)
class Order:
    """What the host of a group is to do next. It may arrive more than once, or never."""

    incarnation: int  # the host that it is for
    number: int  # 1, 2, ... for each host
    task: Window | Truncation


@dataclass(frozen=True)
class WindowResult:
    """What a window gave; names as in ``RoundResult``."""

    gradients: Packed  # [K, P]
    window_stats: NDArray[np.float32]  # [K, len(statistics)]
    steps: NDArray[np.int64]  # [K]


@dataclass(frozen=True)
class Reply:
    """The answer to the order of this number, and where the group stands after it."""

    incarnation: int
    number: int
    window: WindowResult | None  # of a window
    ended: Sequence[EndedEpisode]
    in_episode: NDArray[np.bool_]  # [K]
    rounds: NDArray[np.int64]  # [K] windows begun
    episodes_begun: NDArray[np.int64]  # [K]


Answer = Reply | EnvInterfaceError | Crash
"""A reply, or why there is none: what an environment must not do, or the traceback of anything else."""


@dataclass(frozen=True)
class FromGroup:
    """The gateway hands on what the main process would hear from a worker process of this number."""

    group: int
    message: Any


@dataclass(frozen=True)
class GroupDeath:
    """A group has lost its host, and gets another one."""

    group: int
    cause: str  # to go behind its name in a sentence
    details: str  # a traceback, if there is one
