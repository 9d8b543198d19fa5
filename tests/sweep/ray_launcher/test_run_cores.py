"""How many cores of a Ray cluster runs take that have processes of their own there, and when there are never enough."""

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.sweep.ray_launcher import run_cores
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.ray_launcher.run_cores import RunCores, check_room
from a3c_exp.system.errors import ConfigError

HERE, THERE = "127.0.0.1:1", "127.0.0.1:2"
SEEDS = ("parallelism=deterministic", "num_seeds=6", "parallelism.on=ray")
WORKERS = ("parallelism=ray", "workers=4", "parallelism.cpus=2")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("parallelism=deterministic", "num_seeds=2", "parallelism.processes=2"), RunCores(2)),
        ((*SEEDS, "parallelism.processes=4", f"parallelism.address={THERE}"), RunCores(1)),
        ((*SEEDS, "parallelism.processes=4", "parallelism.address=local"), RunCores(1)),
        ((*SEEDS, "parallelism.processes=4", f"parallelism.address={HERE}"), RunCores(1, 3, 1, "parallelism.on=local")),
        ((*SEEDS, "parallelism.seed_block=1", "parallelism.address=auto"), RunCores(1, 6, 1, "parallelism.on=local")),
        ((*WORKERS, f"parallelism.address={HERE}"), RunCores(1, 1, 2, "parallelism=parameter_server")),
        (
            (*WORKERS, f"parallelism.address={HERE}", "parallelism.processes=9"),
            RunCores(1, 4, 2, "parallelism=parameter_server"),
        ),
    ],
)
def test_a_run_takes_its_own_cores_and_those_of_what_it_places_on_the_same_cluster(
    overrides: tuple[str, ...], expected: RunCores
) -> None:
    (job,) = compose_jobs([*overrides], multirun=False)
    assert RunCores.of(job.config, RayLauncherConfig(address=HERE)) == expected


@pytest.mark.parametrize(
    ("cores", "nodes", "runs", "fits"),
    [
        (RunCores(1, 4), [2], 1, True),  # with one process at a time
        (RunCores(1, 4), [1], 1, False),
        (RunCores(1, 4), [1, 1], 2, False),
        (RunCores(2, 4), [1, 1], 1, True),  # a run gets no more cores than a node has
        (RunCores(1, 1, 2), [2, 1], 1, False),
        (RunCores(1, 1, 2), [2, 2], 1, True),
        (RunCores(1, 1, 2), [2, 2], 2, False),
    ],
)
def test_a_run_fits_where_one_of_its_processes_does_too(cores: RunCores, nodes: list[int], runs: int, fits: bool) -> None:
    assert cores.fits(nodes, runs) is fits


def test_what_would_wait_for_its_own_cores_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cores, "check_cluster", lambda *_: None)
    monkeypatch.setattr(run_cores, "cluster_cores", lambda *_: [1, 1])
    overrides = [*SEEDS, "parallelism.processes=4", f"parallelism.address={HERE}"]
    config, keys = compose_jobs(overrides, multirun=False)[0].config, RayLauncherConfig(address=HERE)
    check_room(keys, [config])
    with pytest.raises(
        ConfigError, match=r"have 1 and 1 cores\. There 2 runs at a time take 1 each .* or try parallelism\.on=local"
    ):
        check_room(keys, [config], at_a_time=2)
