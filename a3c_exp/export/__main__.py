"""``python -m a3c_exp.export <run dir> --out <folder>``: a run's weights as a small folder to give away."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a3c_exp.system.cli import CommandParser, command, print_rows, record_command_line, run_command
from a3c_exp.system.errors import ConfigError, RunDirectoryError

if TYPE_CHECKING:
    from torch import Tensor

    from a3c_exp.runs.log_records import EvaluationRecord
    from a3c_exp.training.saved_weights import SavedWeights

_EXAMPLES = """examples:
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --out pretrained/pendulum --half
  python -m a3c_exp.export outputs/2026-11-21/15-20-10_cartpole/seed=3 --out pretrained/cartpole --checkpoint last
then
  python -m a3c_exp.evaluate pretrained/pendulum --video
"""
_EVALUATION_KEYS = ("episodes", "deterministic", "mean", "std", "median", "ci_low", "ci_high", "min", "max", "mean_length")


def main(argv: list[str] | None = None) -> int:
    """Entry of the command; returns its exit code: 0, or 2 when what was asked cannot be done."""
    record_command_line(["python -m a3c_exp.export", *(sys.argv[1:] if argv is None else argv)])
    return run_command("a3c_exp.export", lambda: _export(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "a3c_exp.export",
        "Write a run's configuration, weights and provenance to a folder that a3c_exp.evaluate takes. "
        "The weights are evaluated as they are written, half precision included, and the result is stored with them.",
        _EXAMPLES,
    )
    parser.add_argument("run", type=Path, help="a run directory; of several seeds one seed's")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet; nothing is overwritten")
    parser.add_argument("--half", action="store_true", help="store the weights in half precision")
    parser.add_argument("--checkpoint", default="best", help="best (of the run's own evaluations; default), last, or a file")
    parser.add_argument("--episodes", type=int, default=100, help="held-out episodes to evaluate them on (default 100)")
    parser.add_argument("--seed", type=int, default=1_000_003, help="root of the held-out seeds (default %(default)s)")
    parser.add_trust()
    return parser


def _export(arguments: argparse.Namespace) -> None:
    from a3c_exp.runs.record import load
    from a3c_exp.training import pretrained
    from a3c_exp.training.resume import saved_config

    run: Path = arguments.run
    pretrained.reject_existing(arguments.out)
    config = saved_config(run, arguments.trust)
    record = load(run)
    if config.num_seeds > 1:
        raise ConfigError(f"{run} holds {config.num_seeds} seeds. Name one of them: {run}/seed={config.seed}")
    if arguments.seed == config.seed:
        raise ConfigError(f"--seed {arguments.seed} is the seed that the run trained with. Try another number")

    from a3c_exp.evaluate.evaluator import EvaluatorConfig
    from a3c_exp.training.build import build_run
    from a3c_exp.training.saved_weights import held_out_evaluator, load_weights

    saved = load_weights(run, arguments.checkpoint)
    stored = pretrained.to_stored_precision(saved.weights, arguments.half)
    setup = build_run(config).setup
    evaluation_config = EvaluatorConfig(arguments.episodes, True, config.evaluation.max_episode_steps)
    with held_out_evaluator(setup, evaluation_config, arguments.seed, [saved]) as evaluator:
        evaluation = evaluator.evaluate(stored.float().to(setup.device), saved.env_step, saved.update, 0.0)
    provenance = _provenance(config, record, saved, stored, evaluation, arguments.seed)
    try:
        pretrained.save(arguments.out, config, stored, saved.env_step, saved.update, provenance)
    except OSError as error:
        raise RunDirectoryError(
            f"{arguments.out} cannot be written: {error.strerror or error}. Choose another folder: --out DIR"
        ) from None
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    print_rows(
        [
            ("exported", f"{saved.checkpoint} (after {saved.env_step:,} environment steps)"),
            ("to", f"{arguments.out}, {size / 1e6:.2f} MB, {provenance['precision']}"),
            ("mean return", f"{evaluation.mean:.1f} ± {evaluation.std:.1f} (standard deviation)"),
            ("95 % interval", f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)"),
            ("episodes", f"{evaluation.episodes} held-out, deterministic actions, weights as stored"),
            ("try", f"python -m a3c_exp.evaluate {arguments.out} --video"),
        ]
    )


def _provenance(
    config: Any, record: dict[str, Any], saved: "SavedWeights", stored: "Tensor", evaluation: "EvaluationRecord", seed: int
) -> dict[str, Any]:
    """Where exported weights come from, and how good they are."""
    from a3c_exp.runs.record import now
    from a3c_exp.runs.status import FORMAT
    from a3c_exp.system.machine import git_commit

    own = saved.own_evaluation
    return {
        "format": FORMAT,
        "run": record["name"],
        "checkpoint": saved.checkpoint.name,
        "env_steps": saved.env_step,
        "updates": saved.update,
        "precision": str(stored.dtype).removeprefix("torch."),
        "weights": stored.numel(),
        "largest_rounding": float((saved.weights - stored.float()).abs().max()),
        "evaluation": {key: getattr(evaluation, key) for key in _EVALUATION_KEYS}
        | {"seed": seed, "of": "the weights as stored here"},
        "own_evaluation": {key: getattr(own, key) for key in ("mean", "std", "episodes", "env_step")} if own else None,
        "trained": {
            "command": record["command"],
            "sessions": [session["command"] for session in record["sessions"]],
            "seed": config.seed,
            "date": record["timings"]["created"],
            "seconds": record["timings"]["seconds"],
            **{key: record[key] for key in ("git", "versions", "machine")},
        },
        "exported": {"command": command(), "date": now(), "git": git_commit()},
    }


if __name__ == "__main__":
    sys.exit(main())
