"""A wrong study is refused in one line before a trial starts, and leaves nothing behind."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import optuna
import pytest

from a3c_exp.__main__ import main
from a3c_exp.config.compose import CONFIG_DIR, compose_jobs
from a3c_exp.runs.status import FORMAT
from a3c_exp.runs.study_storage import open_storage
from a3c_exp.sweep.study.config import is_study, read_study_config
from a3c_exp.sweep.study.overrides import expand_overrides, may_be_study
from a3c_exp.sweep.study.planning import StudyPlan, plan
from a3c_exp.sweep.study.sampler_pruner import make_pruner, make_sampler
from a3c_exp.sweep.study.search_space import read_search_space
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run

OPTUNA = ("hydra/sweeper=optuna", "model.actor_hidden=[4]", "model.critic_hidden=[4]", "workers=1")

GRID = "study.sampler={_target_: optuna.samplers.GridSampler, search_space: {gamma: [0.9, 0.99], n_step: [5, 10]}}"
BRUTE_FORCE = "study.sampler={_target_: optuna.samplers.BruteForceSampler}"
POINTS = ("gamma=choice(0.9,0.99)", "n_step=choice(5,10)")


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(*overrides: str) -> StudyPlan:
    study_plan = plan(expand_overrides([*OPTUNA, *overrides]))
    assert study_plan is not None
    return study_plan


@pytest.mark.parametrize("path", sorted((CONFIG_DIR / "study").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_in_the_tree_can_be_run(path: Path) -> None:
    (base,) = compose_jobs([f"+study={path.stem}"], False)
    assert is_study(base.hydra)
    study_config = read_study_config(base.hydra.sweeper, base.config.seed)
    assert study_config.study_name == path.stem and make_sampler(study_config, 0) and make_pruner(study_config)
    space = read_search_space(study_config.params, [f"+study={path.stem}"], None, base.config)
    assert {"gamma", "beta", "n_step", "workers", "optimizer.lr"} <= set(space.distributions)
    (job,) = compose_jobs(space.probes(base.config)[-1], False)
    assert build_run(job.config).setup.workers == max(space.distributions["workers"].choices)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["gama=interval(0.8,0.9)"], "Did you mean gamma?"),
        (["gamma=interval(0.9,1.2)"], "gamma is 1.2, but it is a finite number above 0 and of at most 1"),
        (
            ["parallelism.processes=choice(1,0)"],
            "the search space has values that cannot be run. Leave out parallelism.processes=0",
        ),
        (["seed=choice(1,2)", "study.seeds=3"], "seed is searched and hydra.sweeper.seeds sets it"),
        (["hydra.sweeper.n_trials=1,2"], "cannot be searched: a study tries keys of the run"),
        (["study.custom_search_space=tests.support.spaces.empty"], "suggested nothing"),
        (["study.custom_search_space=tests.support.spaces.broken"], "RuntimeError: this space has a hole"),
        (["study.custom_search_space=tests.support.spaces.gone"], "cannot be imported"),
        (["gamma=interval(0.8,0.9)", "study.storage=journal:nowhere/a.log"], "there is no folder nowhere"),
        ([GRID, "study.n_trials=6", *POINTS], "GridSampler tries every point once, and there are 4. Try study.n_trials=4"),
        ([BRUTE_FORCE, "study.n_trials=6", *POINTS], "BruteForceSampler tries every point once, and there are 4. Try"),
        ([BRUTE_FORCE, "gamma=interval(0.8,0.9)"], "tries every value, and gamma=interval(0.8, 0.9) has no end of them"),
        ([GRID, POINTS[0]], "n_step: GridSampler is to try [5, 10], and the search space has nothing"),
        ([GRID, *POINTS, "beta=choice(0,1)"], "beta: GridSampler is to try nothing, and the search space has choice(0, 1)"),
        ([GRID, POINTS[1], "gamma=interval(0.8,0.95)"], "gamma: GridSampler is to try [0.9, 0.99], and the search space has"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(*overrides)
    text = str(caught.value)
    assert message in text and len(text.splitlines()) == 1, text
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("somewhere", "storage=somewhere is no storage"),
        ("sqlite:////nowhere/at/all.db", "cannot be reached"),
        ("postgresql://me:secret@localhost:1/db", "postgresql://me:***@localhost:1/db"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(storage: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_storage(storage, Path())
    text = str(caught.value)
    assert message in text and "secret" not in text and len(text.splitlines()) == 1


@pytest.mark.skipif(find_spec("psycopg") is not None, reason="this machine has the driver")
def test_a_missing_driver_is_named() -> None:
    with pytest.raises(ConfigError, match=r"No module named 'psycopg'\. Try pip install 'psycopg\[binary\]'"):
        open_storage("postgresql://me@localhost:1/db", Path())


def test_the_storage_of_another_study_is_refused() -> None:
    searched = ("gamma=interval(0.8,0.9)", "study.storage=sqlite:///study.db", "study.study_name=s")
    optuna.create_study(storage="sqlite:///study.db", study_name="s")
    with pytest.raises(ConfigError, match="a study s that a3c_exp did not make"):
        planned(*searched)
    directory = Path("outputs/studies/s")
    (directory / "trial=0").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"trial=0 belongs to a study that .* does not have"):
        planned("gamma=interval(0.8,0.9)", "study.study_name=s")
    (directory / "study.json").write_text(json.dumps({"format": FORMAT, "study_name": "t"}))
    with pytest.raises(ConfigError, match=r"is the directory of study t, not of s.*study.study_name=t"):
        planned("gamma=interval(0.8,0.9)", "study.study_name=s")
    Path("a.journal").write_text("not a journal\nat all\n")
    with pytest.raises(ConfigError, match="is no study's journal"):
        planned("gamma=interval(0.8,0.9)", "study.study_name=u", "study.storage=journal:a.journal")


def test_a_function_may_add_parameters_to_the_space() -> None:
    target = "{_target_: tests.support.spaces.adam_or_sgd, most: 0.5}"
    plan = planned(f"study.custom_search_space={target}", "optimizer.lr=tag(log,interval(1e-4,1e-2))")
    assert plan.signature["custom_search_space"]["most"] == 0.5 and list(plan.signature["space"]) == ["optimizer.lr"]


def test_a_plain_sweep_is_no_study() -> None:
    assert may_be_study(["+study=pendulum"]) and may_be_study(["hydra/sweeper=optuna"]) and not may_be_study(["workers=4,6"])
    assert plan(["+experiment=cartpole_tuned", "workers=4,6"]) is None


def test_a_mistake_on_the_command_line_ends_with_exit_code_2_and_no_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["a3c_exp", *OPTUNA, "gamma=interval(0.8,0.9)", "study.n_trials=0", "-m"])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith("a3c_exp: hydra.sweeper.n_trials is 0")
    assert list(Path().iterdir()) == []
