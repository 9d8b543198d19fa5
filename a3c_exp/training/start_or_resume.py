"""A run that begins, or goes on where its directory holds it already: what a command says that may be given again."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from a3c_exp.config.existing_runs import ExistingRuns
from a3c_exp.config.schema import resolve_resolvers
from a3c_exp.runs.config_values import as_text
from a3c_exp.runs.lease.holder import LEASE_SECONDS
from a3c_exp.runs.lease.locking import locked
from a3c_exp.runs.record import directories_of, load
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.system.cli import print_notice
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.training.build import RunComponents
from a3c_exp.training.resume import changed_values, is_kept, resumed_config
from a3c_exp.training.run import RunIdentity, resume, run

_WAIT_SECONDS = 30.0 + LEASE_SECONDS
"""How long a process of an earlier command, which has lost its launcher, may take to save a checkpoint and end; or, on another
machine that is gone, to count as dead."""


def start_or_resume(
    config: DictConfig, identity: RunIdentity, existing: ExistingRuns, components: RunComponents | None = None
) -> float:
    """What ``on_existing=resume`` means: ``run``, where there is no run yet; else go on with the one that is there, as it is
    configured, if anything is left to do. Raises RunDirectoryError if another process trains there, or it is another run than
    ``config`` asks for."""
    directory = identity.directory
    if (directory / "run.json").exists() and not _take_away_what_never_began(directory):
        return _resume(directory, config, existing)
    return run(config, identity, components=components)


def _resume(directory: Path, config: DictConfig, existing: ExistingRuns) -> float:
    with locked(directories_of(directory), _WAIT_SECONDS):
        _say_what_is_not_used(directory, config)
        status = load(directory)["status"]
        if existing.leaves_alone(status):
            print_notice(f"{directory} has {status}, and is left as it is")
            return RunSummary(directory).result("evaluation")
        saved = resumed_config(directory, [f"trust={modules}" for modules in existing.trusted])
        return resume(directory, saved)


def _take_away_what_never_began(directory: Path) -> bool:
    """Free a directory of a run that was killed before it had written the checkpoint that there is from the beginning on, so
    that nothing can be gone on with; false for any other run."""
    folders = sorted(directory.glob("seed=*")) or [directory]
    if all(any(folder.glob("checkpoints/*.pt")) for folder in folders):
        return False
    if any(path.stat().st_size for path in directory.rglob("episodes.jsonl")):
        return False
    with locked([directory], _WAIT_SECONDS):
        for folder in dict.fromkeys([*folders, directory]):
            (folder / "run.json").unlink(missing_ok=True)
    return True


def _say_what_is_not_used(directory: Path, config: DictConfig) -> None:
    """Refuse a command that asks for another run than the one that is there, and say what else is not as the command says."""
    resolve_resolvers(config)
    changed = {key: pair for key, pair in changed_values(directory, config).items() if key not in _chosen_by_run(config)}
    if kept := next((key for key in changed if is_kept(key)), None):
        before, after = map(as_text, changed[kept])
        raise RunDirectoryError(
            f"{directory} holds a run with {kept}={before}, and this command asks for {kept}={after}. Choose another "
            f"directory, or go on with what is there: resume={directory}"
        )
    if changed:
        kept = ", ".join(f"{key}={as_text(before)}, not {as_text(after)}" for key, (before, after) in changed.items())
        print_notice(f"{directory} keeps what it was started with: {kept}. resume={directory} KEY=VALUE would change it")


def _chosen_by_run(config: DictConfig) -> set[str]:
    """Keys of which the run has saved what it chose itself."""
    return {key for key in ("device", "compile", "env.backend") if OmegaConf.select(config, key) == "auto"}
