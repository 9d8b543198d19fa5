"""A run's weights as a small folder to give away: evaluated as they are stored, with nothing private beside them."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from a3c_exp.config.trust import modules_of_others
from a3c_exp.evaluate.evaluator import EvaluatorConfig
from a3c_exp.export.model_card import CARD, REPLAY, model_card
from a3c_exp.export.privacy import without_private_arguments, without_private_paths, without_private_values
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.runs.record import load, now
from a3c_exp.runs.status import FORMAT
from a3c_exp.stats.estimates import bootstrap_interval, interquartile_mean
from a3c_exp.system.atomic_write import write_atomically
from a3c_exp.system.cli import command, print_notice
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.system.machine import git_commit
from a3c_exp.system.number_format import format_env_steps
from a3c_exp.training import pretrained
from a3c_exp.training.build import build_run
from a3c_exp.training.resume import saved_config
from a3c_exp.training.saved_weights import SavedWeights, held_out_evaluator, load_weights, require_single_seed
from a3c_exp.visualize.video import render_episode, require_video_encoder

EVALUATION_KEYS = ("episodes", "deterministic", "mean", "std", "median", "ci_low", "ci_high", "min", "max", "mean_length")


@dataclass(frozen=True)
class WeightsConfig:
    """Which weights of a run are exported, how they are stored and evaluated, and what lies beside them."""

    checkpoint: str = "best"  # best, last, or a file
    half: bool = False  # whether they are stored in half precision
    episodes: int = 100  # held-out ones
    seed: int = 1_000_003  # root of the held-out seeds
    card: bool = False  # whether there is a model card, with the newest video of the run if it has one
    video: bool = False  # whether a new video of these weights is recorded for the card
    repo_id: str = ""  # the repository on the Hugging Face hub that the card names


@dataclass(frozen=True)
class ExportedWeights:
    """What was exported: from which checkpoint after how many steps, in which precision, and what it scored."""

    saved: SavedWeights
    steps: str  #: in words, as ``format_env_steps`` has them
    precision: str
    evaluation: EvaluationRecord


def export_weights(run: Path, out: Path, config: WeightsConfig, trusted: Sequence[str] = ()) -> ExportedWeights:
    """Write a run's configuration, weights and provenance to a new folder ``out``, as ``pretrained.load`` reads it; errors
    and ``trusted`` modules as for ``saved_config``, a ConfigError if ``out`` exists or the run holds several seeds."""
    pretrained.reject_existing(out)
    run_config = saved_config(run, trusted)
    record = load(run)
    require_single_seed(run, run_config)
    require_held_out_seed(run_config, config.seed)
    if config.video:
        require_video_encoder()
    saved = load_weights(run, config.checkpoint)
    setup = build_run(run_config).setup
    stored = pretrained.to_stored_precision(saved.weights, config.half, setup.statistics_size)
    evaluation_config = EvaluatorConfig(config.episodes, True, run_config.evaluation.max_episode_steps)
    with held_out_evaluator(setup, evaluation_config, config.seed, [saved]) as evaluator:
        evaluation = evaluator.evaluate(stored.as_used().to(setup.device), saved.env_step, saved.update, 0.0)
    provenance = _provenance(run_config, record, saved, stored, evaluation, config.seed)
    shared, changed = without_private_values(run_config)
    files: dict[str, bytes] = {}
    if config.card:
        replay, video = _replay(run, setup, stored.as_used(), evaluation_config, config)
        modules = modules_of_others(shared)
        files = {CARD: model_card(shared, provenance, modules, config.repo_id, replay).encode(), **video}
    try:
        pretrained.save(out, shared, stored, saved.env_step, saved.update, provenance, files)
    except OSError as error:
        raise RunDirectoryError(
            f"{out} cannot be written: {error.strerror or error}. Choose another folder: --out DIR"
        ) from None
    if changed:
        print_notice(f"{out} has only the last part of paths of this machine: {', '.join(changed)}")
    steps = format_env_steps(saved.env_step, run_config.env.get("frame_skip"))
    return ExportedWeights(saved, steps, provenance["precision"], evaluation)


def add_card(folder: Path, trusted: Sequence[str] = ()) -> Path:
    """Write a model card into a folder of exported weights that has none; a ConfigError if it has one, other errors as of
    ``pretrained.load``. Returns its path."""
    path = folder / CARD
    if path.exists():
        raise ConfigError(f"{path} exists, and nothing is overwritten. Change it by hand, or remove it first")
    write_atomically(path, card_of_folder(folder, "", trusted))
    return path


def card_of_folder(folder: Path, repo_id: str = "", trusted: Sequence[str] = ()) -> str:
    """A model card of exported weights, for a repository if there is one; errors as of ``pretrained.load``."""
    exported = pretrained.load(folder, trusted)
    replay = "an episode" if (folder / REPLAY).is_file() else ""
    return model_card(exported.config, exported.provenance, modules_of_others(exported.config), repo_id, replay)


def require_held_out_seed(config: DictConfig, held_out: int) -> None:
    """A ConfigError if a run was trained with the root of the seeds to evaluate it with."""
    if held_out == config.seed:
        raise ConfigError(f"--seed {held_out} is the seed that the run trained with. Try another number")


def _replay(
    run: Path, setup: TrainingSetup, weights: Tensor, evaluation: EvaluatorConfig, config: WeightsConfig
) -> tuple[str, Mapping[str, bytes]]:
    """What the card's video shows, and its content; both empty without one."""
    if config.video:
        with tempfile.TemporaryDirectory(prefix="a3c_exp_") as folder:
            rendered = render_episode(setup, weights, evaluation, config.seed, Path(folder), video=True)
            assert rendered.path is not None
            shows = f"the first of the held-out episodes below, whose return is {rendered.return_:.1f}"
            return shows, {REPLAY: rendered.path.read_bytes()}
    videos = sorted((run / "videos").glob("*.mp4"), key=lambda path: path.stat().st_mtime)
    if not videos:
        return "", {}
    return f"an episode of this training (`videos/{videos[-1].name}`)", {REPLAY: videos[-1].read_bytes()}


