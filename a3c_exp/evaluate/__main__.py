"""``python -m a3c_exp.evaluate <run dir>``: how good a run's weights are, on held-out seeds."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from a3c_exp.system.errors import A3CError, ConfigError, RunDirectoryError
from a3c_exp.system.gc_settings import gc_frozen

if TYPE_CHECKING:
    from torch import Tensor

    from a3c_exp.runs.log_records import EvaluationRecord
    from a3c_exp.training.pretrained import Pretrained
    from a3c_exp.visualize.render_episode import RenderedEpisode

_EXAMPLES = """examples:
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum --episodes 100 --stochastic
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum --checkpoint last --video
  python -m a3c_exp.evaluate pretrained/car_racing --video
      weights that came with the code, or from a3c_exp.export; the video goes to outputs/pretrained/car_racing/videos
  python -m a3c_exp.evaluate outputs/2026-11-21/15-20-10_cartpole
      a folder of several seeds (num_seeds=10): each in turn, then their mean; --video shows the first
  python -m a3c_exp.evaluate outputs/2026-11-21/15-20-10_cartpole/seed=3
"""
_SCREENSHOT_INTERVAL = 50
_MIN_SEEDS = 3
"""Fewer say nothing about the spread between seeds; the report counts alike."""


def main(argv: list[str] | None = None) -> int:
    """Entry of the command; returns its exit code: 0, or 2 when what was asked cannot be done."""
    arguments = _parser().parse_args(argv)
    try:
        _evaluate(arguments)
    except A3CError as error:
        print(f"a3c_exp.evaluate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m a3c_exp.evaluate",
        description="Live held-out episodes with a run's weights; seeds that neither training nor its own evaluations used.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a run directory, the folder of several seeds, or exported weights")
    parser.add_argument("--episodes", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--checkpoint", default="best", help="best (of the run's own evaluations; default), last, or a file")
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the policy's mode")
    parser.add_argument("--seed", type=int, default=1_000_003, help="root of the held-out seeds (default %(default)s)")
    parser.add_argument("--max-episode-steps", type=int, help="time limit (default: the task's own, 200 for Pendulum)")
    parser.add_argument(
        "--video",
        action="store_true",
        help="write an mp4 of the (first seed's) first episode to videos/, with policy, value and return laid over it",
    )
    parser.add_argument("--plain", action="store_true", help="with --video: the task's picture and nothing over it")
    parser.add_argument(
        "--saliency",
        action="store_true",
        help="with --video: beside the picture what the network sees and where it looks; alone: pictures of that, every "
        f"{_SCREENSHOT_INTERVAL} steps of the first episode",
    )
    parser.add_argument("--render", action="store_true", help="show the first episode in a window")
    return parser


@dataclass(frozen=True)
class _Candidate:
    """Weights to be judged.

    Attributes:
        directory: the run directory they come from.
        output_directory: where videos and pictures of them go.
        seed: that the run trained with.
        checkpoint: the file.
        weights: ``[P]``.
        env_step, update: where training stood.
    """

    directory: Path
    output_directory: Path
    seed: int
    checkpoint: Path
    weights: "Tensor"
    env_step: int
    update: int


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.plain and not arguments.video:
        raise ConfigError("--plain says what a video leaves out, and none was asked for. Try --video --plain")
    from a3c_exp.training import pretrained
    from a3c_exp.training.resume import saved_config

    given = pretrained.load(arguments.run) if pretrained.is_pretrained(arguments.run) else None
    config = saved_config(arguments.run) if given is None else given.config
    seeds = _seed_directories(arguments.run) if config.num_seeds > 1 else []
    configs = [saved_config(directory) for directory in seeds] or [config]
    if arguments.seed in [config.seed for config in configs]:
        raise ConfigError(f"--seed {arguments.seed} is a seed that the run trained with. Try another number")
    if given is not None and arguments.checkpoint != "best":
        raise ConfigError(f"{arguments.run} holds one set of weights and no --checkpoint {arguments.checkpoint}. Leave it out")
    if seeds and arguments.checkpoint not in ("best", "last"):
        raise ConfigError(
            f"--checkpoint {arguments.checkpoint} is one seed's, but {arguments.run} holds {len(seeds)}. "
            f"Try --checkpoint last, or name that seed: {seeds[0]}"
        )

    with gc_frozen():
        import torch

        from a3c_exp.evaluate.evaluator import MAX_PARALLEL_EPISODES, Evaluator, EvaluatorConfig
        from a3c_exp.training.build import build_run
    from a3c_exp.visualize.render_episode import render_episode, save_frames

    torch.set_num_threads(1)
    spec = EvaluatorConfig(
        arguments.episodes,
        not arguments.stochastic,
        arguments.max_episode_steps or configs[0].evaluation.max_episode_steps,
    )
    # Seeds differ in nothing else, so the first one's task serves all. All checkpoints before the first episode: one that is
    # missing should be known at once.
    task = build_run(configs[0]).setup
    subjects = (
        [_load_pretrained_weights(arguments.run, given)]
        if given is not None
        else [
            _load_run_weights(directory, config.seed, arguments.checkpoint)
            for directory, config in zip(seeds or [arguments.run], configs, strict=True)
        ]
    )
    first = subjects[0]
    shown: list[tuple[str, str]] = []
    if arguments.video or arguments.render:
        # Before the numbers: a missing display or encoder should be known at once.
        shown = _rendered_episode_rows(
            render_episode(
                task,
                first.weights,
                spec,
                arguments.seed,
                first.output_directory / "videos",
                arguments.video,
                arguments.render,
                arguments.plain,
                arguments.saliency,
            )
        )
    elif arguments.saliency:
        folder = first.output_directory / "screenshots"
        taken = save_frames(task, first.weights, spec, arguments.seed, folder, _SCREENSHOT_INTERVAL)
        shown = [("pictures", f"{len(taken)} in {taken[0].parent}, one every {_SCREENSHOT_INTERVAL} steps")]
    envs = task.make_evaluation_envs(num_envs=min(spec.episodes, MAX_PARALLEL_EPISODES))
    try:
        model, layout = task.model(envs)
        for subject in subjects:
            if subject.weights.numel() != layout.size:
                raise RunDirectoryError(
                    f"{subject.checkpoint} holds {subject.weights.numel()} weights, but the run's model has {layout.size}"
                )
        evaluator = Evaluator(model, layout, envs, spec, arguments.seed)
        evaluations = []
        for subject in subjects:
            evaluation = evaluator.evaluate(subject.weights.to(task.device), subject.env_step, subject.update, 0.0)
            evaluations.append(evaluation)
            if seeds:
                _print_seed(subject, evaluation)
    finally:
        envs.close()
    if seeds:
        _print_seeds(arguments, evaluations, shown)
    else:
        _print(arguments, first.checkpoint, evaluations[0], shown)


def _seed_directories(run: Path) -> list[Path]:
    """The run directories inside a folder of several seeds.

    Raises:
        RunDirectoryError: it lists none, or one that is not there.
    """
    from a3c_exp.runs.record import load

    content: object = load(run)
    names = content.get("seeds") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names:
        raise RunDirectoryError(f"{run / 'run.json'} lists no seeds, though the run trained several")
    directories = [run / str(name) for name in names]
    for directory in directories:
        if not (directory / ".hydra" / "config.yaml").is_file():
            raise RunDirectoryError(
                f"{directory} is missing, though {run / 'run.json'} lists it. Evaluate the seeds that are there one by one"
            )
    return directories


def _load_run_weights(directory: Path, seed: int, checkpoint_name: str) -> _Candidate:
    from a3c_exp.training.checkpoint import find, read

    path = find(directory / "checkpoints", checkpoint_name)
    content = read(path)
    return _Candidate(directory, directory, seed, path, content["weights"], content["env_steps"], content["updates"])


def _load_pretrained_weights(folder: Path, pretrained: "Pretrained") -> _Candidate:
    # What was given away is not written to uninvited: it may be part of somebody's checkout.
    pictures = Path("outputs") / "pretrained" / folder.resolve().name
    return _Candidate(
        folder,
        pictures,
        pretrained.config.seed,
        folder / "weights.pt",
        pretrained.weights,
        pretrained.env_step,
        pretrained.update,
    )


def _print(
    arguments: argparse.Namespace, path: Path, evaluation: "EvaluationRecord", extra_rows: Sequence[tuple[str, str]]
) -> None:
    kind = "sampled actions" if arguments.stochastic else "deterministic actions"
    several = evaluation.episodes > 1
    interval = (
        f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)" if several else "one episode has none"
    )
    rows = [
        ("checkpoint", f"{path} (after {evaluation.env_step:,} environment steps)"),
        ("episodes", f"{evaluation.episodes} held-out, {evaluation.mean_length:.0f} steps on average, {kind}"),
        ("mean return", f"{evaluation.mean:.1f}"),
        ("95 % interval", interval),
        ("std", f"{evaluation.std:.1f}"),
        ("median", f"{evaluation.median:.1f}"),
        ("range", f"{evaluation.min:.1f} to {evaluation.max:.1f}"),
    ]
    _print_rows([*rows, *extra_rows])


def _print_seed(candidate: _Candidate, evaluation: "EvaluationRecord") -> None:
    """One line as soon as it is known: many seeds take a while."""
    interval = f"[{evaluation.ci_low:.1f}, {evaluation.ci_high:.1f}]"
    where = (
        f"{candidate.directory.name}/checkpoints/{candidate.checkpoint.name} (after {evaluation.env_step:,} environment steps)"
    )
    print(f"{f'seed {candidate.seed}':<14} {evaluation.mean:>9.1f} {interval:<22} {where}", flush=True)


def _print_seeds(
    arguments: argparse.Namespace, evaluations: Sequence["EvaluationRecord"], extra_rows: Sequence[tuple[str, str]]
) -> None:
    from a3c_exp.loggers.seed_average import mean_evaluation

    whole = mean_evaluation(evaluations, best=False)
    kind = "sampled actions" if arguments.stochastic else "deterministic actions"
    interval = f"{whole.ci_low:.1f} to {whole.ci_high:.1f} (bootstrap over seeds)"
    means = [evaluation.mean for evaluation in evaluations]
    rows = [
        ("seeds", f"{len(evaluations)}, each on the same {evaluations[0].episodes} held-out episodes, {kind}"),
        ("mean return", f"{whole.mean:.1f}"),
        ("95 % interval", interval if len(evaluations) >= _MIN_SEEDS else f"none over fewer than {_MIN_SEEDS} seeds"),
        ("std of seeds", f"{whole.std:.1f}"),
        ("median seed", f"{whole.median:.1f}"),
        ("seeds' range", f"{min(means):.1f} to {max(means):.1f}"),
    ]
    _print_rows([*rows, *extra_rows])


def _rendered_episode_rows(rendered: "RenderedEpisode") -> list[tuple[str, str]]:
    rows = [("shown", f"one episode of {rendered.length} steps, return {rendered.return_:.1f}")]
    if rendered.path is None:
        return rows
    return [*rows, ("video", str(rendered.path)), ("", f"{rendered.frames_per_second:g} frames a second")]


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    for name, value in rows:
        print(f"{name:<14} {value}")


if __name__ == "__main__":
    sys.exit(main())
