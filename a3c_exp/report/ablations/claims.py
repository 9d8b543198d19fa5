"""The four conclusions of the published report, as statements that numbers can contradict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Quantity = Literal["time", "area", "final", "variability", "seconds"]
Expected = Literal["clear", "hardly"]


@dataclass(frozen=True)
class ClaimPart:
    """One thing that a conclusion says of a change from one group to another.

    Attributes:
        text: what, in words.
        quantity: what is measured on every run.
        sign: +1 if the conclusion says that the change raises it, -1 if it says that it lowers it.
        expected: ``clear``: it does so clearly; ``hardly``: not clearly, in that direction.
    """

    text: str
    quantity: Quantity
    sign: Literal[1, -1]
    expected: Expected = "clear"

    @property
    def is_ratio(self) -> bool:
        """Whether groups are compared by how many times, not by how much: times and variabilities."""
        return self.quantity in ("time", "variability", "seconds")


@dataclass(frozen=True)
class Claim:
    """One of the report's conclusions.

    Attributes:
        number: as the project counts them.
        title: in a few words.
        text: what the report says, in a sentence.
        ablations: the comparisons whose runs can judge it.
        changes: ``(from, to)`` groups that it speaks of; all of them must bear it out.
        parts: what it says of each change; all of them must hold.
    """

    number: int
    title: str
    text: str
    ablations: tuple[str, ...]
    changes: tuple[tuple[str, str], ...]
    parts: tuple[ClaimPart, ...]


_LEARNS_SOONER = ClaimPart("learns sooner", "time", -1)
_LEARNS_LATER = ClaimPart("learns later", "time", 1)

CLAIMS: Sequence[Claim] = (
    Claim(
        1,
        "A short limit: raise it",
        "When the episode limit is small, raising it clearly speeds up convergence and improves its end.",
        ("max_episode_steps",),
        (("steps_500", "steps_3000"),),
        (_LEARNS_SOONER, ClaimPart("better on the way", "area", 1), ClaimPart("ends better", "final", 1)),
    ),
    Claim(
        2,
        "A long limit: steadier, hardly faster",
        "When the limit is large, raising it improves stability at convergence but hardly its speed.",
        ("max_episode_steps",),
        (("steps_3000", "steps_4000"),),
        (
            ClaimPart("is steadier", "variability", -1),
            ClaimPart("hardly sooner", "time", -1, "hardly"),
            ClaimPart("hardly better", "area", 1, "hardly"),
        ),
    ),
    Claim(
        3,
        "Fewer workers learn slower and worse",
        "Fewer workers make convergence slower and its end worse.",
        ("worker_count", "worker_range", "staleness"),
        (("workers_12", "workers_6"), ("workers_12", "workers_4")),
        (_LEARNS_LATER, ClaimPart("worse on the way", "area", -1), ClaimPart("ends worse", "final", -1)),
    ),
    Claim(
        4,
        "Fewer workers take longer",
        "Fewer workers make the same number of episodes take clearly longer.",
        ("worker_count", "worker_range"),
        (("workers_12", "workers_6"), ("workers_12", "workers_4")),
        (ClaimPart("takes longer", "seconds", 1),),
    ),
)
