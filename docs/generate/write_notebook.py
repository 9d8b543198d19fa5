"""Executes docs/notebook.ipynb anew and keeps what its cells put out: python docs/generate/write_notebook.py"""

import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PAGE = Path(__file__).parents[1] / "notebook.ipynb"


def executed(folder: Path, **settings: int) -> Any:
    """The notebook, executed in a new kernel in ``folder``; an exception says which cell failed. Without what goes to stderr,
    which is other at every run. ``settings`` take the place of its own values, for a test in less time."""
    notebook = nbformat.read(PAGE, as_version=4)  # type: ignore[no-untyped-call]
    cell = next(cell for cell in notebook.cells if cell.source.startswith("import a3c_exp"))
    for name, value in settings.items():
        cell.source, found = re.subn(rf'("{name}": )[\d_]+', rf"\g<1>{value}", cell.source)
        assert found == 1, f"no {name} in the notebook's settings"
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(executed(Path(folder)), PAGE)  # type: ignore[no-untyped-call]
