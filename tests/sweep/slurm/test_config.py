"""Which options of the launcher are refused before anything is submitted, and what the batch script makes of the others."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.config.compose import compose_jobs
from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs, SubmittedArray, array_name
from a3c_exp.sweep.slurm.batch_script import batch_script, output_file
from a3c_exp.sweep.slurm.config import SlurmLauncherConfig, require_slurm
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from tests.support.command import run


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cpus": 0}, "cpus is 0.*at least 1.*Try hydra.launcher.cpus=2"),
        ({"memory": "4 GB"}, "memory is '4 GB'.*Try hydra.launcher.memory=4G"),
        ({"time": "soon"}, "time is 'soon'.*Try hydra.launcher.time=120"),
        ({"time": 3}, "time=3 leaves no time to train.*120 s.*Try hydra.launcher.time=4"),
        ({"time": "0:05:00", "signal_delay": 200}, "Try hydra.launcher.time=6"),
        ({"signal_delay": 5}, "signal_delay is 5"),
        ({"max_parallel": 0}, "max_parallel is 0.*Try hydra.launcher.max_parallel=10"),
        ({"options": ["gres=gpu:1"]}, "no option of sbatch. Try .hydra.launcher.options="),
        ({"options": ["--partition=short"]}, "there is a key. Try hydra.launcher.partition="),
        ({"options": ["-c4"]}, "there is a key. Try hydra.launcher.cpus="),
        ({"options": ["--array=1-3"]}, "decides itself"),
        ({"options": ["-o", "x"]}, "decides itself"),
        ({"setup": "module load gcc"}, "setup is 'module load gcc', but it is a list"),
        ({"poll_seconds": 0.1}, "poll_seconds is 0.1"),
    ],
)
def test_an_option_that_slurm_would_not_take_is_named_with_what_to_type(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SlurmLauncherConfig(**values).check()


def test_a_key_that_there_is_not_is_refused_as_all_others_are() -> None:
    with pytest.raises(ConfigError, match=r"no key hydra\.launcher\.partitions"):
        compose_jobs(["hydra/launcher=slurm", "hydra.launcher.partitions=x", "seed=1,2"], multirun=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hydra/launcher=slurm",), "Add -m at the end"),
        (("hydra/launcher=slurm", "hydra.launcher.time=1", "seed=1,2", "-m"), "leaves no time to train"),
        (("hydra/launcher=slurm", "+study=pendulum", "-m"), "no studies"),
    ],
)
def test_the_command_says_so_in_one_line_and_makes_nothing(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = run(*words, cwd=tmp_path)
    assert ended.returncode == 2 and said in ended.stderr and ended.stderr.count("\n") == 1, ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_slurm_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"no such command here\. Type it where Slurm is installed"):
        require_slurm()


def test_all_options_reach_sbatch_whatever_the_folder_is_called(tmp_path: Path) -> None:
    directory = tmp_path / "100% mine"
    options = SlurmLauncherConfig(
        partition="short", account="me", qos="high", memory="4G", time="2-0:30:00", max_parallel=7,
        options=["--gres=gpu:1"], setup=["module load 'a b'"],
    )  # fmt: skip
    array = SubmittedArray("mine.1", None, 2000, (2000, 2001, 2005))
    text = batch_script(directory, array, 3, options, ["retry_failed=true"])
    given = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    for option in (
        "--array=0-1,5%7", "--cpus-per-task=3", "--partition=short", "--account=me", "--qos=high", "--mem=4G",
        "--time=2-0:30:00", "--requeue", "--gres=gpu:1", "--signal=B:USR1@120",
    ):  # fmt: skip
        assert option in given, given
    assert f"'--output={tmp_path}/100%% mine/slurm/job-2000+%a.log'" in given
    assert output_file(directory, array, 2005) == directory / "slurm" / "job-2000+5.log"
    assert "\nmodule load 'a b'\n" in text and "retry_failed=true job=" in text and "number=$((2000 +" in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).returncode == 0


def test_jobs_are_noted_before_and_after_they_are_submitted(tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    noted = SlurmJobs.read(tmp_path).with_array(SubmittedArray("x.1", None, 0, (0, 1)))
    assert SlurmJobs.read(tmp_path) == noted and noted.job_ids() == {}
    noted.with_array(SubmittedArray("x.1", "12", 0, (0, 1))).with_array(SubmittedArray("x.2", "15", 1000, (1001,)))
    assert SlurmJobs.read(tmp_path).job_ids() == {0: "12_0", 1: "12_1", 1001: "15_1"}
    first = array_name(tmp_path, [])
    assert array_name(tmp_path, [first]) != first and array_name(tmp_path / "slurm", []) != first
    (tmp_path / "slurm" / "jobs.json").write_text('{"arrays": 3}')
    with pytest.raises(RunDirectoryError, match="is damaged"):
        SlurmJobs.read(tmp_path)
