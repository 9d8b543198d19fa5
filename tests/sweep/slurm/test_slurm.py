"""A sweep on a real Slurm goes on by itself after whatever interrupts its jobs: every run once, and to the same last bit."""

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from a3c_exp.runs.lease.locking import locked
from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs
from tests.support.command import record, run, start
from tests.support.forked_commands import ForkedCommand
from tests.support.interruptions import Sleepy, same_run
from tests.support.slurm_cluster import SlurmCluster, why_not
from tests.support.undecided import UNDECIDED, write_ablation

RUN = (
    "env=cartpole", "workers=2", "logger=none", "model.hidden=[6]", "max_updates=null", "evaluation.episodes=2",
    "truncation=end", "max_episode_steps=30", "checkpoint.every_env_steps=500", "evaluation.every_env_steps=null",
    "compile=false", "parallelism=deterministic", f"env._target_={Sleepy.__module__}.Sleepy", "hydra.sweep.dir=swept",
)  # fmt: skip
pytestmark = pytest.mark.cluster
ONE = "hydra.sweep.subdir=defaults"
SLURM = ("hydra/launcher=slurm", "hydra.launcher.poll_seconds=1", "hydra.launcher.memory=100M", "-m")


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    root = Path(tempfile.mkdtemp(prefix="slurm"))  # whose sockets need a short path
    try:
        cluster = SlurmCluster(root)
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        shutil.rmtree(root)
        pytest.skip(f"Slurm is installed, but does not start here: {error}")
    try:
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(root)


@pytest.fixture(autouse=True)
def empty_queue(cluster: SlurmCluster) -> Iterator[None]:
    yield
    cluster.empty_queue()


def wait_for(condition: Callable[[], object], process: ForkedCommand | None = None, limit: float = 240) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def trains(cwd: Path, folder: str) -> bool:
    """Whether the run has begun and ended an episode."""
    path = cwd / "swept" / folder / "episodes.jsonl"
    return path.exists() and path.stat().st_size > 0 and record(path.parent)["status"] == "running"


def sessions(cwd: Path, folder: str) -> list[str]:
    path = cwd / "swept" / folder
    return [session["status"] for session in record(path)["sessions"]] if (path / "run.json").exists() else []


def go_on_now(cluster: SlurmCluster, job_id: str) -> None:
    """Spare the two minutes that Slurm has a job wait that was put back into the queue. Not at once: while it is still being
    put back there, a new time to start loses it."""
    waited, pending_since = False, float("inf")

    def runs_again() -> bool:
        nonlocal waited, pending_since
        if (state := cluster.state(job_id)) == "PENDING":
            pending_since = min(pending_since, time.monotonic())
            if time.monotonic() - pending_since < 5:
                return False
            waited = True
            with contextlib.suppress(subprocess.CalledProcessError):  # it may be about to begin
                cluster.call("scontrol", "update", f"jobid={job_id}", "starttime=now")
        return waited and state in ("RUNNING", "")  # COMPLETING: what it did before is not over

    wait_for(runs_again)


def undisturbed(cwd: Path, *sweep: str) -> Path:
    ended = run(*RUN, *sweep, "hydra/launcher=basic", "-m", cwd=cwd)
    assert ended.returncode == 0, ended.stderr
    return cwd / "swept"


def test_a_detached_sweep_goes_on_by_itself_and_is_asked_later(cluster: SlurmCluster, tmp_path: Path) -> None:
    sweep, cwd = ("max_env_steps=100,2500",), tmp_path / "on"
    cwd.mkdir()
    process = start(*RUN, *sweep, *SLURM, "hydra.launcher.detach=true", cwd=cwd, **cluster.variables)
    _, err = process.communicate(240)
    assert process.returncode == 0 and "submitted 2 runs of 1 core" in err and "runs finished" not in err, err
    ids = SlurmJobs.read(cwd / "swept").job_ids()
    wait_for(lambda: trains(cwd, "max_env_steps=2500"))
    cluster.call("scancel", "--batch", "--signal=USR1", ids[1])  # as before a time limit
    wait_for(lambda: sessions(cwd, "max_env_steps=2500") == ["interrupted"])
    wait_for(lambda: cluster.state(ids[1]) == "PENDING")
    process = start("status", "swept", module="a3c_exp.runs", cwd=cwd, **cluster.variables)
    out, err = process.communicate(30)
    assert process.returncode == 0 and f"{ids[1]} (" in out and "1 waiting" in out, out + err
    attach = ("resume=swept", "hydra.launcher.detach=false")  # which finds it in the queue, and submits nothing
    process = start(*attach, cwd=cwd, **cluster.variables)
    go_on_now(cluster, ids[1])
    _, err = process.communicate(240)
    assert process.returncode == 0 and "2 of 2 runs finished" in err and "submitted" not in err, err
    assert sessions(cwd, "max_env_steps=2500") == ["interrupted", "finished"] and sessions(cwd, "max_env_steps=100") == [
        "finished"
    ]
    assert record(cwd / "swept" / "max_env_steps=2500")["sessions"][0]["command"].endswith("hydra.launcher.detach=true")
    before = undisturbed(tmp_path, *sweep)
    for folder in ("max_env_steps=100", "max_env_steps=2500"):
        same_run(cwd / "swept" / folder, before / folder)


