"""The ablations as configurations: groups, controls and seeds are those that the report had, or that it lacked."""

from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from a3c_exp.config.ablation import read_ablation_report
from a3c_exp.config.compose import CONFIG_DIR, ComposedJob, compose_jobs
from a3c_exp.report.ablations.comparisons import find_comparisons
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.run_reader import read_runs
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.command import record, run

ABLATIONS = sorted(path.stem for path in (CONFIG_DIR / "ablation").glob("*.yaml"))


@cache
def swept(name: str) -> dict[str, list[str]]:
    """What an ablation sweeps by itself."""
    params = yaml.safe_load((CONFIG_DIR / "ablation" / f"{name}.yaml").read_text())["hydra"]["sweeper"]["params"]
    return {key: value.split(",") for key, value in params.items()}


def one(*overrides: str) -> ComposedJob:
    (job,) = compose_jobs(overrides, multirun=True)
    return job


GROUPS = {
    "steps_4000": (12, 1000, 4000),
    "steps_3000": (12, 1000, 3000),
    "steps_500": (12, 1000, 500),
    "workers_12": (12, 1000, 4000),
    "workers_6": (6, 500, 4000),
    "workers_4": (4, 1000, 4000),
}
"""Workers, episodes and steps of an episode, from the published report's section 4."""


def test_the_groups_are_the_reports() -> None:
    files = {path.stem: yaml.safe_load(path.read_text()) for path in (CONFIG_DIR / "arm").glob("*.yaml")}
    assert {name: (arm["workers"], arm["max_episodes"], arm["max_episode_steps"]) for name, arm in files.items()} == GROUPS
    assert all(arm["ablation"]["arm"] == name for name, arm in files.items())
    assert swept("max_episode_steps")["arm"] + swept("worker_count")["arm"] == list(GROUPS)


@pytest.mark.parametrize("arm", ["steps_500", "workers_6"])
def test_a_published_group_is_the_reports_preset(arm: str) -> None:
    workers, episodes, steps = GROUPS[arm]
    ablation = "max_episode_steps" if arm.startswith("steps") else "worker_count"
    config = one(f"+ablation={ablation}", f"arm={arm}", "control=published").config
    assert (config.workers, config.max_episodes, config.max_episode_steps) == (workers, episodes, steps)
    assert (config.gamma, config.beta, config.n_step, config.optimizer.lr) == (0.9, 0.005, 10, 1e-4)
    assert list(config.optimizer.betas) == [0.96, 0.999]
    assert not config.bootstrap_on_truncation and config.num_seeds == 10
    assert config.parallelism._target_.endswith("Deterministic")
    assert (config.ablation.name, config.ablation.arm, config.ablation.control) == (ablation, arm, "published")
    assert config.evaluation.every_env_steps * 40 == episodes * steps  # forty points, however long the run


def test_each_control_changes_what_it_says_and_can_be_assembled() -> None:
    ablation = "max_episode_steps"
    first, *_, last = swept(ablation)["arm"]
    configs = {}
    for job in compose_jobs([f"+ablation={ablation}", f"arm={last}"], multirun=True):
        configs[job.config.ablation.control] = job.config
    assert build_run(configs["own_limit"]).setup.seeds == range(200, 210)
    assert list(configs) == swept(ablation)["control"]
    base = configs["published"]
    assert configs["bootstrapped"].bootstrap_on_truncation and configs["bootstrapped"].max_episodes == base.max_episodes
    for name, bootstraps in (("equal_steps", False), ("fair", True)):
        assert configs[name].max_env_steps == 4_000_000 and configs[name].max_episodes is None
        assert configs[name].bootstrap_on_truncation is bootstraps
        assert configs[name].max_episode_steps == base.max_episode_steps
    assert configs["own_limit"].max_episode_steps == 200
    other = one(f"+ablation={ablation}", f"arm={first}", "control=own_limit").config
    assert (
        abs(other.seed - configs["own_limit"].seed) >= 10
    )  # no seed in common, or groups that are the same would be the same runs
    assert base.seed == configs["fair"].seed == 0


def test_the_tuned_control_has_the_settings_of_the_tuned_experiment() -> None:
    control = one("+ablation=max_episode_steps", "arm=steps_4000", "control=tuned").config
    experiment = one("+experiment=pendulum_tuned").config
    for key in ("gamma", "beta", "n_step", "workers", "optimizer.lr", "lr_schedule", "max_env_steps"):
        assert OmegaConf.select(control, key) == OmegaConf.select(experiment, key), key
    assert control.bootstrap_on_truncation and control.max_episode_steps == 4000
    assert control.max_env_steps == 40 * control.evaluation.every_env_steps


def test_equal_updates_are_equal_steps_where_windows_divide_episodes() -> None:
    """Why it is not in the default sweep of the report's two comparisons."""
    updates = one("+ablation=worker_count", "arm=workers_6", "control=equal_updates").config
    steps = one("+ablation=worker_count", "arm=workers_6", "control=equal_steps").config
    assert updates.max_updates * updates.n_step == steps.max_env_steps
    assert updates.max_env_steps is None and updates.max_episodes is None
    for arm in swept("max_episode_steps")["arm"]:
        assert int(arm.removeprefix("steps_")) % updates.n_step == 0


