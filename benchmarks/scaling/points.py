"""What the scaling benchmark measures: series of configurations that differ in one quantity, as overrides of one command."""

from collections.abc import Sequence
from dataclasses import dataclass

BASE_OVERRIDES = (
    "env=pendulum",
    "env.backend=tensor",
    "compile=true",
    "max_episodes=null",
    "evaluation.every_env_steps=null",
    "checkpoint.every_env_steps=null",
    "evaluation.episodes=1",
    "evaluation.max_episode_steps=10",  # or with 100 seeds the evaluation at the end takes longer than what is measured
    "logger=none",
)
WORKERS, N_STEP = 12, 10  # the preset's own
SWEPT_RUNS = 4
SWEPT_STEPS = 300_000
"""Environment steps of each run of a sweep: some seconds, and the same whoever launches them and whenever."""
NUM_SEEDS, SEEDS_PER_BLOCK = 20, 10


@dataclass(frozen=True)
class Point:
    """One configuration.

    Attributes:
        label: in the table.
        overrides: beside ``BASE_OVERRIDES``; points of several series with the same ones are measured once.
        line: the curve it belongs to, where its series has several.
        x: where on the curve's horizontal axis; ``None`` where there is none.
        seeds: trained at the same time.
        round_steps: environment steps of one round of one seed.
        against: label of the point of the same series that it is compared with, repeat by repeat.
        swept: a sweep of ``SWEPT_RUNS`` runs, measured from the command to its end.
    """

    label: str
    overrides: tuple[str, ...]
    line: str = ""
    x: float | None = None
    seeds: int = 1
    round_steps: int = WORKERS * N_STEP
    against: str | None = None
    swept: bool = False


@dataclass(frozen=True)
class Series:
    """Points that answer one question.

    Attributes:
        name: on the command line and in file names.
        title: of its table and figure.
        axis: what ``x`` is; empty where points have none.
        points: in the table's order.
    """

    name: str
    title: str
    axis: str
    points: tuple[Point, ...]


def all_series() -> dict[str, Series]:
    """By name, in the order in which they are measured and shown."""
    found = (_workers(), _seeds(), _hidden_units(), _n_step(), _processes(), _sweep())
    return {series.name: series for series in found}


def unique_points(series: Sequence[Series]) -> list[Point]:
    """Their points without those that are there already: 12 workers, one seed and a window of 10 are one configuration."""
    found: dict[tuple[str, ...], Point] = {}
    for one in series:
        for point in one.points:
            found.setdefault(point.overrides, point)
    return list(found.values())


def _deterministic(*more: str) -> tuple[str, ...]:
    return ("parallelism=deterministic", *more)


def _workers() -> Series:
    counts = {"deterministic": (1, 4, 12, 32, 64, 128, 256), "synchronous": (1, 12, 64, 256)}
    points = [
        Point(
            label=f"{kind}, {count} {'workers' if count > 1 else 'worker'}",
            overrides=(f"parallelism={kind}", *([] if count == WORKERS else [f"workers={count}"])),
            line=kind,
            x=count,
            round_steps=count * N_STEP,
        )
        for kind, some in counts.items()
        for count in some
    ]
    return Series("workers", "more workers in one process", "workers", tuple(points))


def _seeds() -> Series:
    points = [
        Point(
            label=f"{count} {'seeds' if count > 1 else 'seed'}",
            overrides=_deterministic(*([] if count == 1 else [f"num_seeds={count}"])),
            x=count,
            seeds=count,
        )
        for count in (1, 3, 10, 30, 100)
    ]
    return Series("seeds", f"more seeds side by side, {WORKERS} workers each", "seeds", tuple(points))


def _hidden_units() -> Series:
    points = [
        Point(f"width {width}", _deterministic(f"model.actor_hidden=[{width}]", f"model.critic_hidden=[{width}]"), x=width)
        for width in (32, 64, 128, 256, 512)
    ]
    return Series("hidden", "wider networks: the hidden layer of actor and critic", "hidden units", tuple(points))


def _n_step() -> Series:
    points = [
        Point(
            label=f"window of {steps} {'steps' if steps > 1 else 'step'}",
            overrides=_deterministic(*([] if steps == N_STEP else [f"n_step={steps}"])),
            x=steps,
            round_steps=WORKERS * steps,
        )
        for steps in (1, 5, 10, 20, 50, 100)
    ]
    return Series("window", "longer windows", "steps of a window", tuple(points))


def _processes() -> Series:
    def hogwild(processes: int) -> tuple[str, ...]:
        return "parallelism=hogwild", f"parallelism.processes={processes}"

    def blocks(processes: int) -> tuple[str, ...]:
        block = f"parallelism.seed_block={SEEDS_PER_BLOCK}"
        return _deterministic(f"num_seeds={NUM_SEEDS}", block, f"parallelism.processes={processes}")

    in_blocks = f"{NUM_SEEDS} seeds in blocks of {SEEDS_PER_BLOCK}"
    points = (
        Point("hogwild, 1 process", hogwild(1), line="hogwild"),
        Point("hogwild, 2 processes", hogwild(2), line="hogwild", against="hogwild, 1 process"),
        Point(f"{NUM_SEEDS} seeds stacked, 1 process", _deterministic(f"num_seeds={NUM_SEEDS}"), seeds=NUM_SEEDS),
        Point(f"{in_blocks}, 1 process", blocks(1), line=in_blocks, seeds=NUM_SEEDS),
        Point(f"{in_blocks}, 2 processes", blocks(2), line=in_blocks, seeds=NUM_SEEDS, against=f"{in_blocks}, 1 process"),
    )
    return Series("processes", f"one process and two, {WORKERS} workers a seed", "", points)


def _sweep() -> Series:
    runs = f"sweep of {SWEPT_RUNS} runs"

    def launched(launcher: str) -> tuple[str, ...]:
        return _deterministic(f"seed=range({SWEPT_RUNS})", f"max_env_steps={SWEPT_STEPS}", f"hydra/launcher={launcher}")

    one, several = f"{runs}, one after another", f"{runs}, as many at a time as cores"
    points = (
        Point(one, launched("basic"), line=runs, swept=True),
        Point(several, launched("local"), line=runs, against=one, swept=True),
    )
    title = f"a sweep of {SWEPT_RUNS} runs of {SWEPT_STEPS:,} steps, from the command to its end"
    return Series("sweep", title, "", points)
