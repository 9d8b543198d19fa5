"""Screenshots of a training, which they do not change."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
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
def run_with_screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run_with_screenshots", *EVERY, "logger=wandb", "logger.mode=offline")


def test_screenshots_do_not_change_training(run_with_screenshots: Path, tmp_path: Path) -> None:
    unseen = trained(tmp_path / "unseen")
    for digest in ("weights_digest", "episodes_digest"):
        assert summary(run_with_screenshots)[digest] == summary(unseen)[digest]
    means = [[line["mean"] for line in lines(run / "evaluations.jsonl")] for run in (run_with_screenshots, unseen)]
    assert means[0] == means[1]
    assert not (unseen / "screenshots").exists()


def test_there_is_a_screenshot_at_every_interval_and_at_the_end(run_with_screenshots: Path) -> None:
    paths = sorted((run_with_screenshots / "screenshots").iterdir(), key=lambda path: int(path.stem.removeprefix("step_")))
    assert [path.name for path in paths] == [f"step_{steps}.png" for steps in (100, 200, 300, 400)]
    pictures = [np.asarray(Image.open(path)) for path in paths]
    assert {picture.shape for picture in pictures} == {(400, 600, 3)}
    assert (pictures[0] != pictures[-1]).any(), "the weights changed, and the overlay did not"


def test_screenshots_reach_wandb(run_with_screenshots: Path) -> None:
    (run,) = (run_with_screenshots / "wandb").glob("offline-run-*")
    sent = list(run.glob("files/media/images/screenshot_*.png"))
    taken = list((run_with_screenshots / "screenshots").iterdir())
    assert {path.read_bytes() for path in sent} == {path.read_bytes() for path in taken}


def test_a_resumed_run_continues_to_take_them(run_with_screenshots: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", *EVERY)
    resume(run, resumed_config(run, ["max_env_steps=600"]))
    names = {path.name for path in (run / "screenshots").iterdir()}
    assert names == {f"step_{steps}.png" for steps in range(100, 601, 100)}
    assert (run / "screenshots" / "step_200.png").read_bytes() == (
        run_with_screenshots / "screenshots" / "step_200.png"
    ).read_bytes()


def test_an_episode_that_ends_sooner_is_shown_at_its_last_step(tmp_path: Path) -> None:
    """An untrained policy's CartPole falls long before its 400th step."""
    run = trained(tmp_path / "run", "screenshots.every_env_steps=400", "screenshots.after_steps=400")
    assert [path.name for path in (run / "screenshots").iterdir()] == ["step_400.png"]


def test_each_seed_has_screenshots_of_its_own(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", *EVERY, "num_seeds=2", "max_env_steps=100", "evaluation.every_env_steps=null")
    first, second = (run / f"seed={seed}" / "screenshots" / "step_100.png" for seed in (4, 5))
    assert first.read_bytes() != second.read_bytes()


def test_a_screenshot_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "max_env_steps=100")
    (run / "screenshots").write_text("a file where the folder should be")
    resume(run, resumed_config(run, [*EVERY, "max_env_steps=200"]))
    assert summary(run)["status"] == "finished" and summary(run)["env_steps"] == 200
    assert "a screenshot could not be written" in (run / "messages.log").read_text()


def test_an_environment_that_cannot_be_rendered_is_refused_before_the_run_starts() -> None:
    (job,) = compose_jobs(
        [*SMALL, *EVERY, "logger=none", "env.id=tests.support.pictures:Pictures-v0", "model=conv_gru"], multirun=False
    )
    with pytest.raises(ConfigError, match="renders no image"):
        build_run(job.config)


def test_what_drawing_raises_is_said_before_the_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of MuJoCo on a machine without a display."""

    def render(self: object) -> None:
        raise RuntimeError("no OpenGL context")

    monkeypatch.setattr(CartPoleEnv, "render", render)
    (job,) = compose_jobs([*SMALL, *EVERY, "logger=none", "env.backend=gymnasium"], multirun=False)
    with pytest.raises(ConfigError, match=r"cannot be rendered here: RuntimeError: no OpenGL context\. Leave out pictures"):
        build_run(job.config)
