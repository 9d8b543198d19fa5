"""``python -m a3c_exp.export <run dir> --out <folder>``: a run's weights as a small folder to give away."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from a3c_exp.system.cli import CommandParser, command, print_rows, record_command_line, run_command, whole_number
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.number_format import format_env_steps

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from a3c_exp.export.weights import ExportedWeights, WeightsConfig
    from a3c_exp.runs.log_records import EvaluationRecord
    from a3c_exp.training.saved_weights import SavedWeights

_EXAMPLES = """examples:
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --out pretrained/pendulum --half
  python -m a3c_exp.export outputs/2026-11-21/15-20-10_cartpole/seed=3 --out pretrained/cartpole --checkpoint last
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --onnx
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --card --video
  python -m a3c_exp.export outputs/2026-11-21/14-03-22_pendulum --push-to-hub someone/a3c-pendulum
then
  python -m a3c_exp.evaluate pretrained/pendulum --video
"""
SHARED_FOLDER = "share"
"""In a run directory, where a folder with a model card goes that has no other place."""


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
    hub = "(pip install 'a3c_exp[hub]')"
    card = f"write a model card and the run's newest video beside the weights, to RUN/{SHARED_FOLDER} without --out"
    parser.add_argument("--card", action="store_true", help=card)
    parser.add_argument("--video", action="store_true", help="for the card: record an episode of these weights")
    parser.add_argument(
        "--push-to-hub", metavar="USER/NAME", help=f"upload them with a model card to the Hugging Face hub {hub}"
    )
    parser.add_argument("--private", action="store_true", help="with --push-to-hub: a new repository is for you alone")
    replace = "with --push-to-hub: files that are there get new versions; the earlier ones stay in its history"
    parser.add_argument("--replace", action="store_true", help=replace)
    parser.add_argument("--half", action="store_true", help="store the weights in half precision")
    parser.add_argument("--checkpoint", default="best", help="best (of the run's own evaluations; default), last, or a file")
    parser.add_argument(
        "--episodes", type=whole_number(1, 100), default=100, help="held-out episodes to evaluate them on (default 100)"
    )
    seed = "root of the held-out seeds (default %(default)s)"
    parser.add_argument("--seed", type=whole_number(0, 1), default=1_000_003, help=seed)
    parser.add_trust()
    return parser


def _export(arguments: argparse.Namespace) -> None:
    _reject_contradictions(arguments)
    if arguments.onnx or arguments.torch:
        _export_files(arguments)
        return
    run, out = arguments.run, arguments.out

    from a3c_exp.training import pretrained

    if arguments.push_to_hub:
        _push(arguments)
        return
    if pretrained.is_pretrained(run) and arguments.card:
        _add_card(arguments)
        return
    from a3c_exp.export.weights import export_weights

    out = out or run / SHARED_FOLDER
    exported = export_weights(run, out, _weights_config(arguments), arguments.trust)
    size = sum(file.stat().st_size for file in out.iterdir())
    print_rows(
        [
            *_exported_rows(exported),
            ("to", f"{out}, {size / 1e6:.2f} MB, {exported.precision}"),
            ("try", f"python -m a3c_exp.evaluate {out} --video"),
        ]
    )


def _reject_contradictions(arguments: argparse.Namespace) -> None:
    card = arguments.card or arguments.push_to_hub
    if (arguments.onnx or arguments.torch) and (card or arguments.video):
        raise ConfigError(
            "a model card is of a folder of weights, and so is a video. Write it first, then add the file: --onnx --out FOLDER"
        )
    if arguments.video and not card:
        raise ConfigError("--video records what a model card shows, and none was asked for. Try --card --video")
    if (arguments.private or arguments.replace) and not arguments.push_to_hub:
        raise ConfigError("--private and --replace are of an upload, and none was asked for. Add --push-to-hub USER/NAME")
    if arguments.out is None and not (card or arguments.onnx or arguments.torch):
        raise ConfigError("the folder to write to is missing. Try --out pretrained/NAME, or --onnx for a file in the run's own")


def _weights_config(arguments: argparse.Namespace) -> "WeightsConfig":
    from a3c_exp.export.weights import WeightsConfig

    return WeightsConfig(
        arguments.checkpoint, arguments.half, arguments.episodes, arguments.seed, arguments.card, arguments.video
    )


def _exported_rows(exported: "ExportedWeights") -> list[tuple[str, str]]:
    return [
        ("exported", f"{exported.saved.checkpoint} (after {exported.steps})"),
        *_score(exported.evaluation),
        ("episodes", f"{exported.evaluation.episodes} held-out, deterministic actions, weights as stored"),
    ]


def _push(arguments: argparse.Namespace) -> None:
    from a3c_exp.export.hub import HubConfig, push
    from a3c_exp.training import pretrained

    hub = HubConfig(arguments.push_to_hub, arguments.private or None, arguments.replace)
    upload = push(pretrained.locate(arguments.run), _weights_config(arguments), hub, arguments.out, arguments.trust)
    print_rows(
        [
            *(_exported_rows(upload.exported) if upload.exported else []),
            ("uploaded", upload.url),
            ("try", f'python -c "import a3c_exp; a3c_exp.load_from_hub({hub.repo_id!r})"'),
        ]
    )


def _add_card(arguments: argparse.Namespace) -> None:
    """A card for weights that were exported without one."""
    if arguments.out or arguments.half or arguments.video or arguments.checkpoint != "best":
        raise ConfigError(f"{arguments.run} is exported already, and --card adds README.md to it. Leave out the other options")
    from a3c_exp.export.weights import add_card

    print_rows([("written", str(add_card(arguments.run, trusted=arguments.trust)))])


def _export_files(arguments: argparse.Namespace) -> None:
    """The policy as ``policy.onnx``, ``policy.pt2`` or both, each checked before it is there."""
    from a3c_exp.export import files
    from a3c_exp.training import pretrained

    run = pretrained.locate(arguments.run)
    folder = arguments.out or (run if run == arguments.run else Path("outputs") / arguments.run)  # never into what is installed
    asked = ((files.ONNX, arguments.onnx), (files.TORCH, arguments.torch))
    paths = [folder / name for name, wanted in asked if wanted]
    if arguments.half:
        raise ConfigError("--half is for weights; what --onnx and --torch write computes in single precision. Leave it out")
    for path in paths:
        files.reject_existing(path)
    if arguments.onnx:
        files.require_onnx()
    config, saved, trained_by = _weights_and_command(run, arguments.checkpoint, arguments.trust)

    from a3c_exp.evaluate.evaluator import EvaluatorConfig
    from a3c_exp.export.policy_files import describe, export_policy
    from a3c_exp.export.privacy import without_private_arguments
    from a3c_exp.export.weights import EVALUATION_KEYS, require_held_out_seed
    from a3c_exp.training.build import build_run
    from a3c_exp.training.saved_weights import held_out_evaluator

    require_held_out_seed(config, arguments.seed)
    config = config.copy()
    config.device = "cpu"
    setup = build_run(config).setup
    evaluation_config = EvaluatorConfig(arguments.episodes, True, config.evaluation.max_episode_steps)
    with held_out_evaluator(setup, evaluation_config, arguments.seed, [saved]) as evaluator:
        evaluation = evaluator.evaluate(saved.weights, saved.env_step, saved.update, 0.0)
        metadata = describe(evaluator.envs, config) | {
            "evaluation": {key: getattr(evaluation, key) for key in EVALUATION_KEYS} | {"seed": arguments.seed},
            "env_steps": saved.env_step,
            "trained": without_private_arguments(trained_by),
            "exported": without_private_arguments(command()),
        }
    steps = format_env_steps(saved.env_step, config.env.get("frame_skip"))
    print_rows([("exporting", f"{saved.checkpoint} (after {steps})"), *_score(evaluation)])
    if metadata["frame_skip"] > 1:
        print_rows([("each action", f"is for {metadata['frame_skip']} steps of the environment (env.frame_skip)")])
    for path, difference in export_policy(setup, saved, evaluation_config, arguments.seed, metadata, paths):
        print_rows([("written", f"{path}, {path.stat().st_size / 1e6:.2f} MB"), ("checked", str(difference))])


def _weights_and_command(run: Path, checkpoint: str, trusted: list[str]) -> tuple["DictConfig", "SavedWeights", str]:
    """Configuration, weights and the command that trained them, of a run directory or of a folder of exported weights."""
    from a3c_exp.runs.record import load
    from a3c_exp.training import pretrained
    from a3c_exp.training.resume import saved_config
    from a3c_exp.training.saved_weights import load_weights, require_single_seed

    if not pretrained.is_pretrained(run):
        config = saved_config(run, trusted)
        require_single_seed(run, config)
        return config, load_weights(run, checkpoint), str(load(run)["command"])
    if checkpoint != "best":
        raise ConfigError(f"{run} holds one set of weights and no checkpoint {checkpoint!r}. Leave out --checkpoint")
    exported = pretrained.load(run, trusted)
    return exported.config, exported.saved, str(exported.provenance["trained"]["command"])


def _score(evaluation: "EvaluationRecord") -> list[tuple[str, str]]:
    if evaluation.episodes == 1:
        return [("return", f"{evaluation.mean:.1f}, of one episode")]
    return [
        ("mean return", f"{evaluation.mean:.1f} ± {evaluation.std:.1f} (standard deviation)"),
        ("95 % interval", f"{evaluation.ci_low:.1f} to {evaluation.ci_high:.1f} (bootstrap over episodes)"),
    ]


if __name__ == "__main__":
    sys.exit(main())
