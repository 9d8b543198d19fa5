"""Names of run directories, and who may write in them."""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from a3c_exp.runs.lease.locking import locked
from a3c_exp.runs.run_directories import create_run_directory, short_name
from a3c_exp.system.errors import RunDirectoryError


def test_two_runs_in_one_second_do_not_share_a_directory(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: create_run_directory("pendulum", tmp_path), range(24)))
    assert len(set(made)) == 24
    assert all(path.is_dir() for path in made)


@given(st.text(max_size=300), st.text(max_size=300))
def test_different_overrides_never_get_the_same_long_name(first: str, second: str) -> None:
    names = [short_name("x" * 100 + text) for text in (first, second)]
    assert all(len(name.encode()) <= 120 for name in names)
    if first.replace("/", "_") != second.replace("/", "_"):
        assert names[0] != names[1]


def test_a_name_is_one_folder_deep() -> None:
    assert "/" not in short_name("hydra/launcher=basic,model=a/b")


def test_a_directory_in_which_nothing_can_be_written_is_refused_in_a_line(tmp_path: Path) -> None:
    """A file can be made on a full disk, and gets no content there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # the system refuses it, as a full disk does
    try:
        with pytest.raises(RunDirectoryError, match=r"cannot be written \(File too large\)"), locked([tmp_path]):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with locked([tmp_path]):
        assert (tmp_path / ".lease").read_text().startswith(f"{os.getpid()}\n")
