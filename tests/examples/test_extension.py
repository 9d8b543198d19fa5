"""Extensions, used as a user would: commands run in a copy of examples/ outside the repository."""

import csv
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from a3c_examples.airship import Airships
from a3c_examples.evaluation_table import EvaluationTable

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.config.budget import Budget
from a3c_exp.config.compose import compose_jobs
from a3c_exp.loggers.base import RunInfo
from a3c_exp.runs.log_records import EvaluationRecord
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import RunComponents, build_run
from a3c_exp.training.checkpoint import digest
from a3c_exp.training.run_tracker import NEVER_DUE
from tests.support.command import ROOT, lines, record, run, summary
from tests.support.single_process import ROUNDS_ALIKE

EXAMPLES = ROOT / "examples"
YAMLS = sorted(path for path in (EXAMPLES / "conf").glob("*/*.yaml") if path.parent.name != "ablation")
OWN_LEARNERS = ("env=airship", "model=fourier", "optimizer=lion")
ALL_FIVE = (*OWN_LEARNERS, "parallelism=bulk_synchronous", "logger=evaluation_table")
FROM_HERE = ("--config-dir", "conf")


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of examples/ outside the repository, in a folder whose name Hydra's grammar would trip over."""
    folder = tmp_path_factory.mktemp("away") / "it's mine, v=1"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    return folder


@pytest.fixture(scope="module")
def random_policy_return() -> float:
    """Mean return of 200 airships with random actions."""
    airships, rng = Airships(200), np.random.default_rng(0)
    for k in range(200):
        airships.reset(k, k)
    active, returns = np.ones(200, np.bool_), np.zeros(200)
    for _ in range(200):
        airships.step(rng.uniform(-1, 1, (200, 1)), active)
        returns += airships.reward * active
        active &= ~airships.terminated
    return float(returns.mean())


def rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "evaluations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def composed(*overrides: str) -> RunComponents:
    """The components that these overrides describe, built in this process."""
    (job,) = compose_jobs(overrides, multirun=False, config_dirs=[str(EXAMPLES / "conf")])
    return build_run(job.config)


def trained(components: RunComponents, states: Sequence[TrainingState]) -> list[TrainingState]:
    """Each seed's state when the budget of updates is exhausted."""
    parallelism, seeds = components.parallelism, range(len(states))
    parallelism.start(components.setup, states)
    for _ in range(100):
        parallelism.advance(1.0, [NEVER_DUE for _ in seeds])
        if all(parallelism.counts(index).updates == components.setup.budget.max_updates for index in seeds):
            break
    else:
        raise AssertionError("the budget of updates is never exhausted")
    snapshots = [parallelism.snapshot(index)[0] for index in seeds]
    parallelism.stop()
    return snapshots


# --config-dir stands before, between and after the overrides in the next three tests: all positions are allowed.


def test_five_extensions_learn_together(away: Path, random_policy_return: float) -> None:
    seeds = ("num_seeds=3", "max_env_steps=20_000", "evaluation.every_env_steps=10_000")
    ended = run(*FROM_HERE, *ALL_FIVE, *seeds, "hydra.run.dir=learn", cwd=away)
    assert ended.returncode == 0, ended.stderr
    for seed in range(3):
        result = summary(away / "learn" / f"seed={seed}")
        # Measured on 15 seeds: at least 103 and 150 on average; random actions have 20, and 200 is the maximum.
        assert result["evaluation"]["mean"] > 3 * random_policy_return, f"seed {seed}"
        assert result["env_steps"] == 20_000
        lag = result["policy_lag"]
        assert (lag["mean"], lag["max"], len(set(lag["histogram"][:8]))) == (3.5, 7, 1), "0 to N - 1, equally often"
    table = rows(away / "learn")
    assert [int(row["env_step"]) for row in table] == [10_000, 20_000]
    assert set(table[0]) == {"env_step", "mean", "ci_low", "ci_high"}


