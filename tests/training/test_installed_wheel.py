"""A wheel that was built from the sources and installed elsewhere."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.support.command import ROOT

PIP_WHEEL = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")


def test_a_wheel_holds_all_files_and_finds_its_configs_and_its_plugins(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    built = subprocess.run(
        [*PIP_WHEEL, "-w", str(wheels), str(copy_of_sources(tmp_path))],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    fallback = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools_scm"]["fallback_version"]
    assert wheel.name.startswith(f"a3c_exp-{fallback}-"), "sources without git have a version too"
    zipfile.ZipFile(wheel).extractall(site)
    installed = {name for folder in ("a3c_exp", "hydra_plugins") for name in files_below(site / folder, f"{folder}/")}
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"a3c_exp", "hydra_plugins"}
    assert installed == expected_files(), "what is no .py file needs a pattern in package-data of pyproject.toml"
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


def expected_files() -> set[str]:
    """All that a wheel should hold: the package with conf/ and pretrained/ inside it, and Hydra's plugins."""
    weights = files_below(ROOT / "pretrained", "a3c_exp/pretrained/") - {"a3c_exp/pretrained/README.md"}
    return weights.union(
        files_below(ROOT / "a3c_exp", "a3c_exp/"),
        files_below(ROOT / "conf", "a3c_exp/conf/"),
        files_below(ROOT / "hydra_plugins", "hydra_plugins/"),
    )


def files_below(folder: Path, prefix: str) -> set[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {f"{prefix}{path.relative_to(folder).as_posix()}" for path in files}


def copy_of_sources(folder: Path) -> Path:
    """The files that a wheel is made of, so that building leaves no trace in the checkout."""
    sources = folder / "sources"
    for name in ("a3c_exp", "conf", "hydra_plugins", "pretrained"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / name)
    return sources
