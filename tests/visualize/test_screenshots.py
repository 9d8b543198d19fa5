"""Pictures of a training, which takes no notice of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from a3c_exp.config.compose import compose_jobs
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from a3c_exp.training.resume import resumed_config
from a3c_exp.training.run import resume
from tests.support.command import lines, summary
from tests.support.trained import SMALL, trained

EVERY = ("screenshots.every_env_steps=100", "screenshots.after_steps=15")


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "pictured", *EVERY, "logger=wandb", "logger.mode=offline")


def test_a_run_that_is_looked_at_trains_bit_for_bit_as_one_that_is_not(pictured: Path, tmp_path: Path) -> None:
    unseen = trained(tmp_path / "unseen")
    for digest in ("weights_digest", "episodes_digest"):
        assert summary(pictured)[digest] == summary(unseen)[digest]
    means = [[line["mean"] for line in lines(run / "evaluations.jsonl")] for run in (pictured, unseen)]
    assert means[0] == means[1]
    assert not (unseen / "screenshots").exists()


def test_there_is_a_picture_of_every_date_and_of_the_end_all_of_the_same_episode(pictured: Path) -> None:
    found = sorted((pictured / "screenshots").iterdir(), key=lambda path: int(path.stem.removeprefix("step_")))
    assert [path.name for path in found] == [f"step_{steps}.png" for steps in (100, 200, 300, 400)]
    pictures = [np.asarray(Image.open(path)) for path in found]
    assert {picture.shape for picture in pictures} == {(400, 600, 3)}
    assert (pictures[0] != pictures[-1]).any(), "the weights changed, and what is said of them did not"


def test_pictures_reach_wandb(pictured: Path) -> None:
    (run,) = (pictured / "wandb").glob("offline-run-*")
    sent = list(run.glob("files/media/images/screenshot_*.png"))
    taken = list((pictured / "screenshots").iterdir())
    assert {path.read_bytes() for path in sent} == {path.read_bytes() for path in taken}


def test_a_resumed_run_goes_on_taking_them(pictured: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", *EVERY)
    resume(run, resumed_config(run, ["max_env_steps=600"]))
    names = {path.name for path in (run / "screenshots").iterdir()}
    assert names == {f"step_{steps}.png" for steps in (100, 200, 300, 400, 500, 600)}
    assert (run / "screenshots" / "step_200.png").read_bytes() == (pictured / "screenshots" / "step_200.png").read_bytes()


def test_an_episode_that_ends_sooner_is_shown_at_its_end(tmp_path: Path) -> None:
    """An untrained policy's CartPole falls long before its 400th step."""
    run = trained(tmp_path / "run", "screenshots.every_env_steps=400", "screenshots.after_steps=400")
    assert [path.name for path in (run / "screenshots").iterdir()] == ["step_400.png"]


def test_several_seeds_keep_their_own(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", *EVERY, "num_seeds=2", "max_env_steps=100", "evaluation.every_env_steps=null")
    first, second = (run / f"seed={seed}" / "screenshots" / "step_100.png" for seed in (4, 5))
    assert first.read_bytes() != second.read_bytes()


def test_a_folder_that_takes_no_picture_does_not_end_the_run(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "max_env_steps=100")
    (run / "screenshots").write_text("in the way")
    resume(run, resumed_config(run, [*EVERY, "max_env_steps=200"]))
    assert summary(run)["status"] == "finished" and summary(run)["env_steps"] == 200
    assert "a screenshot could not be written" in (run / "messages.log").read_text()


def test_a_task_without_a_picture_is_refused_before_anything_starts() -> None:
    (job,) = compose_jobs(
        [*SMALL, *EVERY, "logger=none", "env.id=tests.support.pictures:Pictures-v0", "model=conv_gru"], multirun=False
    )
    with pytest.raises(ConfigError, match="draws no picture"):
        build_run(job.config)
