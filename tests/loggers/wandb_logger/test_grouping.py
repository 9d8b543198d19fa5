"""Seeds of one curve share a group and a job type in W&B, and runs of different curves do not."""

from pathlib import Path
from typing import Any

import pytest

from a3c_exp.config.budget import Budget
from a3c_exp.loggers.base import RunInfo
from a3c_exp.loggers.placement import placement


def info(name: str, group: str | None = "a_sweep", tags: tuple[str, ...] = (), **config: Any) -> RunInfo:
    return RunInfo(Path("run"), name, group, "sweep" if group else "train", tags, config, Budget(max_episodes=1))


@pytest.mark.parametrize(
    ("run", "group", "job_type"),
    [
        (info("12-00-00_pendulum", None), None, "train"),
        (info("workers=4,seed=0"), "a_sweep", "workers=4"),
        (info("workers=4,optimizer.lr=0.1,seed=12"), "a_sweep", "workers=4 optimizer.lr=0.1"),
        (info("seed=3"), "a_sweep", "sweep"),
        (info("e4320a"), "a_sweep", "sweep"),
        (info("workers=4/seed=1"), "a_sweep", "sweep"),
        (info("control=fair,arm=workers_6,seed=1", ablation={"name": "worker_count", "control": "fair", "arm": "workers_6"}),
         "worker_count (fair)", "workers_6"),
        (info("control=fair,workers=8", ablation={"name": "worker_range", "control": "fair", "arm": None}),
         "worker_range (fair)", "workers=8"),
        (info("n_step=5", ablation={"name": "n_step"}), "n_step", "n_step=5"),
        (info("trial=7", "pendulum", ablation={"name": None, "arm": None}), "study pendulum", "trial"),
        (info("trial=7/seed=1", "pendulum", ablation=None), "study pendulum", "trial"),
        (info("workers=4", ablation="odd"), "a_sweep", "workers=4"),
    ],
)  # fmt: skip
def test_runs_of_one_curve_share_group_and_job_type(run: RunInfo, group: str | None, job_type: str) -> None:
    assert placement(run)[:2] == (group, job_type)


def test_nothing_is_longer_than_wandb_takes() -> None:
    group, job_type, tags = placement(
        info("x=" + "y" * 500, "g" * 500, ("t" * 500, ""), ablation={"name": "a" * 500, "arm": "b" * 500})
    )
    assert len(group or "") <= 128
    assert max(map(len, (job_type, *tags))) <= 64
    assert "" not in tags
