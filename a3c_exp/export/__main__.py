"""``python -m a3c_exp.export <run dir> --out <folder>``: a run's weights as a small folder to give away."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a3c_exp.system.cli import CommandParser, command, print_rows, record_command_line, run_command
from a3c_exp.system.errors import ConfigError, RunDirectoryError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import Tensor

    from a3c_exp.runs.log_records import EvaluationRecord
    from a3c_exp.training.saved_weights import SavedWeights

_EXAMPLES = """examples:
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --out pretrained/pendulum --half
  python -m a3c_exp.export outputs/2026-11-21/15-20-10_cartpole/seed=3 --out pretrained/cartpole --checkpoint last
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --onnx
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
        "Write a run's configuration, weights and provenance to a folder that a3c_exp.evaluate takes; or, with --onnx or "
        "--torch, its deterministic policy to a file for other programs. "
        "The weights are evaluated as they are written, half precision included, and the result is stored with them.",
        _EXAMPLES,
    )
    parser.add_argument(
        "run", type=Path, help="a run directory; of several seeds one seed's; of --onnx and --torch weights, too"
    )
    parser.add_argument("--onnx", action="store_true", help="write policy.onnx, for onnxruntime (pip install 'a3c_exp[onnx]')")
    parser.add_argument("--torch", action="store_true", help="write policy.pt2, which torch.export.load reads without a3c_exp")
    out = "a folder that does not exist yet; of --onnx and --torch any (default: the run's). Nothing is overwritten"
    parser.add_argument("--out", type=Path, help=out)
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

    if arguments.onnx or arguments.torch:
        _export_files(arguments)
        return
    run: Path = arguments.run
    if arguments.out is None:
        raise ConfigError("the folder to write to is missing. Try --out pretrained/NAME, or --onnx for a file in the run's own")
    pretrained.reject_existing(arguments.out)
    config = saved_config(run, arguments.trust)
    record = load(run)
    _require_one_seed(run, config, arguments.seed)

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
            *_score(evaluation),
            ("episodes", f"{evaluation.episodes} held-out, deterministic actions, weights as stored"),
            ("try", f"python -m a3c_exp.evaluate {arguments.out} --video"),
        ]
    )


def _require_one_seed(run: Path, config: "DictConfig", held_out: int) -> None:
    if config.num_seeds > 1:
        raise ConfigError(f"{run} holds {config.num_seeds} seeds. Name one of them: {run}/seed={config.seed}")
    if held_out == config.seed:
        raise ConfigError(f"--seed {held_out} is the seed that the run trained with. Try another number")


def _export_files(arguments: argparse.Namespace) -> None:
    """The policy as ``policy.onnx``, ``policy.pt2`` or both, each checked before it is there."""
    from a3c_exp.export import files

    run: Path = arguments.run
    asked = ((files.ONNX, arguments.onnx), (files.TORCH, arguments.torch))
    paths = [(arguments.out or run) / name for name, wanted in asked if wanted]
    if arguments.half:
        raise ConfigError("--half is for weights; what --onnx and --torch write computes in single precision. Leave it out")
    for path in paths:
        files.reject_existing(path)
    if arguments.onnx:
        files.require_onnx()
    config, saved, trained_by = _weights_and_command(run, arguments.checkpoint, arguments.trust)
    _require_one_seed(run, config, arguments.seed)

    from a3c_exp.evaluate.evaluator import EvaluatorConfig
    from a3c_exp.export.policy_files import describe, export_policy
    from a3c_exp.training.build import build_run
    from a3c_exp.training.saved_weights import held_out_evaluator

    config = config.copy()
    config.device = "cpu"
    setup = build_run(config).setup
    evaluation_config = EvaluatorConfig(arguments.episodes, True, config.evaluation.max_episode_steps)
    with held_out_evaluator(setup, evaluation_config, arguments.seed, [saved]) as evaluator:
        evaluation = evaluator.evaluate(saved.weights, saved.env_step, saved.update, 0.0)
        metadata = describe(evaluator.envs, config) | {
            "evaluation": {key: getattr(evaluation, key) for key in _EVALUATION_KEYS} | {"seed": arguments.seed},
            "env_steps": saved.env_step,
            "trained": trained_by,
            "exported": command(),
        }
    print_rows([("exporting", f"{saved.checkpoint} (after {saved.env_step:,} environment steps)"), *_score(evaluation)])
    for path, difference in export_policy(setup, saved, evaluation_config, arguments.seed, metadata, paths):
        print_rows([("written", f"{path}, {path.stat().st_size / 1e6:.2f} MB"), ("checked", str(difference))])


def _weights_and_command(run: Path, checkpoint: str, trusted: list[str]) -> tuple["DictConfig", "SavedWeights", str]:
    """Configuration, weights and the command that trained them, of a run directory or of a folder of exported weights."""
    from a3c_exp.runs.record import load
    from a3c_exp.training import pretrained
    from a3c_exp.training.resume import saved_config
    from a3c_exp.training.saved_weights import load_weights

    if not pretrained.is_pretrained(run):
        config = saved_config(run, trusted)
        return config, load_weights(run, checkpoint), str(load(run)["command"])
    if checkpoint != "best":
        raise ConfigError(f"{run} holds one set of weights and no checkpoint {checkpoint!r}. Leave out --checkpoint")
    exported = pretrained.load(run, trusted)
    return exported.config, exported.saved, str(exported.provenance["trained"]["command"])


def _score(evaluation: "EvaluationRecord") -> list[tuple[str, str]]:
    return [
        ("mean return", f"{evaluation.mean:.1f} ± {evaluation.std:.1f} (standard deviation)"),
        ("95 % interval", f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)"),
    ]


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