def test_an_ablation_adds_its_next_seeds_to_the_queue(cluster: SlurmCluster, tmp_path: Path) -> None:
    own = ("ablation.max_seeds=7", "hydra.sweep.dir=swept", "--config-dir", str(write_ablation(tmp_path / "conf")))
    process = start(*UNDECIDED, *own, *SLURM, cwd=tmp_path, **cluster.variables)
    _, err = process.communicate(240)
    assert process.returncode == 0, err
    assert "submitted 3 runs of 1 core" in err and "2 more seeds each for 2 groups" in err, err
    assert "submitted 2 runs of 1 core" in err and "all: 19 runs" in err, err


def test_a_slurm_that_does_not_answer_is_said_before_there_is_anything(cluster: SlurmCluster, tmp_path: Path) -> None:
    with cluster.without_controller():
        process = start(*RUN, "max_env_steps=100,200", *SLURM, cwd=tmp_path, **cluster.variables)
        _, err = process.communicate(240)
    assert process.returncode == 1 and "Unable to contact slurm controller" in err and err.count("\n") == 1, err
    assert "Nothing was started" in err and list(tmp_path.iterdir()) == []


def test_what_slurm_does_not_take_and_a_job_that_dies_early_are_reported_with_their_reasons(
    cluster: SlurmCluster, tmp_path: Path
) -> None:
    process = start(
        *RUN, "max_env_steps=100,200", "hydra.launcher.partition=nowhere", *SLURM, cwd=tmp_path, **cluster.variables
    )
    _, err = process.communicate(240)
    assert process.returncode == 1 and "invalid partition specified: nowhere" in err and err.count("\n") == 1, err
    broken = "hydra.launcher.setup=['echo there is no such module','exit 3']"
    process = start(*RUN, "max_env_steps=100,200", broken, *SLURM, cwd=tmp_path, **cluster.variables)
    _, err = process.communicate(240)
    assert process.returncode == 1 and "0 of 2 runs finished" in err, err
    assert "has ended as FAILED (exit code 3:0)" in err and "job-1.log is: there is no such module" in err, err


INTERRUPTIONS: dict[str, Callable[[SlurmCluster, str], object]] = {
    "seed=0": lambda cluster, job: cluster.call("scontrol", "requeue", job),
    "seed=1": lambda cluster, job: cluster.call("scancel", "--full", "--signal=TERM", job),
    "seed=2": lambda cluster, job: cluster.call("scancel", "--batch", "--signal=USR2", job),
    "seed=3": lambda cluster, job: cluster.call("scancel", "--full", "--signal=USR1", job),
}


def test_every_signal_of_slurm_ends_in_a_run_that_goes_on(cluster: SlurmCluster, tmp_path: Path) -> None:
    sweep, cwd = ("seed=0,1,2,3", "max_env_steps=6000"), tmp_path / "on"
    cwd.mkdir()
    process = start(*RUN, *sweep, *SLURM, cwd=cwd, **cluster.variables)
    wait_for(lambda: all(trains(cwd, folder) for folder in INTERRUPTIONS), process)
    ids = SlurmJobs.read(cwd / "swept").job_ids()
    for number, interrupt in enumerate(INTERRUPTIONS.values()):
        interrupt(cluster, ids[number])
    for number, folder in enumerate(INTERRUPTIONS):
        wait_for(lambda folder=folder: sessions(cwd, folder)[:1] == ["interrupted"], process)  # type: ignore[misc]
        go_on_now(cluster, ids[number])
    _, err = process.communicate(240)
    assert process.returncode == 0 and "4 of 4 runs finished" in err, err
    assert "seed=1 | interrupted (SIGTERM); job " in err, err
    before = undisturbed(tmp_path, *sweep)
    for folder in INTERRUPTIONS:
        assert sessions(cwd, folder) == ["interrupted", "finished"]
        same_run(cwd / "swept" / folder, before / folder)


def test_a_run_that_is_preempted_goes_on_when_there_is_room_again(cluster: SlurmCluster, tmp_path: Path) -> None:
    sweep, cwd = ("max_env_steps=30000", ONE), tmp_path / "on"
    cwd.mkdir()
    only = ("hydra.launcher.options=['--nodelist=n1']", "hydra.launcher.cpus=2")
    process = start(*RUN, *sweep, *only, *SLURM, cwd=cwd, **cluster.variables)
    folder = "defaults"
    wait_for(lambda: trains(cwd, folder), process)
    other = cluster.call(
        "sbatch", "--parsable", "-p", "high", "-w", "n1", "-c", "2", "-o", "/dev/null", "--wrap", "sleep 2"
    ).strip()
    wait_for(lambda: sessions(cwd, folder) == ["interrupted"], process)
    wait_for(lambda: cluster.state(other) == "", process)
    go_on_now(cluster, SlurmJobs.read(cwd / "swept").job_ids()[0])
    _, err = process.communicate(240)
    assert process.returncode == 0, err
    same_run(cwd / "swept" / folder, undisturbed(tmp_path, *sweep) / folder)


