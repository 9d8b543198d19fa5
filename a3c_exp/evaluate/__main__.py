"""``python -m a3c_exp.evaluate <run dir>``: how good a run's weights are, on held-out seeds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from a3c_exp.system.cli import CommandParser, print_rows, run_command, whole_number
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.system.memory import gc_frozen
from a3c_exp.system.number_format import format_env_steps

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from a3c_exp.evaluate.evaluator import EvaluatorConfig
    from a3c_exp.parallelism.base import TrainingSetup
    from a3c_exp.runs.log_records import EvaluationRecord
    from a3c_exp.training.saved_weights import SavedWeights

_EXAMPLES = """examples:
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum --episodes 100 --stochastic
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum --checkpoint last --video
  python -m a3c_exp.evaluate pretrained/car_racing --video
      weights that come with the code, or from a3c_exp.export; the video goes to outputs/pretrained/car_racing/videos
  python -m a3c_exp.evaluate outputs/2026-11-21/15-20-10_cartpole
      a folder of several seeds (num_seeds=10): each in turn, then their mean; --video shows the first
  python -m a3c_exp.evaluate outputs/2026-11-21/15-20-10_cartpole/seed=3
"""
_SCREENSHOT_INTERVAL = 50
_MIN_SEEDS = 3
"""Fewer say nothing about the spread between seeds; the report has the same minimum."""


def main(argv: list[str] | None = None) -> int:
    """Entry of the command; returns its exit code: 0, or 2 when what was asked cannot be done."""
    return run_command("a3c_exp.evaluate", lambda: _evaluate(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "a3c_exp.evaluate",
        "Evaluate a run's weights on held-out episodes, whose seeds neither training nor its own evaluations used.",
        _EXAMPLES,
    )
    parser.add_argument("run", type=Path, help="a run directory, the folder of several seeds, or exported weights")
    parser.add_argument("--episodes", type=whole_number(1, 100), default=100, help="how many (default 100)")
    parser.add_argument("--checkpoint", default="best", help="best (of the run's own evaluations; default), last, or a file")
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the policy's mode")
    seed = "root of the held-out seeds (default %(default)s)"
    parser.add_argument("--seed", type=whole_number(0, 1), default=1_000_003, help=seed)
    limit = "time limit (default: the environment's own, 200 for Pendulum)"
    parser.add_argument("--max-episode-steps", type=whole_number(1, 1000), help=limit)
    video = "write an mp4 of the (first seed's) first episode to videos/, with policy, value and return laid over it"
    parser.add_argument("--video", action="store_true", help=video)
    parser.add_argument("--plain", action="store_true", help="with --video: the environment's frame without the overlay")
    saliency = "with --video: also show the network input and its saliency; alone: images of that, every "
    saliency += f"{_SCREENSHOT_INTERVAL} steps of the first episode"
    parser.add_argument("--saliency", action="store_true", help=saliency)
    parser.add_argument("--render", action="store_true", help="show the first episode in a window")
    parser.add_trust()
    return parser


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.plain and not arguments.video:
        raise ConfigError("--plain says what a video leaves out, and none was asked for. Try --video --plain")
    from a3c_exp.training import pretrained
    from a3c_exp.training.resume import saved_config

    run = pretrained.locate(arguments.run)
    exported = pretrained.load(run, arguments.trust) if pretrained.is_pretrained(run) else None
    config = saved_config(run, arguments.trust) if exported is None else exported.config
    seed_directories = _seed_directories(run) if config.num_seeds > 1 else []
    configs = [saved_config(directory, arguments.trust) for directory in seed_directories] or [config]
    if arguments.seed in [config.seed for config in configs]:
        raise ConfigError(f"--seed {arguments.seed} is a seed that the run trained with. Try another number")
    if exported is not None and arguments.checkpoint != "best":
        raise ConfigError(f"{run} holds one set of weights and no --checkpoint {arguments.checkpoint}. Leave it out")
    if seed_directories and arguments.checkpoint not in ("best", "last"):
        raise ConfigError(
            f"--checkpoint {arguments.checkpoint} is one seed's, but {run} holds {len(seed_directories)}. "
            f"Try --checkpoint last, or name that seed: {seed_directories[0]}"
        )
    with gc_frozen():
        from a3c_exp.evaluate.evaluator import EvaluatorConfig
        from a3c_exp.training.build import build_run
        from a3c_exp.training.saved_weights import held_out_evaluator, load_weights

    evaluation_config = EvaluatorConfig(
        arguments.episodes, not arguments.stochastic, arguments.max_episode_steps or configs[0].evaluation.max_episode_steps
    )
    # The seeds of a run differ in nothing else, so the setup of the first serves all. All checkpoints are read before the
    # first episode, so that a missing one is reported at once.
    setup = build_run(configs[0]).setup
    if exported is not None:
        saved = [exported.saved]
        pictures = Path("outputs") / "pretrained" / run.resolve().name  # the folder itself may be part of a checkout
    else:
        saved = [load_weights(directory, arguments.checkpoint) for directory in seed_directories or [run]]
        pictures = (seed_directories or [run])[0]
    # Before the numbers, so that a missing display or encoder is reported at once.
    picture_rows = _render(arguments, setup, saved[0], evaluation_config, pictures)
    evaluations = []
    with held_out_evaluator(setup, evaluation_config, arguments.seed, saved) as evaluator:
        for item, config in zip(saved, configs, strict=True):
            evaluation = evaluator.evaluate(item.weights.to(setup.device), item.env_step, item.update, 0.0)
            evaluations.append(evaluation)
            if seed_directories:  # as soon as it is known: many seeds take a while
                interval = f"[{evaluation.ci_low:.1f}, {evaluation.ci_high:.1f}]"
                steps = format_env_steps(evaluation.env_step, config.env.get("frame_skip"))
                where = f"{'/'.join(item.checkpoint.parts[-3:])} (after {steps})"
                print_rows([(f"seed {config.seed}", f"{evaluation.mean:>9.1f} {interval:<22} {where}")])
    actions = "sampled actions" if arguments.stochastic else "deterministic actions"
    rows = _seeds_rows(evaluations, actions) if seed_directories else _run_rows(saved[0], evaluations[0], actions, configs[0])
    print_rows([*rows, *picture_rows])


def _seed_directories(run: Path) -> list[Path]:
    """The run directories inside a folder of several seeds; a RunDirectoryError if it lists none, or one that is not there."""
    from a3c_exp.runs.record import load

    names = load(run).get("seeds")
    if not isinstance(names, list) or not names:
        raise RunDirectoryError(f"{run / 'run.json'} lists no seeds, though the run trained several. Name the run of one seed")
    if strange := [name for name in names if Path(str(name)).name != name or name == ".."]:
        raise RunDirectoryError(
            f"{run / 'run.json'} names {strange[0]!r} as a seed's folder, which is none inside {run}. Mend it"
        )
    directories = [run / str(name) for name in names]
    if missing := [directory for directory in directories if not (directory / ".hydra" / "config.yaml").is_file()]:
        raise RunDirectoryError(
            f"{missing[0]} is missing, though {run / 'run.json'} lists it. Name one of those that are there"
        )
    return directories


def _render(
    arguments: argparse.Namespace, setup: "TrainingSetup", saved: "SavedWeights", config: "EvaluatorConfig", folder: Path
) -> list[tuple[str, str]]:
    """Render the first episode as it was asked for; the rows that say so."""
    from a3c_exp.visualize.screenshots import save_frames
    from a3c_exp.visualize.video import render_episode

    if arguments.video or arguments.render:
        options = arguments.video, arguments.render, arguments.plain, arguments.saliency
        rendered = render_episode(setup, saved.weights, config, arguments.seed, folder / "videos", *options)
        rows = [("shown", f"one episode of {rendered.length} steps, return {rendered.return_:.1f}")]
        if rendered.path is not None:
            rows += [("video", str(rendered.path)), ("", f"{rendered.frames_per_second:g} frames a second")]
        return rows
    if arguments.saliency:
        paths = save_frames(setup, saved.weights, config, arguments.seed, folder / "screenshots", _SCREENSHOT_INTERVAL)
        return [("pictures", f"{len(paths)} in {paths[0].parent}, one every {_SCREENSHOT_INTERVAL} steps")]
    return []


def _run_rows(
    saved: "SavedWeights", evaluation: "EvaluationRecord", actions: str, config: "DictConfig"
) -> list[tuple[str, str]]:
    steps = format_env_steps(evaluation.env_step, config.env.get("frame_skip"))
    interval = f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)"
    return [
        ("checkpoint", f"{saved.checkpoint} (after {steps})"),
        ("episodes", f"{evaluation.episodes} held-out, {evaluation.mean_length:.0f} steps on average, {actions}"),
        ("mean return", f"{evaluation.mean:.1f}"),
        ("95 % interval", interval if evaluation.episodes > 1 else "one episode has none"),
        ("std", f"{evaluation.std:.1f}"),
        ("median", f"{evaluation.median:.1f}"),
        ("range", f"{evaluation.min:.1f} to {evaluation.max:.1f}"),
    ]


def _seeds_rows(evaluations: Sequence["EvaluationRecord"], actions: str) -> list[tuple[str, str]]:
    from a3c_exp.loggers.seed_average import mean_evaluation

    average = mean_evaluation(evaluations, best=False)
    interval = f"{average.ci_low:.1f} to {average.ci_high:.1f} (bootstrap over seeds)"
    means = [evaluation.mean for evaluation in evaluations]
    return [
        ("seeds", f"{len(evaluations)}, each on the same {evaluations[0].episodes} held-out episodes, {actions}"),
        ("mean return", f"{average.mean:.1f}"),
        ("95 % interval", interval if len(evaluations) >= _MIN_SEEDS else f"none over fewer than {_MIN_SEEDS} seeds"),
        ("std of seeds", f"{average.std:.1f}"),
        ("median seed", f"{average.median:.1f}"),
        ("seeds' range", f"{min(means):.1f} to {max(means):.1f}"),
    ]


if __name__ == "__main__":
    sys.exit(main())