def test_a_run_of_extensions_that_stops_within_a_round_resumes_exactly(away: Path) -> None:
    settings = ("evaluation.every_env_steps=1000", "evaluation.episodes=2", "lr_schedule=constant", "max_env_steps=null")
    # 203 updates are 25 rounds of 8 workers and 3 pushes of the next.
    begun = run(*ALL_FIVE, *FROM_HERE, *settings, "max_updates=203", "hydra.run.dir=parts", cwd=away)
    resumed = run("resume=parts", "max_updates=300", cwd=away)
    for ended in (begun, resumed):
        assert ended.returncode == 0, ended.stderr
    components = composed(*ALL_FIVE, *settings, "max_updates=300")
    (whole,) = trained(components, components.initial_states)
    assert summary(away / "parts")["weights_digest"] == digest(whole.weights)
    assert summary(away / "parts")["env_steps"] == whole.env_steps
    first, second = record(away / "parts")["sessions"]
    steps = [int(row["env_step"]) for row in rows(away / "parts")]
    assert first["from_env_step"] == 0 and second["from_env_step"] in steps
    assert steps == sorted(set(steps)) and len(steps) == len(lines(away / "parts" / "evaluations.jsonl"))


def test_seeds_of_a_custom_parallelism_do_not_affect_each_other() -> None:
    """Bit for bit with dense layers; a matrix that is no weight, as Fourier's, is multiplied with all seeds' rows at once."""
    chosen = (*(part for part in ALL_FIVE if part != "model=fourier"), "model=shared_mlp", "max_updates=90")
    both, alone = (composed(*chosen, *seeds) for seeds in (["num_seeds=2"], ["seed=1"]))
    (_, stacked), (single,) = trained(both, both.initial_states), trained(alone, alone.initial_states)
    assert stacked.env_steps == single.env_steps
    if ROUNDS_ALIKE:  # otherwise Lion, which looks at signs, may turn a rounding into a step
        assert torch.equal(stacked.weights, single.weights)


def test_the_last_episode_of_a_budget_counts_once_although_a_checkpoint_split_its_round() -> None:
    """Reserved tickets, and episodes that ended in windows that are not pushed yet, are part of a checkpoint."""
    limits = ("max_env_steps=null", "max_episodes=25", "max_episode_steps=12")
    settings = (*limits, "window_ends_with_episode=true", "lr_schedule=constant")  # rounds of 10 and of 2 steps
    whole = composed(*ALL_FIVE, *settings, "max_updates=500")
    parallelism = whole.parallelism
    parallelism.start(whole.setup, whole.initial_states)
    parallelism.advance(30.0, [NEVER_DUE])
    assert parallelism.counts().episodes == 25 and parallelism.counts().updates < 500
    parallelism.stop()
    for cut in (11, 43):
        part = composed(*ALL_FIVE, *settings, f"max_updates={cut}")
        states = trained(part, part.initial_states)
        assert any(pending and pending["ended"] for pending in states[0].parallelism_state["pending_gradients"]), (
            "the checkpoint falls between two rounds"
        )
        rest = composed(*ALL_FIVE, *settings, "max_updates=500")
        rest.parallelism.start(rest.setup, states)
        rest.parallelism.advance(30.0, [NEVER_DUE])
        assert rest.parallelism.counts() == parallelism.counts(), f"cut after {cut} updates"
        assert torch.equal(rest.parallelism.weights(), parallelism.weights())
        rest.parallelism.stop()


def test_worker_processes_and_evaluate_find_custom_classes(away: Path) -> None:
    chosen = ("logger=none", "workers=4", "parallelism=hogwild", "parallelism.processes=2", "hydra.run.dir=hogwild")
    short = ("max_env_steps=2_000", "evaluation.episodes=2", "evaluation.every_env_steps=null")
    ended = run(*OWN_LEARNERS, *chosen, *short, *FROM_HERE, cwd=away)
    assert ended.returncode == 0, ended.stderr
    assert summary(away / "hogwild")["env_steps"] == 2_000
    ended = run("hogwild", "--episodes", "2", module="a3c_exp.evaluate", cwd=away)
    assert ended.returncode == 0, ended.stderr
    assert "mean return" in ended.stdout


