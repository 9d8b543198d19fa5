"""What a fault is injected into: a real run, sweep or study, in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.command import ROOT, session_members
from tests.support.forked_commands import ForkedCommand, ForkServer

COMMON = (
    "env=cartpole", "env._target_=tests.support.interruptions.Sleepy", "model.hidden=[8]", "workers=3", "logger=none",
    "truncation=end", "max_episode_steps=30", "max_updates=null", "max_env_steps=2500", "compile=false",
    "evaluation.every_env_steps=800", "evaluation.episodes=2", "metrics.every_env_steps=300", "checkpoint.every_env_steps=500",
)  # fmt: skip
RUNS = {
    "hogwild": ("parallelism=hogwild", "parallelism.processes=2"),
    "parameter server": ("parallelism=parameter_server", "parallelism.processes=2"),
    "deterministic": ("parallelism=deterministic",),
    "synchronous": ("parallelism=synchronous",),
    "environment processes": ("parallelism=deterministic", "parallelism.env_processes=2"),
    "seed processes": ("parallelism=deterministic", "num_seeds=2", "parallelism.processes=2", "parallelism.seed_block=1"),
}
EXACT = ("deterministic", "synchronous", "environment processes", "seed processes")
"""Those of which a resumed run ends with the digests of one that was never disturbed."""
SEVERAL = {
    "sweep": ("parallelism=deterministic", "seed=1,2", "hydra.sweep.dir=here", "-m"),
    "study": (
        "hydra/sweeper=optuna", "parallelism=deterministic", "gamma=interval(0.8,0.99)", "study.study_name=s",
        "hydra.sweep.dir=here", "study.n_trials=2", "study.n_jobs=2", "study.pruner=null", "-m",
    ),
}  # fmt: skip
NAMES = (*RUNS, *SEVERAL)


Process = subprocess.Popen[bytes] | ForkedCommand
_servers = threading.local()  # one for each thread that injects


def _fork_server() -> ForkServer:
    if not hasattr(_servers, "own"):
        _servers.own = ForkServer(ROOT)
    server: ForkServer = _servers.own
    return server


@dataclass
class Subject:
    """One command in a folder.

    Attributes:
        name: one of ``NAMES``.
        folder: where it is started; its directory is ``here``.
        process: the last command that was started.
        errors: what each command has written to standard error.
    """

    name: str
    folder: Path
    process: Process | None = None
    errors: list[str] = field(default_factory=list)
    _mounts: list[Path] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.folder / "here"

    @property
    def temporary(self) -> Path:
        return self.folder / "t"

    @property
    def command(self) -> tuple[str, ...]:
        return (*COMMON, *RUNS[self.name], "hydra.run.dir=here") if self.name in RUNS else (*COMMON, *SEVERAL[self.name])

    def start(self, *arguments: str, shell: str = "", anew: bool = False) -> Process:
        """Start the command with more arguments, or with ``resume=`` instead; ``shell`` runs first, such as ``ulimit``. With
        it, or ``anew``, as Python starts it; else forked from a process that has imported what it imports, which takes a
        quarter of the processor time."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        words = arguments if arguments and arguments[0].startswith("resume=") else (*self.command, *arguments)
        variables = {
            "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), "XDG_DATA_HOME": str(self.folder / "data"),
            "OMP_NUM_THREADS": "1", "MKL_CBWR": "AUTO",
        }  # fmt: skip
        command = [sys.executable, "-m", "a3c_exp", *words]
        if shell:
            command = ["bash", "-c", f'{shell}; exec "$@"', "bash", *command]
        with (self.folder / "err").open("wb") as err:
            if not shell and not anew:
                server = _fork_server()
                number = server.start("a3c_exp", words, self.folder, {**os.environ, **variables}, (err.fileno(), err.fileno()))
                self.process = ForkedCommand(server, number, ())
                return self.process
            self.process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **variables}, stdout=err, stderr=err, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        return self.process

    def end(self, limit: float) -> int | None:
        """The exit code of the command, ``None`` if it did not end within ``limit`` seconds and was killed."""
        assert self.process is not None
        try:
            code: int | None = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill_all()
            self.process.wait()
            code = None
        self.errors.append((self.folder / "err").read_text(errors="replace"))
        return code

    def processes(self) -> list[psutil.Process]:
        """Of the command, the main process first."""
        assert self.process is not None
        numbers = sorted(session_members(self.process.pid), key=lambda number: number != self.process.pid)  # type: ignore
        return [psutil.Process(number) for number in numbers if psutil.pid_exists(number)]

    def kill_all(self) -> None:
        assert self.process is not None
        for number in session_members(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(number, 9)

    def mount(self, folder: Path, kilobytes: int) -> None:
        """Make ``folder`` a disk of its own with so much room, or give the one that it is so much; until ``release``."""
        how = f"size={kilobytes}k" if folder not in self._mounts else f"remount,size={kilobytes}k"
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", how, "none", folder], check=True)
        if folder not in self._mounts:
            self._mounts.append(folder)

    def release(self) -> None:
        """Give disks back; what they hold stays where it is."""
        for folder in self._mounts:
            shutil.copytree(folder, copy := folder.with_suffix(".copy"), symlinks=True)
            subprocess.run(["umount", "--lazy", folder], check=True)
            folder.rmdir()
            copy.rename(folder)

    def run_directories(self) -> list[Path]:
        """Of single trainings: not the folder of several seeds."""
        directories = [path.parent for path in self.directory.rglob("run.json")]
        return sorted(path for path in directories if not list(path.glob("seed=*")))


def is_finished(directory: Path) -> bool:
    """Whether a run has recorded its good end."""
    record = directory / "run.json"
    return record.exists() and bool(json.loads(record.read_text())["status"] == "finished")
