"""How a campaign ends: its table, with what it was measured on, and what violations left."""

import datetime
import platform
import shutil
from pathlib import Path

from a3c_exp.system.machine import machine_info


def conclude(count: int, seed: int, table: str, violated: bool, folder: Path, out: Path | None) -> int:
    """Print the table, write it to ``out`` too, and remove the ``folder`` unless something was ``violated``; the exit code."""
    machine = machine_info()
    about = (
        f"{count} injections with seed {seed} on {datetime.date.today()}: {machine['cpu']}, "
        f"{machine['cores']} cores, Python {platform.python_version()}."
    )
    text = f"{about}\n\n{table}\n"
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    if violated:
        print(f"what violations left is in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0
