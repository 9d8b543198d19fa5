"""Names of run directories."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import given, strategies as st

from a3c_exp.runs.run_directories import create_run_directory, short_name


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
