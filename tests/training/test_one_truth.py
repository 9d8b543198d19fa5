"""What a run is, is one truth: whatever a resume changes or the surroundings say, all that tells of the run tells the same."""

import shutil
from pathlib import Path

import pytest
import yaml

from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.provenance import origins
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.details import details_csv
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.resume import resumed_config, saved_config
from tests.support.command import record, run
from tests.support.trained import SMALL


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose seed and tags came from its surroundings, which have changed since."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEED", "3")
        surroundings = ("seed=${oc.env:SEED}", "tags=['${hydra:runtime.choices.env}','${now:%f}']")
        ended = run(*SMALL, "logger=none", *surroundings, "hydra.run.dir=run", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


def saved(directory: Path) -> dict[str, object]:
    config: dict[str, object] = yaml.safe_load((directory / ".hydra" / "config.yaml").read_text())
    return config


def test_what_came_from_the_surroundings_is_saved_as_it_was(finished: Path) -> None:
    assert saved(finished)["seed"] == record(finished)["seed"] == saved_config(finished).seed == 3
    assert saved(finished)["reductions"]["policy"] == "${reduction}"  # a reference to a key stays one
    group, microseconds = saved(finished)["tags"]
    assert group == "gymnasium" and microseconds.isdigit()
    ended = run(str(finished), "--episodes", "1", module="a3c_exp.evaluate", cwd=finished.parent)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ("seed=5", "keeps its seed, which is 3"),
        ("seed=${oc.env:SEED}", "SEED"),
        ("num_seeds=2", "keeps its num_seeds, which is 1"),
        ("env.id=Acrobot-v1", "keeps its env.id, which is CartPole-v1"),
        ("workers=3", "keeps its workers, which is 2"),
        ("env.frame_skip=2", "keeps its env.frame_skip, which is 1"),
        ("env.braking_steps=2", "has no key env.braking_steps. Leave it out, or start a new run"),
        (
            "optimizer._target_=a3c_exp.optimizers.sgd.SGD",
            "keeps its optimizer._target_, which is a3c_exp.optimizers.adam.Adam",
        ),
    ],
)
def test_a_resume_cannot_make_another_run_of_it(override: str, kept: str, finished: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resumed_config(finished, [override, "max_env_steps=900"])
    assert kept in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert resumed_config(finished, ["seed=3", "env.id=CartPole-v1"]).seed == 3  # which changes nothing


def test_what_no_longer_fits_a_checkpoint_is_named(finished: Path) -> None:
    """As after env.frame_stack=3, or a model with other layers."""
    ended = run(f"resume={finished}", "normalize.observation=false", "max_env_steps=900", cwd=finished.parent)
    assert ended.returncode == 2 and "Leave out normalize.observation=false (it was true)" in ended.stderr, ended.stderr


def test_what_a_resume_changes_is_told_alike_with_what_it_was_before(finished: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(finished, tmp_path / "run"))
    ended = run("resume=run", "gamma=0.5", "max_env_steps=600", "seed=3", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "goes on with gamma=0.5, which was 0.99" in ended.stderr + ended.stdout
    about, summary = record(where), RunSummary(where)
    assert about["sessions"][-1]["changed"] == {"gamma": [0.99, 0.5], "max_env_steps": [400, 600]}
    assert {"gamma=0.5", "max_env_steps=600"} <= set(about["overrides"]) and "max_env_steps=400" not in about["overrides"]
    assert saved(where)["gamma"] == summary.value("gamma") == 0.5
    assert summary.changes == ("gamma from 0.99 to 0.5 at step 400", "max_env_steps from 400 to 600 at step 400")
    assert "changed,gamma from 0.99 to 0.5 at step 400" in details_csv(summary)
    assert "gamma from 0.99 to 0.5 at step 400" in str(
        dict(origins(group_by_configuration([RunData(where)])))["Changed by a resume"]
    )
