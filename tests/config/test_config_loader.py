"""A composition that is found again is Hydra's own, and none is found that files have left behind."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import OmegaConf

from a3c_exp.config.compose import CONFIG_DIR, compose_jobs, hydra_initialized
from a3c_exp.config.config_loader import CachingConfigLoader
from a3c_exp.system.errors import ConfigError

FOUND_AGAIN = ["env=cartpole", "logger=none"]


def composed(kind: type[ConfigLoaderImpl], overrides: Sequence[str], folder: Path = CONFIG_DIR) -> tuple[str, ...]:
    """All of a configuration, or why there is none."""
    loader = kind(create_config_search_path(str(folder)))
    try:
        with hydra_initialized([]):
            config = loader.load_configuration("config", list(overrides), RunMode.RUN)
    except Exception as error:
        return type(error).__name__, str(error), str(error.__cause__)
    return OmegaConf.to_yaml(config), str(OmegaConf.is_struct(config)), str(OmegaConf.is_readonly(config.hydra))


@pytest.mark.parametrize(
    "further",
    [
        ["workers=3", "model.hidden=[3]", "hydra.run.dir=here", "hydra.mode=RUN"],
        ["+env.kwargs={a: 1}", "env.kwargs={b: 2}", "++hydra.job.env_set.A=1", "hydra.sweep.dir=there"],
        ["hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=2", "gamma=0.3"],
        ["hydra/sweeper=optuna", "++hydra.sweeper.n_trials=3", "~gamma"],
        ["hydra.job.name=other", "hydra.searchpath=[]"],
        ["model.nothing=3"],
        ["env={a: 1}"],
        ["env=nothing"],
    ],
    ids=" ".join,
)
def test_a_composition_that_is_found_again_is_hydras_own(further: Sequence[str]) -> None:
    composed(CachingConfigLoader, FOUND_AGAIN)
    assert composed(CachingConfigLoader, [*FOUND_AGAIN, *further]) == composed(ConfigLoaderImpl, [*FOUND_AGAIN, *further])


def test_what_is_set_in_one_composition_is_not_in_the_next() -> None:
    before = composed(CachingConfigLoader, FOUND_AGAIN)
    assert composed(CachingConfigLoader, [*FOUND_AGAIN, "+model.other=3", "model.hidden=[1]"]) != before
    assert composed(CachingConfigLoader, FOUND_AGAIN) == before


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CONFIG_DIR, tmp_path / "conf"))
    before = composed(CachingConfigLoader, FOUND_AGAIN, folder)
    with (folder / "model" / "shared_mlp.yaml").open("a") as file:
        file.write("another: 1\n")
    after = composed(CachingConfigLoader, FOUND_AGAIN, folder)
    assert "another: 1" in after[0] and "another: 1" not in before[0]


def test_a_file_of_ones_own_that_was_changed_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    for gamma in (0.5, 0.75):
        file.write_text(f"# @package _global_\ngamma: {gamma}\n")
        (job,) = compose_jobs(["+experiment=mine", *FOUND_AGAIN], False, [str(tmp_path)])
        assert job.config.gamma == gamma
    file.unlink()
    with pytest.raises(ConfigError, match="mine"):
        compose_jobs(["+experiment=mine", *FOUND_AGAIN], False, [str(tmp_path)])
