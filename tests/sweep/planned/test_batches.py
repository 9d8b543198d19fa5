"""An ablation goes on until it knows: the groups that an undecided claim needs get the next seeds, and no others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from a3c_exp.config.compose import ComposedJob, compose_jobs
from a3c_exp.config.trust import is_own
from a3c_exp.runs.sweep_plan import GroupCost, Look, SweepPlan, describe_rest, read_sweep_plan
from a3c_exp.sweep.planned.batches import with_looks, with_next_batch
from a3c_exp.sweep.planned.planning import keep, plan_sweep, reserve, typed_again
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.cli import with_run_directory
from tests.support.command import run
from tests.support.undecided import UNDECIDED, write_ablation


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ablation(tmp_path_factory.mktemp("conf"))


def planned(conf: Path, directory: Path, *overrides: str) -> SweepPlan:
    typed = (*UNDECIDED, *overrides, f"hydra.sweep.dir={directory}")
    jobs, looks = with_looks(compose_jobs(typed, True, [str(conf)]), True)
    assert looks == ["++ablation.report.looks={sizes:[5,7,8],comparisons:2}"]
    plan = plan_sweep(directory, jobs, with_run_directory([*typed, *looks], jobs, multirun=True), [str(conf)])
    assert plan is not None
    return plan


@pytest.fixture(scope="module")
def job(conf: Path) -> ComposedJob:
    (job,) = compose_jobs([*UNDECIDED, "+arm=usual"], True, [str(conf)])
    return job


@pytest.mark.parametrize(
    ("changes", "multirun", "message"),
    [
        ([{}], False, "adds runs to a sweep. Add -m"),
        ([{"num_seeds": 4}], True, r"every group has 4 seeds at first, a verdict takes 5.*Try num_seeds=5"),
        ([{"ablation.max_seeds": 3}], True, "ablation.max_seeds is 3"),
        ([{"ablation.report": {"label": "x"}}], True, r"\+ablation=tiny has none"),
        ([{"num_seeds": 1, "seed": 0}, {"num_seeds": 1, "seed": 2}], True, "as many consecutive seeds in every group"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_anything_runs(
    job: ComposedJob, changes: list[dict[str, object]], multirun: bool, message: str
) -> None:
    jobs = [replace(job, config=job.config.copy()) for _ in changes]
    for one, values in zip(jobs, changes, strict=True):
        for key, value in values.items():
            OmegaConf.update(one.config, key, value, merge=False)
    with pytest.raises(ConfigError, match=message) as caught:
        with_looks(jobs, multirun)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stacked", [True, False])
def test_the_next_batch_is_of_the_groups_that_wait_with_seeds_that_follow(conf: Path, tmp_path: Path, stacked: bool) -> None:
    single = ("+arm=again", "parallelism=hogwild", "num_seeds=1", "seed=range(5)")
    plan = planned(conf, tmp_path, *(["+arm=again,usual"] if stacked else single))
    assert plan.look_sizes == (5, 7, 8) and plan.batches == ((2 if stacked else 5),)
    waiting = tuple(job.folder for job in plan.jobs if plan.values_of(job)["ablation.arm"] == "again")[:1]
    costs = (GroupCost("a", 5, 450.0, 1.0),)
    plan = replace(plan, looks=(Look(5, 2, ("x",), waiting, costs),))
    after = with_next_batch(plan)
    added = after.jobs[len(plan.jobs) :]
    first = 50 if stacked else 0
    values = [
        (after.values_of(job)["seed"], after.values_of(job)["num_seeds"], after.values_of(job)["ablation.arm"]) for job in added
    ]
    assert values == ([(first + 5, 2, "again")] if stacked else [(5, 1, "again"), (6, 1, "again")])
    assert [job.number for job in after.jobs] == list(range(len(after.jobs))) and after.first_jobs == plan.jobs
    assert typed_again(after, plan) == after
    after.write()
    assert read_sweep_plan(tmp_path) == after
    last = with_next_batch(replace(after, looks=(*after.looks, *after.looks)))
    assert [last.values_of(job)["seed"] for job in last.jobs[len(after.jobs) :]] == [first + 7]


def test_a_strangers_plan_does_not_become_ones_own_by_growing(conf: Path, tmp_path: Path) -> None:
    plan = planned(conf, tmp_path / "mine", "+arm=usual")
    reserve(plan)
    keep(replace(plan, batches=(1,)))
    assert is_own(plan.path)
    theirs = replace(plan, directory=tmp_path, command="not typed here")
    theirs.write()
    keep(replace(theirs, batches=(1,)))
    assert not is_own(theirs.path) and read_sweep_plan(tmp_path).batches == (1,)


def test_it_goes_on_by_itself_and_after_an_interruption_to_the_same_seeds(conf: Path, tmp_path: Path) -> None:
    own = ("ablation.max_seeds=7", "hydra/launcher=basic", "hydra.sweep.dir=swept", "--config-dir", str(conf))
    ended = run(*UNDECIDED, *own, "-m", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "look 1 of 2, 5 seeds: 1 of 2 verdicts decided; 2 more seeds each for 2 groups" in ended.stderr
    assert "undecided: 1. Other seeds end better, as configured, by evaluation" in ended.stderr
    assert "as configured, idle: 5 seeds, 450 environment steps" in ended.stderr
    assert "all: 19 runs, 1,710 environment steps" in ended.stderr
    swept, folders = tmp_path / "swept", ["+arm=again,seed=55", "+arm=usual,seed=5"]
    assert sorted(path.name for path in swept.glob("*,seed=*")) == folders
    config = yaml.safe_load((swept / folders[0] / "seed=56" / ".hydra" / "config.yaml").read_text())
    assert config["ablation"]["report"]["looks"] == {"sizes": [5, 7], "comparisons": 2}
    for job in read_sweep_plan(swept).jobs:
        assert json.loads((swept / job.folder / "run.json").read_text())["overrides"] == list(job.overrides)

    plan = read_sweep_plan(swept)
    assert describe_rest(plan) == ""
    keep(replace(plan, jobs=plan.jobs[:3], batches=(3,), looks=()))  # as if it had been killed before the first look
    (swept / folders[0]).rename(tmp_path / folders[0])
    assert "all runs of 1 of 2 batches have ended, and a look at them is due. Go on with them: python" in describe_rest(
        read_sweep_plan(swept)
    )
    first = (swept / "+arm=usual" / "run.json").read_bytes()
    ended = run("resume=swept", "hydra/launcher=basic", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert read_sweep_plan(swept).jobs == plan.jobs and read_sweep_plan(swept).looks[1].undecided == plan.looks[1].undecided
    assert (swept / "+arm=usual" / "run.json").read_bytes() == first
    digests = [
        json.loads((path / folders[0] / "seed=55" / "summary.json").read_text())["weights_digest"] for path in (swept, tmp_path)
    ]
    assert digests[0] == digests[1]
