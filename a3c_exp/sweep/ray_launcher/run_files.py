"""The files of a run directory on their way between machines that share no disk."""

from pathlib import Path

from a3c_exp.system.atomic_write import write_atomically

Files = dict[str, bytes | None]
"""Contents by path, relative to the run directory; ``None``: removed."""
_OWN = (".lock", ".lease")
"""What tells who works in a directory, and is no part of the run."""


def read_changed(directory: str, known: dict[str, tuple[int, int]], everything: bool = True) -> Files:
    """What has changed in a directory, as ``known`` says by size and time, which is brought up to date; unless it is
    ``everything``, only once there is a new checkpoint.

    A checkpoint is read before the logs: they may hold more than it has seen, which a resume drops, but never less."""
    root = Path(directory)
    stamps = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name not in _OWN and not path.name.endswith(".part"):
            status = path.stat()
            stamps[path.relative_to(root).as_posix()] = status.st_size, status.st_mtime_ns
    changed = [name for name, stamp in stamps.items() if known.get(name) != stamp]
    checkpoints = [name for name in changed if name.endswith(".pt")]
    if not (everything or checkpoints):
        return {}
    files: Files = {name: None for name in [name for name in known if name not in stamps] if known.pop(name)}
    for name in dict.fromkeys([*checkpoints, *changed]):
        try:
            files[name] = (root / name).read_bytes()
        except FileNotFoundError:  # an older checkpoint, removed in this moment
            continue
        known[name] = stamps[name]
    return files


def write_files(directory: str, files: Files) -> None:
    """Write them, each whole or not at all, and the checkpoints last: what a checkpoint needs is there when it is. Then remove
    what is to be removed."""
    root = Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    for name, content in sorted(files.items(), key=lambda item: item[0].endswith(".pt")):
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(root / name, content)
    for name, content in files.items():
        if content is None:
            (root / name).unlink(missing_ok=True)
