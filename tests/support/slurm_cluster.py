"""A Slurm cluster of two nodes on this machine: munged, slurmctld and two slurmd on loopback, without systemd and cgroups."""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
_CONFIGURATION = """\
ClusterName=sandbox
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/%n.log
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
SlurmctldPort={port}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
KillWait=30
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=5 OverSubscribe=NO
PartitionName=high Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF OverSubscribe=NO
"""


def why_not() -> str | None:
    """Why no cluster can be started here; ``None`` if it can."""
    if lacking := [name for name in _PROGRAMS if _program(name) is None]:
        return f"Slurm is not installed here (apt-get install slurm-wlm munge): there is no {', '.join(lacking)}"
    if os.geteuid() != 0:
        return "slurmd wants to be root"
    return None


class SlurmCluster:
    """Started when made, with its files in ``root``, which must be short; every process is ended by ``close``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        ports = _free_ports()
        values = {"host": socket.gethostname(), "root": root, "user": getpass.getuser()}
        text = _CONFIGURATION.format(**values, port=ports, first=ports + 1, last=ports + 2)
        (root / "slurm.conf").write_text(text)
        for folder in ("state", "spool-n1", "spool-n2"):
            (root / folder).mkdir()
        self.variables = {"SLURM_CONF": str(root / "slurm.conf")}
        try:
            self._start_munged()
            self._start_controller("-c")
            for node in ("n1", "n2"):
                self.start_node(node)
            self._wait_until_idle()
        except BaseException:
            self.close()
            raise

    def _start_controller(self, *options: str) -> None:
        self._start("slurmctld", "-D", *options, "-f", str(self._root / "slurm.conf"))

    @contextlib.contextmanager
    def without_controller(self) -> Iterator[None]:
        """For a while nobody answers Slurm's commands."""
        process = self._processes.pop("slurmctld")
        process.terminate()
        process.wait()
        try:
            yield
        finally:
            self._start_controller()
            self._wait_until_idle()

    def start_node(self, name: str) -> None:
        """Start a node, or start it again."""
        self._start(name, "-D", "-N", name, "-f", str(self._root / "slurm.conf"), program="slurmd")

    def kill_node(self, name: str) -> None:
        """What a power failure does: its slurmd, and all that it has started."""
        victims = [self._processes[name].pid, *_processes_of(name, self._root)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # at once, so that none reports the end of another
            for victim in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, number)
        self._processes.pop(name).wait()

    def call(self, *command: str) -> str:
        """What one of Slurm's commands prints. Raises CalledProcessError if it fails."""
        variables = {**os.environ, **self.variables}
        return subprocess.run(command, env=variables, check=True, capture_output=True, text=True, timeout=30).stdout

    def state(self, job_id: str) -> str:
        """Of a job, such as ``PENDING``; empty if it has ended."""
        with contextlib.suppress(subprocess.CalledProcessError):  # Slurm forgets it after a while
            return self.call("squeue", "-h", "-j", job_id, "-o", "%T").strip()
        return ""

    def empty_queue(self) -> None:
        """End every job at once."""
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            self.call("scancel", "--quiet", "--signal=KILL", "--full", "--user", getpass.getuser())
            self.call("scancel", "--quiet", "--user", getpass.getuser())
            _wait_for(lambda: not self.call("squeue", "-h"), "an empty queue")

    def close(self) -> None:
        """End every job and daemon."""
        self.empty_queue()
        for name in list(self._processes):
            if name in ("n1", "n2"):
                self.kill_node(name)
            else:
                process = self._processes.pop(name)
                process.kill()
                process.wait()

    def _start_munged(self) -> None:
        key = self._root / "munge.key"
        key.write_bytes(secrets.token_bytes(64))
        key.chmod(0o400)
        self._root.chmod(0o755)
        files = ("socket", "pid-file", "log-file", "seed-file")
        places = [f"--{name}={self._root}/munge.{name.partition('-')[0]}" for name in files]
        self._start("munged", "--foreground", "--force", f"--key-file={key}", *places)
        _wait_for(lambda: (self._root / "munge.socket").exists(), "munged")

    def _start(self, name: str, *arguments: str, program: str = "") -> None:
        path = _program(program or name)
        assert path is not None
        with (self._root / f"{name}.out").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [path, *arguments], env={**os.environ, **self.variables}, stdout=output, stderr=output, start_new_session=True
            )

    def _wait_until_idle(self) -> None:
        def idle() -> bool:
            with contextlib.suppress(subprocess.SubprocessError):
                return self.call("sinfo", "-h", "-p", "main", "-o", "%T %D").split() == ["idle", "2"]
            return False

        _wait_for(idle, "the cluster")


def _wait_for(condition: object, what: str, limit: float = 30.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come up"
        time.sleep(0.1)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_ports() -> int:
    """The first of three ports in a row that are free."""
    for first in range(26817 + os.getpid() % 1000 * 3, 60000, 3):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + 3):
                one = stack.enter_context(socket.socket())
                one.bind(("127.0.0.1", port))
            return first
    raise OSError("no three free ports")


def _processes_of(node: str, root: Path) -> list[int]:
    """What a node's slurmd has started: each slurmstepd, which writes into the node's log, and all processes of jobs, whose
    environment names node and cluster."""
    names = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={root}/slurm.conf".encode()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            of_job = names <= set((process / "environ").read_bytes().split(b"\0"))
            stepd = (process / "cmdline").read_bytes().startswith(b"slurmstepd")
            if of_job or (stepd and f"{root}/{node}.log" in map(os.readlink, (process / "fd").iterdir())):
                found.append(int(process.name))
    return found
