"""``python -m a3c_exp.export <run dir> --out <folder>``: a run's weights as a small folder to give away."""

import argparse
import sys
from pathlib import Path
from typing import Any

from a3c_exp.system.errors import A3CError, ConfigError

_EXAMPLES = """examples:
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --out pretrained/pendulum --half
  python -m a3c_exp.export outputs/2026-11-21/15-20-10_cartpole/seed=3 --out pretrained/cartpole --checkpoint last
then
  python -m a3c_exp.evaluate pretrained/pendulum --video
"""


def main(argv: list[str] | None = None) -> int:
    """Entry of the command; returns its exit code: 0, or 2 when what was asked cannot be done."""
    from a3c_exp.runs.record import record_command_line

    typed = sys.argv[1:] if argv is None else argv
    record_command_line(["python -m a3c_exp.export", *typed])
    arguments = _parser().parse_args(argv)
    try:
        _export(arguments)
    except A3CError as error:
        print(f"a3c_exp.export: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"a3c_exp.export: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m a3c_exp.export",
        description="Writes a run's configuration, weights and provenance to a folder that a3c_exp.evaluate takes. "
        "The weights are judged as they are written, half precision included, and the result is kept with them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a run directory; of several seeds one seed's")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet; nothing is written over")
    parser.add_argument("--half", action="store_true", help="keep the weights in half precision")
    parser.add_argument("--checkpoint", default="best", help="best (of the run's own evaluations; default), last, or a file")
    parser.add_argument("--episodes", type=int, default=100, help="held-out episodes to judge them by (default 100)")
    parser.add_argument("--seed", type=int, default=1_000_003, help="root of the held-out seeds (default %(default)s)")
    return parser


def _export(arguments: argparse.Namespace) -> None:
    from a3c_exp.runs.record import command, git_commit, load, now
    from a3c_exp.training import pretrained
    from a3c_exp.training.checkpoint import find, read
    from a3c_exp.training.resume import saved_config

    pretrained.reject_existing(arguments.out)
    config = saved_config(arguments.run)
    record = load(arguments.run)
    if config.num_seeds > 1:
        raise ConfigError(
            f"{arguments.run} holds {config.num_seeds} seeds. Name one of them: {arguments.run}/seed={config.seed}"
        )
    if arguments.seed == config.seed:
        raise ConfigError(f"--seed {arguments.seed} is the seed that the run trained with. Try another number")
    path = find(arguments.run / "checkpoints", arguments.checkpoint)
    content = read(path)
    kept = pretrained.to_stored_precision(content["weights"], arguments.half)

    evaluation = _evaluate(arguments, config, kept.float(), content)
    own = content.get("evaluation", {})
    provenance: dict[str, Any] = {
        "format": 1,
        "run": record["name"],
        "checkpoint": path.name,
        "env_steps": content["env_steps"],
        "updates": content["updates"],
        "precision": str(kept.dtype).removeprefix("torch."),
        "weights": kept.numel(),
        "largest_rounding": pretrained.max_rounding_error(content["weights"], kept),
        "evaluation": {**_evaluation_summary(evaluation), "seed": arguments.seed, "of": "the weights as kept here"},
        "own_evaluation": {key: own[key] for key in ("mean", "std", "episodes", "env_step") if key in own} or None,
        "trained": {
            "command": record["command"],
            "sessions": [session["command"] for session in record["sessions"]],
            "seed": config.seed,
            "date": record["timings"]["created"],
            "seconds": record["timings"]["seconds"],
            "git": record["git"],
            "versions": record["versions"],
            "machine": record["machine"],
        },
        "exported": {"command": command(), "date": now(), "git": git_commit()},
    }
    pretrained.save(arguments.out, config, kept, content["env_steps"], content["updates"], provenance)
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    rows = [
        ("exported", f"{path} (after {content['env_steps']:,} environment steps)"),
        ("to", f"{arguments.out}, {size / 1e6:.2f} MB, {provenance['precision']}"),
        ("mean return", f"{evaluation.mean:.1f} ± {evaluation.std:.1f} (standard deviation)"),
        ("95 % interval", f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)"),
        ("episodes", f"{evaluation.episodes} held-out, deterministic actions, weights as kept"),
        ("try", f"python -m a3c_exp.evaluate {arguments.out} --video"),
    ]
    for name, value in rows:
        print(f"{name:<14} {value}")


def _evaluate(arguments: argparse.Namespace, config: Any, weights: Any, content: Any) -> Any:
    import torch

    from a3c_exp.evaluate.evaluator import MAX_PARALLEL_EPISODES, Evaluator, EvaluatorConfig
    from a3c_exp.system.errors import RunDirectoryError
    from a3c_exp.training.build import build_run

    torch.set_num_threads(1)
    spec = EvaluatorConfig(arguments.episodes, True, config.evaluation.max_episode_steps)
    task = build_run(config).setup
    envs = task.make_evaluation_envs(num_envs=min(spec.episodes, MAX_PARALLEL_EPISODES))
    try:
        model, layout = task.model(envs)
        if weights.numel() != layout.size:
            raise RunDirectoryError(f"the checkpoint holds {weights.numel()} weights, but the run's model has {layout.size}")
        evaluator = Evaluator(model, layout, envs, spec, arguments.seed)
        return evaluator.evaluate(weights.to(task.device), content["env_steps"], content["updates"], 0.0)
    finally:
        envs.close()


def _evaluation_summary(evaluation: Any) -> dict[str, Any]:
    keys = ("episodes", "deterministic", "mean", "std", "median", "ci_low", "ci_high", "min", "max", "mean_length")
    return {key: getattr(evaluation, key) for key in keys}


if __name__ == "__main__":
    sys.exit(main())
