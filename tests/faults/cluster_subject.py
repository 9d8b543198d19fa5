"""What a fault is injected into: sweeps on clusters of this machine, and runs with their seeds or workers on one."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import ClassVar, Self

import psutil

from a3c_exp.runs.sweeps.slurm_jobs import SlurmJobs
from tests.support.command import run, start
from tests.support.forked_commands import ForkedCommand
from tests.support.interruptions import same_run
from tests.support.slurm_cluster import SlurmCluster

LIMIT = 300.0
"""Seconds that a command may take, two minutes of which are Slurm's own."""
BUDGET = 6000
RUN = (
    "env=cartpole", "env._target_=tests.support.interruptions.Sleepy", "workers=2", "logger=none", "model.hidden=[6]",
    "max_updates=null", f"max_env_steps={BUDGET}", "evaluation.episodes=2", "truncation=end", "max_episode_steps=30",
    "checkpoint.every_env_steps=500", "evaluation.every_env_steps=1000", "compile=false",
)  # fmt: skip
SWEEP = (*RUN, "parallelism=deterministic", "hydra.sweep.dir=here", "seed=1,2", "-m")
SEEDS = (*RUN, "parallelism=deterministic", "hydra.run.dir=here", "seed=1", "num_seeds=2", "parallelism.seed_block=1")


def reference(folder: Path, *command: str) -> Path:
    """The sweep or run, undisturbed, on this machine alone."""
    folder.mkdir(parents=True)
    ended = run(*command, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "here"


class OnCluster(ABC):
    """A command in a folder of its own for each injection; the cluster lives on."""

    engine: ClassVar[str]
    command: ClassVar[tuple[str, ...]] = SWEEP
    local: ClassVar[tuple[str, ...]] = ("hydra/launcher=basic",)
    """What makes it a command of this machine."""

    def __init__(self, root: Path) -> None:
        self._root, self.folder = root, root
        self.broken = False  # whether the cluster is to be started again
        self.errors: list[str] = []
        self._process: ForkedCommand | None = None
        self._reference: Path | None = None

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def lose_node(self, chance: Random) -> None:
        """Kill all that runs on a node."""

    @abstractmethod
    def restore(self) -> None:
        """Have a whole cluster again."""

    @property
    @abstractmethod
    def options(self) -> tuple[str, ...]:
        """Those that take it to the cluster."""

    @property
    @abstractmethod
    def variables(self) -> dict[str, str]:
        """Of the command's environment."""

    def begin(self, number: int) -> Self:
        """Another injection."""
        self.restore()
        self.folder, self.errors = self._root / f"{self.engine}_{number}", []
        self.folder.mkdir()
        return self

    def make_reference(self) -> None:
        """Run the command undisturbed."""
        self._reference = reference(self._root / f"{self.engine} reference".replace(" ", "_"), *self.command, *self.local)

    def start(self) -> None:
        self._process = start(*self.command, *self.options, cwd=self.folder, **self.variables)

    def resume(self) -> None:
        """The same directory again: what a person types who was told so."""
        again = ("resume=here", *(["retry_failed=true"] if self.command is SWEEP else []))
        begun = any(self.folder.glob("here/sweep.json")) or any(self.folder.glob("here/**/checkpoints/*.pt"))
        words = again if begun else self.command
        self._process = start(*words, *self.options, cwd=self.folder, **self.variables)

    def wait_until_training(self) -> None:
        """At least one run has begun and ended an episode. Raises TimeoutError."""
        deadline = time.monotonic() + LIMIT
        while not any(path.stat().st_size for path in self.folder.glob("here/**/episodes.jsonl")) or not self.run_processes():
            assert self._process is not None and self._process.poll() is None, "the sweep ended before it trained"
            if time.monotonic() > deadline:
                raise TimeoutError("nothing trains")
            time.sleep(0.1)

    def signal_command(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> int | None:
        """The command's exit code; ``None`` if it was killed since it did not end."""
        assert self._process is not None
        deadline, code = time.monotonic() + LIMIT, None
        while code is None and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(0.5)
            self._hurry()
        if code is None:
            self._process.kill()
        self.errors.append(self._process.communicate(30)[1])
        return code

    def _hurry(self) -> None:
        """Spare waiting that is the cluster's own."""
        return

    def run_processes(self) -> list[psutil.Process]:
        """Main processes of runs, on any node: those that work in the folder and have a run's logs open."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if Path(process.cwd()) == self.folder and any(
                    "/here/" in file.path and file.path.endswith(".jsonl") for file in process.open_files()
                ):
                    found.append(process)
        return found

    def children(self) -> list[psutil.Process]:
        """Processes of the command that its fork server has made."""
        assert self._process is not None
        return [process for child in psutil.Process(self._process.pid).children() for process in child.children()]

    def at_work(self) -> list[psutil.Process]:
        """All that should have ended with the command."""
        return self.run_processes()

    def run_directories(self) -> list[Path]:
        return [self.folder / "here" / f"seed={seed}" for seed in (1, 2)]

    def violations(self) -> Iterator[str]:
        """What is not as it would have been undisturbed."""
        assert self._reference is not None
        for directory in self.run_directories():
            try:
                same_run(directory, self._reference / directory.name)
            except (AssertionError, OSError, ValueError) as error:
                yield f"{directory.name} is another run than an undisturbed one: {error}"

    def clean_up(self, keep: bool) -> None:
        """Nothing of the injection goes on; its folder is removed unless there is something to ``keep``."""
        for process in self.run_processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if keep:
            (self.folder / "errors").write_text("\n\n".join(self.errors))
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class OnSlurm(OnCluster):
    """On two nodes of a Slurm that is booted here."""

    engine = "slurm"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="slurm"))
        self._cluster = SlurmCluster(self._folder)
        self._lost: str | None = None
        self._pending: dict[str, float] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()
        shutil.rmtree(self._folder)

    @property
    def options(self) -> tuple[str, ...]:
        return "hydra/launcher=slurm", "hydra.launcher.poll_seconds=1", "hydra.launcher.memory=100M"

    @property
    def variables(self) -> dict[str, str]:
        return self._cluster.variables

    def call(self, *command: str) -> str:
        return self._cluster.call(*command)

    def job_id(self, chance: Random) -> str:
        """Of a job that runs."""
        ids = SlurmJobs.read(self.folder / "here").job_ids().values()
        return chance.choice(sorted(job for job in ids if self._cluster.state(job) == "RUNNING"))

    def lose_node(self, chance: Random) -> None:
        self._lost = self.call("squeue", "-h", "-j", self.job_id(chance), "-o", "%N").strip()
        self._cluster.kill_node(self._lost)

    def restore(self) -> None:
        if self._lost is not None:
            self._cluster.start_node(self._lost)
            self._lost = None

    def _hurry(self) -> None:
        """Have jobs that were put back into the queue begin at once, not in two minutes; not before they are wholly there."""
        if not (self.folder / "here" / "slurm" / "jobs.json").exists():
            return
        for job in SlurmJobs.read(self.folder / "here").job_ids().values():
            if self._cluster.state(job) != "PENDING":
                self._pending.pop(job, None)
            elif time.monotonic() - self._pending.setdefault(job, time.monotonic()) > 5:
                with contextlib.suppress(subprocess.CalledProcessError):  # it may be about to begin
                    self.call("scontrol", "update", f"jobid={job}", "starttime=now")

    def clean_up(self, keep: bool) -> None:
        self._cluster.empty_queue()
        self._pending.clear()
        super().clean_up(keep)
