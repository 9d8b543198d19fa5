"""The weights of a checkpoint, evaluated on held-out episodes: for commands that take a run directory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from a3c_exp.evaluate.evaluator import MAX_PARALLEL_EPISODES, Evaluator, EvaluatorConfig
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.system.cli import print_notice
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.training.checkpoint import Checkpoints, evaluation_of, read


@dataclass(frozen=True)
class SavedWeights:
    """The weights ``[P]`` of a file, where training stood then, and the evaluation that ``best.pt`` was saved for."""

    checkpoint: Path
    weights: Tensor
    env_step: int
    update: int
    own_evaluation: EvaluationRecord | None = None


def require_single_seed(run: Path, config: DictConfig) -> None:
    """A ConfigError if a run holds several seeds."""
    if config.num_seeds > 1:
        raise ConfigError(f"{run} holds {config.num_seeds} seeds. Name one of them: {run}/seed={config.seed}")


def load_weights(run: Path, checkpoint: str) -> SavedWeights:
    """The weights of a run directory: ``best`` (the last if it was never evaluated), ``last``, or those of a file; damaged
    checkpoints that are passed over are named on stderr."""
    folder = run / "checkpoints"
    if checkpoint not in ("best", "last"):
        path = Path(checkpoint)
    elif checkpoint == "last" or not (path := folder / "best.pt").is_file():
        path = Checkpoints(folder).latest(print_notice)
    try:
        content = read(path)
        own = evaluation_of(path, content)
    except RunDirectoryError as error:
        raise RunDirectoryError(f"{error}. Try --checkpoint last") from None
    return SavedWeights(path, content["weights"], content["env_steps"], content["updates"], own)


@contextmanager
def held_out_evaluator(
    setup: TrainingSetup, config: EvaluatorConfig, seed: int, saved: Sequence[SavedWeights]
) -> Iterator[Evaluator]:
    """An evaluator on one thread, for the held-out seeds of a root ``seed``, whose environments are closed at the end; a
    RunDirectoryError if some of what is ``saved`` does not fit the run's model."""
    torch.set_num_threads(1)
    envs = setup.make_evaluation_envs(num_envs=min(config.episodes, MAX_PARALLEL_EPISODES))
    try:
        model, layout = setup.model(envs)
        for item in saved:
            if item.weights.numel() != layout.size:
                raise RunDirectoryError(
                    f"{item.checkpoint} holds {item.weights.numel()} weights, but the run's model has {layout.size}. "
                    "Name a checkpoint of this run"
                )
        yield Evaluator(model, layout, envs, config, seed)
    finally:
        envs.close()