def test_a_run_that_is_longer_than_its_jobs_time_limit_goes_on_in_the_next_one(cluster: SlurmCluster, tmp_path: Path) -> None:
    cwd = tmp_path / "on"
    cwd.mkdir()
    limit = ("hydra.launcher.time=3", "hydra.launcher.signal_delay=60", ONE)
    process = start(*RUN, "max_env_steps=200000", *limit, *SLURM, cwd=cwd, **cluster.variables)
    wait_for(lambda: sessions(cwd, "defaults") == ["interrupted"], process, limit=200)
    assert record(cwd / "swept" / "defaults")["reason"] == "SIGUSR1"
    go_on_now(cluster, SlurmJobs.read(cwd / "swept").job_ids()[0])
    wait_for(lambda: sessions(cwd, "defaults")[-1] == "running", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(240)
    assert process.returncode == 130 and "resume=swept" in err, err
    first, second = record(cwd / "swept" / "defaults")["sessions"]
    assert first["from_env_step"] + second["from_env_step"] > 0 and second["status"] == "interrupted"


def test_a_run_whose_node_is_lost_goes_on_elsewhere(cluster: SlurmCluster, tmp_path: Path) -> None:
    sweep, cwd = ("max_env_steps=6000", ONE), tmp_path / "on"
    cwd.mkdir()
    process = start(*RUN, *sweep, *SLURM, cwd=cwd, **cluster.variables)
    wait_for(lambda: trains(cwd, "defaults"), process)
    job_id = SlurmJobs.read(cwd / "swept").job_ids()[0]
    node = cluster.call("squeue", "-h", "-j", job_id, "-o", "%N").strip()
    cluster.kill_node(node)
    try:
        wait_for(lambda: cluster.state(job_id) == "PENDING", process)
        go_on_now(cluster, job_id)
        _, err = process.communicate(240)
    finally:
        cluster.start_node(node)
    assert process.returncode == 0, err
    assert sessions(cwd, "defaults") == ["running", "finished"]
    same_run(cwd / "swept" / "defaults", undisturbed(tmp_path, *sweep) / "defaults")


def test_ctrl_c_stops_the_jobs_with_checkpoints_and_resume_submits_what_is_missing(
    cluster: SlurmCluster, tmp_path: Path
) -> None:
    cwd = tmp_path / "on"
    cwd.mkdir()
    sweep = ("seed=0,1,2", "max_env_steps=5000")
    process = start(*RUN, *sweep, "hydra.launcher.max_parallel=2", *SLURM, cwd=cwd, **cluster.variables)
    wait_for(lambda: trains(cwd, "seed=0") and trains(cwd, "seed=1"), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(180)
    assert process.returncode == 130 and "1 was not started" in err and "resume=swept" in err, err
    assert sessions(cwd, "seed=0") == sessions(cwd, "seed=1") == ["interrupted"]
    wait_for(lambda: cluster.call("squeue", "-h") == "")
    process = start("resume=swept", "hydra/launcher=slurm", "hydra.launcher.poll_seconds=1", cwd=cwd, **cluster.variables)
    wait_for(lambda: trains(cwd, "seed=1"), process)
    cluster.call("scancel", SlurmJobs.read(cwd / "swept").job_ids()[1])  # a person does not want it any more
    _, err = process.communicate(180)
    assert process.returncode == 1 and "2 of 3 runs finished" in err and "stopped by SIGTERM" in err, err
    assert sessions(cwd, "seed=1") == ["interrupted", "interrupted"]


def test_a_job_whose_run_lives_on_elsewhere_waits_in_the_queue_for_its_end(cluster: SlurmCluster, tmp_path: Path) -> None:
    """What happens where a node was only cut off: the run's lease is held, here by this process, and then given back."""
    sweep, cwd = ("max_env_steps=300", ONE), tmp_path / "on"
    cwd.mkdir()
    options = ("hydra.launcher.setup=['while [ -e wait ]; do sleep 0.1; done']",)
    (cwd / "wait").touch()
    process = start(*RUN, *sweep, *options, *SLURM, cwd=cwd, **cluster.variables)
    wait_for(lambda: (cwd / "swept" / "slurm" / "jobs.json").exists(), process)
    shutil.copytree(undisturbed(tmp_path, *sweep) / "defaults", cwd / "swept" / "defaults")
    saved = record(cwd / "swept" / "defaults")
    (cwd / "swept" / "defaults" / "run.json").write_text(json.dumps({**saved, "status": "running"}))
    job_id = ""
    with locked([cwd / "swept" / "defaults"]):
        (cwd / "wait").unlink()
        job_id = SlurmJobs.read(cwd / "swept").job_ids()[0]
        wait_for(lambda: cluster.state(job_id) == "PENDING", process, limit=200)
    (cwd / "swept" / "defaults" / "run.json").write_text(json.dumps(saved))
    go_on_now(cluster, job_id)
    _, err = process.communicate(240)
    log = (cwd / "swept" / "slurm" / "job-0.log").read_text()
    assert process.returncode == 0 and "the run is still alive elsewhere" in log, err + log
