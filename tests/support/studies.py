"""Studies for tests: settings, a storage in a directory, and a process that works on them without training anything."""

import os
import sys
from pathlib import Path

import optuna
from omegaconf import DictConfig, OmegaConf

from a3c_exp.config.compose import CONFIG_DIR
from a3c_exp.runs import study_storage
from a3c_exp.runs.study_storage import open_storage
from a3c_exp.sweep.study.config import StudyConfig, read_study_config
from a3c_exp.sweep.study.search_space import SearchSpace, read_search_space
from a3c_exp.sweep.trials.trial_queue import TrialQueue, open_trial_queue

BASE = OmegaConf.create({"gamma": 0.9, "workers": 4})
SPACE = ("gamma=interval(0.8,0.99)", "workers=choice(4,6,12)")


def settings(**changed: object) -> StudyConfig:
    """The defaults of conf/hydra/sweeper/optuna.yaml with some of them changed."""
    node = OmegaConf.load(CONFIG_DIR / "hydra" / "sweeper" / "optuna.yaml")
    assert isinstance(node, DictConfig)
    return read_study_config(OmegaConf.merge(node, changed), seed=0)  # type: ignore[arg-type]


def space() -> SearchSpace:
    return read_search_space({}, SPACE, None, BASE)


def begin(directory: Path, **changed: object) -> TrialQueue:
    """A new study's storage."""
    directory.mkdir(parents=True, exist_ok=True)
    chosen = settings(study_name="s", **changed)
    optuna.create_study(
        study_name="s", storage=open_storage(chosen.storage, directory), directions=chosen.directions, load_if_exists=True
    )
    return open_trial_queue(chosen, directory)


def work(directory: Path, n_trials: int, timeout: float, die_at: int) -> None:
    """Claim trials until none is left; with the claim number ``die_at`` the power goes."""
    queue = open_trial_queue(settings(study_name="s", n_trials=n_trials, heartbeat_timeout=timeout), directory)
    done = 0
    while (claim := queue.claim(space(), BASE)) is not None:
        done += 1
        if done == die_at:
            os._exit(9)
        queue.complete(claim.number, [float(claim.number)])
        claim.heartbeat.close()


if __name__ == "__main__":
    study_storage._LOCK_SECONDS = float(os.environ.get("LOCK_SECONDS", study_storage._LOCK_SECONDS))
    work(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
