"""The keys of ``hydra.launcher`` with ``hydra/launcher=slurm``."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from annotated_types import Ge

from a3c_exp.config.type_checks import Example, PositiveInt, field_problems
from a3c_exp.runs.sweeps.slurm_queue import call_slurm
from a3c_exp.system.errors import ConfigError, SlurmError

SLURM_LAUNCHER = "hydra_plugins.a3c_exp_slurm.SlurmLauncher"
_SIGNAL_SPREAD = 60  # seconds that Slurm may send a signal too early
_DURATION = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
_OWN_OPTIONS = (
    "array", "chdir", "job-name", "open-mode", "output", "error", "requeue", "no-requeue", "signal", "wait", "wrap", "parsable",
    "ntasks", "nodes", "test-only",
)  # fmt: skip
_SHORT_OPTIONS = {
    "a": "array",
    "D": "chdir",
    "J": "job-name",
    "o": "output",
    "e": "error",
    "W": "wait",
    "n": "ntasks",
    "N": "nodes",
}
_KEYS_OF_OPTIONS = {"partition": "partition", "p": "partition", "account": "account", "A": "account", "qos": "qos", "q": "qos",
                    "cpus-per-task": "cpus", "c": "cpus", "mem": "memory", "time": "time", "t": "time"}  # fmt: skip


@dataclass
class SlurmLauncherConfig:
    """Values of the keys; what each is stands in conf/hydra/launcher/slurm.yaml."""

    _target_: str = SLURM_LAUNCHER
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus: Annotated[PositiveInt, Example(2)] | None = None
    memory: str | int | None = None
    time: str | int | None = None
    signal_delay: Annotated[int, Ge(10)] = 120
    max_parallel: Annotated[PositiveInt, Example(10)] | None = None
    options: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    detach: bool = False
    poll_seconds: Annotated[float, Ge(1)] = 15.0

    @classmethod
    def from_hydra(cls, launcher: Mapping[str, Any]) -> "SlurmLauncherConfig":
        """Of the composed ``hydra.launcher``. Raises ConfigError for values that cannot be, with what is allowed for each."""
        from omegaconf import OmegaConf

        plain: Any = OmegaConf.to_container(OmegaConf.create(dict(launcher)))
        config = cls(**{one.name: plain[one.name] for one in fields(cls) if one.name in plain})
        config.check()
        return config

    def check(self) -> None:
        """Raises ConfigError for values that cannot be, with what is allowed for each."""
        if problems := list(field_problems(SlurmLauncherConfig, asdict(self), "hydra.launcher.")):
            raise ConfigError("\n".join(problems))
        if self.memory is not None and not re.fullmatch(r"\d+[KMGT]?", str(self.memory)):
            raise ConfigError(
                f"hydra.launcher.memory is {self.memory!r}, but it is a number of MiB, or one with K, M, G or T behind it. Try "
                "hydra.launcher.memory=4G"
            )
        self._check_time()
        for option in self.options:
            self._check_option(option)

    def _check_time(self) -> None:
        seconds = duration(self.time)
        if self.time is not None and seconds is None:
            raise ConfigError(
                f"hydra.launcher.time is {self.time!r}, but it is minutes, HH:MM:SS or D-HH:MM:SS. Try hydra.launcher.time=120"
            )
        if seconds is not None and seconds < (least := self.signal_delay + 2 * _SIGNAL_SPREAD):
            raise ConfigError(
                f"hydra.launcher.time={self.time} leaves no time to train: Slurm asks a run to stop {self.signal_delay} s "
                f"(hydra.launcher.signal_delay) before that, or up to {_SIGNAL_SPREAD} s earlier. Try "
                f"hydra.launcher.time={-(-least // 60)}"
            )

    def _check_option(self, option: str) -> None:
        match = re.match(r"--([a-z-]+)|-([A-Za-z])", option)
        if match is None or "\n" in option:
            raise ConfigError(
                f"hydra.launcher.options has {option!r}, which is no option of sbatch. Try "
                "\"hydra.launcher.options=['--gres=gpu:1']\""
            )
        name = match[1] or match[2]
        if key := _KEYS_OF_OPTIONS.get(name):
            raise ConfigError(f"hydra.launcher.options has {option!r}, for which there is a key. Try hydra.launcher.{key}=...")
        if _SHORT_OPTIONS.get(name, name) in _OWN_OPTIONS:
            raise ConfigError(
                f"hydra.launcher.options has {option!r}, which this launcher decides itself. Try it without; "
                "hydra.launcher.max_parallel and signal_delay are keys of their own"
            )


def duration(time: str | int | None) -> int | None:
    """Seconds of a time limit as Slurm reads it; ``None`` if it is none.

    >>> duration(90), duration("1:30:00"), duration("1-12"), duration("soon")
    (5400, 5400, 129600, None)
    """
    match = _DURATION.fullmatch(str(time))
    if match is None:
        return None
    first, second, third = (int(match[name] or 0) for name in ("first", "second", "third"))
    if match["days"] is not None:  # D-HH[:MM[:SS]]
        return int(match["days"]) * 86400 + first * 3600 + second * 60 + third
    if match["third"] is not None:  # HH:MM:SS
        return first * 3600 + second * 60 + third
    return first * 60 + second  # MM[:SS]


def require_slurm() -> None:
    """Raise ConfigError where there is no Slurm to submit to, and SlurmError where it does not answer."""
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "hydra/launcher=slurm submits runs by sbatch, and there is no such command here. Type it where Slurm is installed, "
            "such as a cluster's login node, or try hydra/launcher=local"
        )
    try:
        call_slurm("scontrol", "show", "config")
    except SlurmError as error:
        raise SlurmError(f"{error}. Nothing was started. Try again when sinfo answers, or hydra/launcher=local") from None
