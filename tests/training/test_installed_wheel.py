"""A wheel that was built from the sources and installed elsewhere."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.command import ROOT

PIP_WHEEL = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")


def test_an_installed_wheel_finds_its_configs_and_its_plugin(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    built = subprocess.run(
        [*PIP_WHEEL, "-w", str(wheels), str(copy_of_sources(tmp_path))],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    assert not (site / "conf").exists() and not (site / "hydra_plugins" / "__init__.py").exists()
    assert (site / "hydra_plugins" / "a3c_exp_schema.py").is_file()
    files = {path.relative_to(ROOT) for path in (ROOT / "a3c_exp").rglob("*.py")}
    assert not {path for path in files if not (site / path).is_file()}, "add their folders to packages in pyproject.toml"
    # PYTHONPATH goes before everything that is installed, so the wheel's own files are the ones that answer.
    asked = subprocess.run(
        [sys.executable, "-m", "a3c_exp", "--cfg", "job", "workers=3"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr
    assert "workers: 3" in asked.stdout and "id: Pendulum-v1" in asked.stdout


def copy_of_sources(folder: Path) -> Path:
    """The files that a wheel is made of, so that building leaves no trace in the checkout."""
    sources = folder / "sources"
    for name in ("a3c_exp", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / name)
    return sources