def _provenance(
    config: DictConfig,
    record: Mapping[str, Any],
    saved: SavedWeights,
    stored: pretrained.StoredWeights,
    evaluation: EvaluationRecord,
    seed: int,
) -> dict[str, Any]:
    """Where exported weights come from, and how good they are."""
    own = saved.own_evaluation
    low, high = bootstrap_interval(evaluation.returns, interquartile_mean)
    interquartile = {"iqm": float(interquartile_mean(evaluation.returns)), "iqm_ci_low": low, "iqm_ci_high": high}
    return {
        "format": FORMAT,
        "run": without_private_paths(record["name"]),
        "checkpoint": saved.checkpoint.name,
        "env_steps": saved.env_step,
        "updates": saved.update,
        "precision": str(stored.weights.dtype).removeprefix("torch."),
        "weights": saved.weights.numel(),
        "largest_rounding": float((saved.weights - stored.as_used()).abs().max()),
        "evaluation": {key: getattr(evaluation, key) for key in EVALUATION_KEYS}
        | {key: value for key, value in interquartile.items() if math.isfinite(value)}
        | {"seed": seed, "of": "the weights as stored here"},
        "own_evaluation": {key: getattr(own, key) for key in ("mean", "std", "episodes", "env_step")} if own else None,
        "trained": {
            "command": without_private_arguments(record["command"]),
            "sessions": [without_private_arguments(session["command"]) for session in record["sessions"]],
            "seed": config.seed,
            "date": record["timings"]["created"],
            "seconds": record["timings"]["seconds"],
            **{key: record[key] for key in ("git", "versions", "machine")},
        },
        "exported": {"command": without_private_arguments(command()), "date": now(), "git": git_commit()},
    }
