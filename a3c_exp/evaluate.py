"""``python -m a3c_exp.evaluate <run dir>``: how good a run's weights are, on held-out seeds."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from a3c_exp.core.errors import A3CError, ConfigError, RunDirectoryError

if TYPE_CHECKING:
    from a3c_exp.core.records import Evaluation
    from a3c_exp.show import Shown

_EXAMPLES = """examples:
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum --episodes 100 --stochastic
  python -m a3c_exp.evaluate outputs/2026-11-21/14-03-22_pendulum --checkpoint last --video
"""
_BATCH = 50


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
    parser.add_argument("run", type=Path, help="a run directory")
    parser.add_argument("--episodes", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--checkpoint", default="best", help="best (of the run's own evaluations; default), last, or a file")
    parser.add_argument("--stochastic", action="store_true", help="sample actions instead of taking the policy's mode")
    parser.add_argument("--seed", type=int, default=1_000_003, help="root of the held-out seeds (default %(default)s)")
    parser.add_argument("--max-episode-steps", type=int, help="time limit (default: the task's own, 200 for Pendulum)")
    parser.add_argument("--video", action="store_true", help="write an mp4 of the first episode to the run's videos/")
    parser.add_argument("--render", action="store_true", help="show the first episode in a window")
    return parser


def _evaluate(arguments: argparse.Namespace) -> None:
    from a3c_exp.resume import saved_config

    config = saved_config(arguments.run)
    if arguments.seed == config.seed:
        raise ConfigError(f"--seed {arguments.seed} is the seed that the run trained with. Try another number")

    import torch

    from a3c_exp.assembly import assemble
    from a3c_exp.checkpoint import read
    from a3c_exp.evaluation import EvaluationSpec, Evaluator
    from a3c_exp.show import show

    torch.set_num_threads(1)
    spec = EvaluationSpec(
        arguments.episodes,
        not arguments.stochastic,
        arguments.max_episode_steps or config.evaluation.max_episode_steps,
    )
    task = assemble(config).task
    path = _checkpoint(arguments.run, arguments.checkpoint)
    content = read(path)
    shown: Shown | None = None
    if arguments.video or arguments.render:
        # Before the numbers: a missing display or encoder should be known at once.
        shown = show(
            task, content["weights"], spec, arguments.seed, arguments.run / "videos", arguments.video, arguments.render
        )
    envs = task.make_envs(num_envs=min(spec.episodes, _BATCH))
    try:
        model, layout = task.model(envs)
        if content["weights"].numel() != layout.size:
            raise RunDirectoryError(f"{path} holds {content['weights'].numel()} weights, but the run's model has {layout.size}")
        evaluator = Evaluator(model, layout, envs, spec, arguments.seed)
        evaluation = evaluator.evaluate(content["weights"].to(task.device), content["env_steps"], content["updates"], 0.0)
    finally:
        envs.close()
    _print(arguments, path, evaluation, shown)


def _checkpoint(run: Path, which: str) -> Path:
    from a3c_exp.checkpoint import Checkpoints

    best = run / "checkpoints" / "best.pt"
    if which == "best" and best.is_file():
        return best
    return Checkpoints(best.parent, keep_last=1).latest() if which in ("best", "last") else Path(which)


def _print(arguments: argparse.Namespace, path: Path, evaluation: "Evaluation", shown: "Shown | None") -> None:
    kind = "sampled actions" if arguments.stochastic else "deterministic actions"
    rows = [
        ("checkpoint", f"{path} (after {evaluation.env_step:,} environment steps)"),
        ("episodes", f"{evaluation.episodes} held-out, {evaluation.mean_length:.0f} steps on average, {kind}"),
        ("mean return", f"{evaluation.mean:.1f}"),
        ("95 % interval", f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)"),
        ("std", f"{evaluation.std:.1f}"),
        ("median", f"{evaluation.median:.1f}"),
        ("range", f"{evaluation.min:.1f} to {evaluation.max:.1f}"),
    ]
    if shown is not None:
        rows.append(("shown", f"one episode of {shown.length} steps, return {shown.return_:.1f}"))
        if shown.path is not None:
            rows.append(("video", str(shown.path)))
    for name, value in rows:
        print(f"{name:<14} {value}")


if __name__ == "__main__":
    sys.exit(main())
