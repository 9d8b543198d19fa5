"""Which configurations count as the user's own."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from a3c_exp.config.trust import is_own, remember_file


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """No file descriptor may be ``count`` or above."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_cannot_be_remembered_for_want_of_descriptors_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its run could be resumed only with trust=, once it is written whole."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (config := tmp_path / "config.yaml").write_text("env: {_target_: mine.Env}\n")
    with open_files(3), pytest.raises(OSError, match="Too many open files"):
        remember_file(config)
    assert not is_own(config)
    remember_file(config)
    assert is_own(config)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_home_that_cannot_be_written_to_leaves_it_a_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(mode=0o500)
    (config := tmp_path / "config.yaml").write_text("env: {_target_: mine.Env}\n")
    remember_file(config)
    assert not is_own(config)