def test_the_rendered_frame_shows_where_the_airship_is() -> None:
    airships = Airships(1, render_mode="rgb_array")
    airships.reset(0, 0)
    centers = []
    for thrust in (-1.0, 1.0):
        for _ in range(15):
            airships.step(np.array([[thrust]]), np.ones(1, np.bool_))
        image = airships.render()
        assert image.shape == (64, 256, 3) and image.dtype == np.uint8
        centers.append((image[30] == (180, 30, 30)).all(axis=-1).nonzero()[0].mean() - 128)
        assert centers[-1] == pytest.approx(55 * float(airships.observation[0, 0]), abs=2)
    assert centers[0] < 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["env.gusst=1"], "there is no key env.gusst. Did you mean env.gust?"),
        (["+env.gusst=1"], "env.gusst is not a key of Airships. It takes gust. Did you mean env.gust?"),
        (["env.gust=strong"], "env.gust is 'strong'"),
        (["env.gust=-1"], "Try env.gust=0.5"),
        (["env=airshp"], "Did you mean env=airship?"),
        (["model=fourier", "model.order=40"], "Try model.order=1"),
        (["env=gymnasium", "model=fourier"], "needs a bounded vector"),
        (["optimizer=lion", "optimizer.bettas=[0,0]"], "Did you mean optimizer.betas?"),
        (["optimizer=lion", "+optimizer.momentum=1"], "It takes lr, betas, weight_decay"),
        (["optimizer=lion", "optimizer.lr=0"], "Try optimizer.lr=1e-3"),
        (["parallelism=bulk_synchronous", "+parallelism.speeds=equal"], "It takes env_processes"),
        (["logger=evaluation_table", "logger.columns=[avg]"], "the columns are update, wall_time"),
    ],
)
def test_a_mistake_with_an_extension_is_explained_like_one_with_a_built_in_part(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        composed("env=airship", *overrides)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_class_or_folder_that_is_not_found_says_where_to_start_the_command() -> None:
    with pytest.raises(ConfigError, match=r"folder that holds missing_package, or name that folder in PYTHONPATH$"):
        composed("env._target_=missing_package.windy.Environments", "~env.id", "~env.backend", "~env.kwargs")
    with pytest.raises(ConfigError, match=r"--config-dir nowhere: there is no such folder"):
        compose_jobs(["env=airship"], multirun=False, config_dirs=["nowhere"])


def test_a_config_folder_may_have_any_name(away: Path) -> None:
    (job,) = compose_jobs(["env=airship"], multirun=False, config_dirs=[str(away / "conf")])
    assert job.config.env.gust == 0.5 and "'" in str(away) and "=" in str(away)


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_example_begins_with_a_command_that_runs(path: Path) -> None:
    command = next(line for line in path.read_text().splitlines() if "@package" not in line)
    prefix = "# python -m a3c_exp --config-dir conf "
    assert command.startswith(prefix), command
    overrides = command.removeprefix(prefix).split()
    assert f"{path.parent.name}={path.stem}" in overrides
    assert composed(*overrides).setup.workers == 8


def test_each_kind_of_extension_has_an_example_and_the_package_names_none() -> None:
    assert {path.parent.name for path in YAMLS} == {"env", "model", "optimizer", "parallelism", "logger"}
    assert not [file for file in (ROOT / "a3c_exp").rglob("*.py") if "a3c_examples" in file.read_text()]


def test_a_full_disk_does_not_end_a_run(tmp_path: Path) -> None:
    messages: list[str] = []
    table = EvaluationTable(columns=["mean"], on_message=messages.append)
    (tmp_path / "evaluations.csv").mkdir()  # which cannot be opened for writing, not even by root
    table.start(RunInfo(tmp_path, "n", None, "train", (), {}, Budget(None, 10, None)))
    table.evaluation(EvaluationRecord(10, 1, 0.1, 1, True, 3.0, 0.0, 3.0, 3.0, 3.0, 3.0, 3.0, 5.0))
    assert len(messages) == 1 and "continues without it" in messages[0]


def test_code_on_the_page_is_code_of_the_examples() -> None:
    """Each block follows a link to the example that it is taken from, line by line."""
    page = (ROOT / "docs" / "extending.md").read_text()
    blocks = re.findall(r"^```(python|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    sourced = re.findall(
        r"\[examples/(\S+)\]\(\.\./examples/(\S+)\):\n\n```(?:python|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    assert len(blocks) == len(sourced) >= 10, "a block of code without a source may be wrong"
    for name, link, code in sourced:
        assert name == link
        source = written((EXAMPLES / name).read_text())
        for piece in re.split(r"^ *\.\.\.\n", code, flags=re.MULTILINE):
            shown = written(piece)
            stands = any(written("\n".join(source[i : i + len(shown)])) == shown for i in range(len(source)))
            assert shown and stands, f"{name} does not hold:\n{piece}"
    kinds = {Path(name).parts[-2] for name, _, _ in sourced if name.endswith(".yaml")}
    assert kinds == {"env", "model", "optimizer", "parallelism", "logger"}


def written(code: str) -> list[str]:
    """The lines of a piece of code, but for what encloses it and for empty ones, which a formatter adds and takes."""
    return [line for line in textwrap.dedent(code).splitlines() if line.strip()]
