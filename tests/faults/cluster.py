"""``python -m tests.faults.cluster --seed 0 --count 100``: inject a fault into sweeps on a real Slurm and a real Ray.

Both run on this machine. A fault comes at a random moment while runs train. Afterwards the command ends or is typed again
(``resume=``), and every run must end with the digests of one that was never disturbed; nothing hangs, and nobody trains on.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.cluster_subject import LIMIT, OnCluster, OnSlurm
from tests.faults.outcome import conclude
from tests.faults.ray_subject import OnRay, SeedsOnRay, WorkersOnRay
from tests.support.slurm_cluster import why_not

Fault = Callable[[OnCluster, random.Random], str]


def _signal_job(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnSlurm)
    name, to = chance.choice(("TERM", "USR1", "USR2")), chance.choice(("--batch", "--full"))
    subject.call("scancel", to, f"--signal={name}", subject.job_id(chance))
    return f"scancel {to} --signal={name}"


def _requeue(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnSlurm)
    subject.call("scontrol", "requeue", subject.job_id(chance))
    return "scontrol requeue"


def _cancel(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnSlurm)
    subject.call("scancel", subject.job_id(chance))
    return "scancel"


def _preempt(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnSlurm)
    node = subject.call("squeue", "-h", "-j", subject.job_id(chance), "-o", "%N").strip()
    subject.call("sbatch", "-p", "high", "-w", node, "-c", "2", "-o", "/dev/null", "--wrap", "sleep 1")
    return "preempted by another partition"


def _lose_node(subject: OnCluster, chance: random.Random) -> str:
    subject.lose_node(chance)
    return "all processes of a node killed"


def _kill_run(subject: OnCluster, chance: random.Random) -> str:
    chance.choice(subject.run_processes()).kill()
    return "kill -9 of a run's main process"


def _suspend_run(subject: OnCluster, chance: random.Random) -> str:
    process, seconds = chance.choice(subject.run_processes()), chance.uniform(1, 8)
    process.suspend()
    time.sleep(seconds)
    process.resume()
    return "SIGSTOP of a run's main process for seconds"


def _kill_actor(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnRay)
    chance.choice(subject.actors()).kill()
    return "kill -9 of a process on a node"


def _suspend_actor(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnRay)
    process, seconds = chance.choice(subject.actors()), chance.uniform(1, 20)
    process.suspend()
    time.sleep(seconds)
    with contextlib.suppress(psutil.Error):
        process.resume()
    return "SIGSTOP of a process on a node for up to 20 s"


def _kill_child(subject: OnCluster, chance: random.Random) -> str:
    chance.choice(subject.children()).kill()
    return "kill -9 of the server or the gateway"


def _kill_child_of_two(subject: OnCluster, chance: random.Random) -> str:
    """What one has sent waits for the other when it is killed."""
    victim, other = chance.sample(subject.children(), 2)
    other.suspend()
    time.sleep(chance.uniform(0.2, 2))
    victim.kill()
    time.sleep(chance.uniform(0, 2))
    other.resume()
    return "kill -9 of the server or the gateway, the other one suspended"


def _kill_command(subject: OnCluster, chance: random.Random) -> str:
    subject.signal_command(signal.SIGKILL)
    return "kill -9 of the waiting command"


def _signal_command(subject: OnCluster, chance: random.Random) -> str:
    number = chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    subject.signal_command(number)
    return f"{number.name} to the waiting command"


def _suspend_command(subject: OnCluster, chance: random.Random) -> str:
    subject.signal_command(signal.SIGSTOP)
    time.sleep(chance.uniform(1, 25))
    subject.signal_command(signal.SIGCONT)
    return "SIGSTOP of the waiting command, some beyond its limit"


def _cut_link(subject: OnCluster, chance: random.Random) -> str:
    """What looks from the head like a link that is down: nobody of the node answers, and nobody there has ended."""
    assert isinstance(subject, OnRay)
    victims = subject.node_processes(chance.choice(subject.nodes.raylets[1:]))
    for number, seconds in ((signal.SIGSTOP, chance.uniform(5, 30)), (signal.SIGCONT, 0.0)):
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.send_signal(number)
        time.sleep(seconds)
    return "a node does not answer for up to 30 s"


def _kill_head(subject: OnCluster, chance: random.Random) -> str:
    assert isinstance(subject, OnRay)
    os.kill(subject.nodes.head, signal.SIGKILL)
    subject.broken = True
    return "kill -9 of the cluster's head"


OF_BOTH: Sequence[Fault] = (_kill_run, _suspend_run, _kill_command, _signal_command, _suspend_command, _lose_node)
OF_RUNS: Sequence[Fault] = (_kill_actor, _suspend_actor, _kill_command, _signal_command, _suspend_command, _lose_node)
FAULTS: Mapping[type[OnCluster], Sequence[Fault]] = {
    OnSlurm: (*OF_BOTH, _signal_job, _requeue, _cancel, _preempt),
    OnRay: (*OF_BOTH, _cut_link, _kill_head),
    SeedsOnRay: (*OF_RUNS, _cut_link, _kill_head),
    WorkersOnRay: (*OF_RUNS, _kill_child, _kill_child_of_two, _cut_link, _kill_head),
}
ENGINES = {kind.engine: kind for kind in FAULTS}


@dataclass(frozen=True)
class Finding:
    """One injection: what it was and what did not hold."""

    number: int
    engine: str
    what: str
    violations: Sequence[str]

    def __str__(self) -> str:
        return f"{self.number}: {self.engine}: {self.what}: {'; '.join(self.violations) or 'held'}"


def inject(number: int, seed: int, subject: OnCluster) -> Finding:
    """The injection with a number: the engine's faults in turn, all else at random."""
    chance, faults = random.Random(f"{seed} {number}"), FAULTS[type(subject)]
    subject.start()
    what = faults[number % len(faults)].__name__
    violations: list[str] = []
    try:
        subject.wait_until_training()
        time.sleep(chance.uniform(0, 3))
        what = faults[number % len(faults)](subject, chance)
        violations += after_the_fault(subject)
    except (AssertionError, IndexError, psutil.Error, TimeoutError) as error:
        violations.append(f"{type(error).__name__}: {error}")
    finally:
        subject.clean_up(keep=bool(violations))
    return Finding(number, subject.engine, what, violations)


