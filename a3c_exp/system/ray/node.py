"""What the results of a training depend on beside its configuration: versions, the package's own code, and the processor."""

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.system.machine import cpu_model, package_versions, processor_lines
from a3c_exp.system.ray.cluster import PACKAGES, other_version

_ARITHMETIC = ("MKL_", "ATEN_", "ONEDNN_", "DNNL_", "OPENBLAS_", "NPY_")
"""How the names of variables begin that choose kernels."""
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class NodeDescription:
    """One machine, as far as two must agree."""

    node: str  # the name of the machine
    versions: Mapping[str, str | None]  # of Python and ``PACKAGES``
    code: str  # a digest of this package's files
    cpu: str  # the processor's name
    instruction_sets: str  # a digest of what the system says of them

    @classmethod
    def of_this_machine(cls) -> "NodeDescription":
        code = hashlib.sha256()
        for path in sorted(_PACKAGE.rglob("*.py")):
            code.update(f"{path.relative_to(_PACKAGE)}\n".encode() + path.read_bytes())
        processor = hashlib.sha256("\n".join(processor_lines()).encode()).hexdigest()
        return cls(socket.gethostname(), package_versions(PACKAGES), code.hexdigest(), cpu_model(), processor)

    def refusal(self, expected: "NodeDescription") -> str | None:
        """Why nothing that began on the ``expected`` machine can go on on this one, which is this process's, to go behind the
        name of what was to; ``None`` if it can. Another processor is no reason."""
        if (other := other_version(expected.versions)) is not None:
            return f"was not started: {other}"
        if self.code == expected.code:
            return None
        return (
            f"was not started: {self.node} has other files of a3c_exp than {expected.node}, though both are version "
            f"{expected.versions['a3c_exp']}. Install the same on all nodes"
        )

    def difference(self, expected: "NodeDescription") -> str | None:
        """What may make the last bit of a result another one here, in a sentence; ``None`` without a reason."""
        if self.instruction_sets == expected.instruction_sets:
            return None
        named = f" ({self.cpu})" if self.cpu != expected.cpu else " with other instruction sets"
        return (
            f"{self.node} has another processor{named} than {expected.node} ({expected.cpu}): what is trained there may differ "
            "in the last bit from what would be trained here"
        )


def arithmetic_environment() -> dict[str, str]:
    """The variables of this process's environment that choose kernels, and so the last bit."""
    return {name: value for name, value in os.environ.items() if name.startswith(_ARITHMETIC)}


def adopt_arithmetic_environment(variables: Mapping[str, str]) -> None:
    """Have those variables here as they are in another process: for what is started from here."""
    for name in arithmetic_environment().keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
