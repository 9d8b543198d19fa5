"""What befalls a Python whose path begins with this folder, before anything else is imported.

``HOLD_IMPORT``: the import of this module waits for as long as the folder ``HOLD`` is there; the process says that it does
with a file of its number. ``DEATHS``: a study's worker takes a file out of this folder, if there is one, and ends with the exit
code that is its name up to a dot, or by SIGKILL.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


class _Hold:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        folder = Path(os.environ["HOLD"])
        if name == os.environ["HOLD_IMPORT"] and folder.is_dir():
            (folder / str(os.getpid())).touch()
            while folder.is_dir():
                time.sleep(0.01)


if "HOLD_IMPORT" in os.environ:
    sys.meta_path.insert(0, _Hold())  # type: ignore[arg-type]
if "DEATHS" in os.environ and "A3C_TRIAL_WORKER" in os.environ:
    for file in Path(os.environ["DEATHS"]).iterdir():
        file.unlink()
        kind = file.name.partition(".")[0]
        os.kill(os.getpid(), signal.SIGKILL) if kind == "SIGKILL" else os._exit(int(kind))
