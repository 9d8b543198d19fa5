"""Executes docs/notebook.ipynb anew and keeps what its cells put out: python docs/generate/write_notebook.py"""

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PAGE = Path(__file__).parents[1] / "notebook.ipynb"


def executed(folder: Path) -> Any:
    """The notebook, executed in a new kernel in ``folder``; an exception says which cell failed. Without what goes to stderr,
    which is other at every run."""
    notebook = nbformat.read(PAGE, as_version=4)  # type: ignore[no-untyped-call]
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