def after_the_fault(subject: OnCluster) -> Iterator[str]:
    """The command ends, typed again at most twice; runs are those of an undisturbed one, and nobody is left."""
    for _ in range(3):
        code = subject.end()
        if code is None:
            yield f"did not end within {LIMIT:g} s"
            return
        if "Traceback" in subject.errors[-1]:
            yield "a traceback"
        if code == 0:
            break
        subject.restore()
        subject.resume()
    else:
        subject.end()
        yield f"typed twice again, it ended with {code}: {subject.errors[-1].strip().splitlines()[-1:]}"
        return
    deadline = time.monotonic() + 60
    while (left := subject.at_work()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if left:
        yield f"left at work: {[' '.join(process.cmdline())[:80] for process in left]}"
    yield from subject.violations()


def table(findings: Sequence[Finding]) -> str:
    """Counts by engine and fault, in Markdown."""
    rows = Counter((finding.engine, finding.what) for finding in findings)
    violated = Counter((finding.engine, finding.what) for finding in findings if finding.violations)
    lines = ["| engine | fault | injected | violations |", "|---|---|---|---|"]
    lines += [f"| {engine} | {what} | {count} | {violated[engine, what]} |" for (engine, what), count in sorted(rows.items())]
    lines.append(f"| **all** | | **{len(findings)}** | **{sum(violated.values())}** |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--only", type=int, nargs="*", default=None, metavar="NUMBER", help="only these injections")
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--out", type=Path, default=None, help="write the table here too, as Markdown")
    arguments = parser.parse_args()
    if "slurm" in arguments.engines and (reason := why_not()) is not None:
        print(f"without Slurm: {reason}", flush=True)
        arguments.engines.remove("slurm")
    folder = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
    findings: list[Finding] = []
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(ENGINES[name](folder)) for name in arguments.engines]
        for engine in engines:
            engine.make_reference()
        for number in range(arguments.count) if arguments.only is None else arguments.only:
            engine = engines[number % len(engines)]
            findings.append(inject(number // len(engines), arguments.seed, engine.begin(number)))
            print(findings[-1], flush=True)
    violated = any(finding.violations for finding in findings)
    return conclude(len(findings), arguments.seed, table(findings), violated, folder, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
