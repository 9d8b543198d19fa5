"""The notebook of the documentation runs from top to bottom, and is kept with what it puts out."""

from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_notebook_runs_and_is_kept_executed(tmp_path: Path) -> None:
    for package, extra in (("nbformat", "docs"), ("nbclient", "docs"), ("pandas", "pandas")):
        pytest.importorskip(package, reason=f"extra `{extra}` is not installed")
    import nbformat
    from write_notebook import PAGE, executed

    budget = {"max_env_steps": 2500, "evaluation.every_env_steps": 500}  # a tenth of what the page shows, and as many rows
    kept, now = nbformat.read(PAGE, as_version=4), executed(tmp_path, **budget)
    kinds = [
        [[sorted(output.get("data", {})) for output in cell.get("outputs", [])] for cell in notebook.cells]
        for notebook in (kept, now)
    ]
    assert kinds[0] == kinds[1], "out of date: python docs/generate/write_notebook.py"
    assert any("image/png" in output for cell in kinds[0] for output in cell)
    assert not any(output.get("name") for cell in kept.cells for output in cell.get("outputs", []))  # no messages, no progress
    assert str(Path.home()) not in PAGE.read_text()