def test_the_number_of_workers_and_their_staleness_are_told_apart() -> None:
    assert one("+ablation=worker_count", "arm=workers_4", "control=same_lag").config.parallelism.lag == 11
    config = one("+ablation=staleness", "parallelism.lag=3").config
    assert config.workers == 12 and config.max_env_steps == 4_000_000 and config.bootstrap_on_truncation
    assert set(swept("staleness")["parallelism.lag"]) >= {"3", "5", "11"}  # of 4, 6 and 12 workers
    assert swept("worker_range")["workers"] == ["1", "2", "4", "6", "8", "12", "16", "32"]
    assert one("+ablation=worker_range", "workers=32").config.max_env_steps == 4_000_000


def test_real_asynchrony_is_a_job_a_seed() -> None:
    control = yaml.safe_load((CONFIG_DIR / "control" / "hogwild.yaml").read_text())
    assert control["hydra"]["sweeper"]["params"] == {"seed": "range(10)"}
    with pytest.raises(ConfigError, match="sweep over seed"):  # so it reaches the sweep
        compose_jobs(["+ablation=worker_count", "control=hogwild", "arm=workers_4"], multirun=False)
    config = one("+ablation=worker_count", "control=hogwild", "arm=workers_4", "seed=9").config
    assert (config.seed, config.num_seeds) == (9, 1)
    assert config.parallelism._target_.endswith("Hogwild")
    assert build_run(config).setup.workers == 4


def test_the_window_is_varied_on_two_tasks_for_equal_steps_and_equal_updates() -> None:
    assert swept("n_step")["n_step"] == ["1", "5", "10", "15", "20", "50"]
    jobs = {job.config.ablation.control: job for job in compose_jobs(["+ablation=n_step", "n_step=20"], multirun=True)}
    assert [job.env for job in jobs.values()] == ["pendulum", "pendulum", "cartpole", "cartpole"]
    for name, job in jobs.items():
        config = job.config
        assert config.num_seeds == 10 and config.n_step == 20
        assert (config.max_env_steps is None) == name.endswith("updates") == (config.max_updates is not None)
    assert build_run(jobs["cartpole_updates"].config).setup.num_seeds == 10
    assert jobs["cartpole_steps"].config.parallelism._target_.endswith("Synchronous")


def test_what_is_typed_wins_over_groups_and_controls() -> None:
    job = one("+ablation=worker_count", "arm=workers_4", "control=fair", "workers=3", "max_env_steps=99", "env.backend=tensor")
    assert (job.config.workers, job.config.max_env_steps, job.config.env.backend) == (3, 99, "tensor")
    assert job.title == "worker_count_ablation"


def test_an_ablation_without_m_is_refused_with_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"sweep over control and arm. Add -m .* control=published arm=workers_12"):
        compose_jobs(["+ablation=worker_count"], multirun=False)
    with pytest.raises(ConfigError, match=r"sweep over control\. Add -m"):
        compose_jobs(["+ablation=worker_count", "arm=workers_4"], multirun=False)
    (job,) = compose_jobs(["+ablation=worker_count", "arm=workers_4", "control=fair"], multirun=False)
    assert job.config.workers == 4


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_and_control_has_words_for_a_page(name: str) -> None:
    for job in compose_jobs([f"+ablation={name}"], multirun=True):
        report = read_ablation_report(job.config.ablation.report)
        assert report.label and report.control.title and report.control.description
        assert bool(report.varied) == (job.config.ablation.arm is None)
        arms = set(swept(name).get("arm", ())) | set(report.stands_for.values())
        assert all(arm in arms for claim in report.claims.values() for change in claim.changes for arm in change)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "ablation.report.claims.short_limit.parts=[{text: x, quantity: speed, effect: raises}]",
            "expected one of .*variability",
        ),
        ("+ablation.report.claims.new={number: 5, title: x, changes: [[a]], parts: []}", r"new.changes is .* pair of arms"),
        ("+ablation.report.labl=x", "labl"),
    ],
)
def test_a_mistake_in_the_words_of_an_ablation_is_refused_before_anything_runs(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_jobs(["+ablation=max_episode_steps", "arm=steps_500", "control=fair", override], False)


def test_the_command_runs_the_whole_sweep_and_analysis_finds_it(tmp_path: Path) -> None:
    """Hydra's own sweep and the jobs that were checked before it are the same."""
    small = ("workers=1", "num_seeds=2", "max_episodes=2", "model.actor_hidden=[8]", "model.critic_hidden=[8]", "logger=none")
    done = run(
        "+ablation=max_episode_steps", "control=own_limit", *small, "evaluation.episodes=1", "evaluation.every_env_steps=200",
        "-m", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "outputs").glob("*/*")
    assert sweep.name.endswith("_max_episode_steps_ablation")
    folders = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    assert folders == ["arm=steps_3000", "arm=steps_4000", "arm=steps_500"], "named by what differs between them"
    assert record(sweep / folders[0])["group"] == sweep.name
    runs = read_runs([sweep])
    (protocol,) = find_comparisons(runs)
    assert (protocol.ablation, protocol.control, protocol.axis) == ("max_episode_steps", "own_limit", "episode")
    assert list(protocol.arms) == ["steps_4000", "steps_3000", "steps_500"]
    seeds = [run.seed for runs in protocol.arms.values() for run in runs]
    assert seeds == ["0", "1", "100", "101", "200", "201"]
    section = build_ablation_section(runs, draw_figures=False)
    assert section is not None and {verdict.decision for verdict in section.verdicts} == {"undecided"}
    assert "at least 5 finished seeds" in section.lead
