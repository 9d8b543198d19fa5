"""What the scaling benchmark measures: series of configurations that differ in one quantity, as overrides of a command."""

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
    "evaluation.max_episode_steps=10",  # with 100 seeds a full evaluation at the end would take longer than the measurement
    "logger=none",
)
WORKERS, N_STEP = 12, 10  # of the preset
SWEPT_RUNS = 4
SWEPT_STEPS = 300_000
"""Environment steps of each run of a sweep: some seconds."""
NUM_SEEDS, SEEDS_PER_BLOCK = 20, 10


@dataclass(frozen=True)
class Point:
    """One configuration.

    Attributes:
        label: name in the table.
        overrides: in addition to ``BASE_OVERRIDES``; points of several series with the same overrides are measured once.
        line: the curve that it belongs to, if its series has several.
        x: position on the horizontal axis; ``None`` without one.
        seeds: number of seeds trained at the same time.
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
    """Points that differ in one quantity.

    Attributes:
        name: used on the command line and in file names.
        title: title of its table and figure.
        axis: label of ``x``; empty if points have none.
        points: its points in the table's order.
    """

    name: str
    title: str
    axis: str
    points: tuple[Point, ...]


def all_series() -> dict[str, Series]:
    """All series by name, in the order in which they are measured and shown."""
    series = (_workers(), _seeds(), _hidden_units(), _n_step(), _processes(), _sweep())
    return {each.name: each for each in series}


def unique_points(series: Sequence[Series]) -> list[Point]:
    """Their points without duplicates: 12 workers, one seed and a window of 10 are the same configuration."""
    points: dict[tuple[str, ...], Point] = {}
    for each in series:
        for point in each.points:
            points.setdefault(point.overrides, point)
    return list(points.values())


def _deterministic(*overrides: str) -> tuple[str, ...]:
    return ("parallelism=deterministic", *overrides)


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
        for kind, worker_counts in counts.items()
        for count in worker_counts
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
    return Series("processes", f"one process and two, {WORKERS} workers per seed", "", points)


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
