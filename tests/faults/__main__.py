"""``python -m tests.faults --seed 0 --count 100``: start real commands, inject a fault into each, and check what must hold.

Each injection follows from the seed and its number, but for the machine's own pace: ``--only 17`` repeats number 17.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.injection import KINDS, PATIENCE, Injected
from tests.faults.invariants import Digests, after_going_on, after_the_fault, digests
from tests.faults.outcome import conclude
from tests.faults.subject import EXACT, Subject


@dataclass(frozen=True)
class Finding:
    """One injection: what it was and what did not hold."""

    number: int
    kind: str
    subject: str
    injected: Injected
    violations: Sequence[str]

    def __str__(self) -> str:
        verdict = "; ".join(self.violations) if self.violations else "held"
        return f"{self.number}: {self.kind}, {self.subject}: {self.injected.what} ({self.injected.code}): {verdict}"


class Campaign:
    """Injections that follow from a seed.

    Args:
        seed: of all.
        kinds: of faults, names of ``KINDS``.
        folder: keeps what a violation left.
    """

    def __init__(self, seed: int, kinds: Sequence[str], folder: Path) -> None:
        self._seed, self._kinds, self._folder = seed, kinds, folder
        self._references: dict[str, Digests] = {}

    def make_references(self) -> None:
        """Run every subject that repeats, undisturbed."""
        for name in EXACT:
            subject = self._subject(f"reference {name}", name)
            subject.start()
            assert subject.end(PATIENCE) == 0, subject.errors
            self._references[name] = digests(subject)
            shutil.rmtree(subject.folder)

    def inject(self, number: int) -> Finding:
        """The injection with a number: its kind in turn, all else at random."""
        chance = random.Random(f"{self._seed} {number}")
        kind = self._kinds[number % len(self._kinds)]
        fault, names = KINDS[kind]
        subject = self._subject(str(number), chance.choice(names))
        injected = fault(subject, chance)
        injected = replace(injected, code=subject.end(PATIENCE))
        violations = list(after_the_fault(subject, injected))
        if injected.what.startswith("two commands at once ended"):
            violations.append("both went on, or none")
        if injected.code is not None:
            violations += after_going_on(subject, injected, self._references.get(subject.name))
        subject.release()
        if violations:
            (subject.folder / "errors").write_text("\n\n".join(subject.errors))
        else:
            shutil.rmtree(subject.folder, ignore_errors=True)
        return Finding(number, kind, subject.name, injected, list(dict.fromkeys(violations)))

    def _subject(self, folder: str, name: str) -> Subject:
        path = self._folder / folder.replace(" ", "_")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return Subject(name, path)


def table(findings: Sequence[Finding]) -> str:
    """Counts by kind and fault, in Markdown."""
    rows = Counter((finding.kind, finding.injected.what) for finding in findings)
    violated = Counter((finding.kind, finding.injected.what) for finding in findings if finding.violations)
    lines = ["| kind | fault | injected | violations |", "|---|---|---|---|"]
    lines += [f"| {kind} | {what} | {count} | {violated[kind, what]} |" for (kind, what), count in sorted(rows.items())]
    lines.append(f"| **all** | | **{len(findings)}** | **{sum(violated.values())}** |")
    return "\n".join(lines)


def _enter_private_mounts() -> Collection[str]:
    """Start again where this process may mount what no other sees, and what ends with it. Returns the kinds that cannot be
    injected: all that mount where nobody may, and limits of a user where this one cannot become another."""
    if "FAULTS_MOUNTS" not in os.environ:
        is_root = os.geteuid() == 0
        command = ["unshare", "--mount", *([] if is_root else ["--map-root-user"])]
        may_mount = shutil.which("unshare") is not None and subprocess.run([*command, "true"], check=False).returncode == 0
        missing = ([] if may_mount else ["disk", "temporary folder", "shared memory"]) + ([] if is_root else ["processes"])
        os.environ["FAULTS_MOUNTS"] = ",".join(missing)
        if may_mount:
            os.execvp("unshare", [*command, sys.executable, "-m", "tests.faults", *sys.argv[1:]])
    return os.environ["FAULTS_MOUNTS"].split(",")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--only", type=int, nargs="*", default=None, metavar="NUMBER", help="only these injections")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--jobs", type=int, default=1, help="injections at a time")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin none after that time")
    parser.add_argument("--out", type=Path, default=None, help="write the table here too, as Markdown")
    arguments = parser.parse_args()
    signal.signal(signal.SIGHUP, lambda *_: None)  # under nohup it would be ignored by all that is started here
    missing = _enter_private_mounts()
    if left_out := [kind for kind in arguments.kinds if kind in missing]:
        print(f"not injected, for this user may not do that on this system: {', '.join(left_out)}", flush=True)
        arguments.kinds = [kind for kind in arguments.kinds if kind not in missing]
    folder = Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))
    campaign = Campaign(arguments.seed, arguments.kinds, folder)
    campaign.make_references()
    findings: list[Finding] = []
    deadline = time.monotonic() + 60 * arguments.minutes

    def inject(number: int) -> None:
        if time.monotonic() < deadline:
            finding = campaign.inject(number)
            findings.append(finding)
            print(finding, flush=True)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(inject, range(arguments.count) if arguments.only is None else arguments.only))
    violated = any(finding.violations for finding in findings)
    return conclude(len(findings), arguments.seed, table(findings), violated, folder, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
