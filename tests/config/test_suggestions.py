"""What an error tells a person to type can be typed."""

import re

import pytest

from a3c_exp.config.compose import CONFIG_DIR, compose_jobs
from a3c_exp.system.errors import ConfigError


def test_a_glob_over_a_folder_of_presets_is_answered_with_one_that_finds_them() -> None:
    with pytest.raises(ConfigError) as caught:
        compose_jobs(["+experiment=glob(zoo/*)"], multirun=True)
    (suggested,) = re.findall(r"Try '(\S+)'", str(caught.value))
    presets = (CONFIG_DIR / "experiment" / "zoo").glob("*.yaml")
    found = [job.overrides[0] for job in compose_jobs([suggested], multirun=True)]
    assert found == sorted(f"+experiment/zoo={path.stem}" for path in presets)


@pytest.mark.parametrize("typed", ["zoo=cartpole", "+zoo=cartpole"])
def test_a_preset_without_its_group_is_answered_with_the_group(typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_jobs([typed], multirun=False)
    (suggested,) = re.findall(r"\+experiment=\S+", str(caught.value))
    assert compose_jobs([suggested], multirun=False)[0].config.env.id == "CartPole-v1"
