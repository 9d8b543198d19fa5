"""What befalls a Python whose path begins with this folder, before anything else is imported.

``HOLD_IMPORT``: the import of this module waits for as long as the folder ``HOLD`` is there; the process says that it does
with a file of its number.
"""

import os
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
