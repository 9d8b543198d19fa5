"""Atari games: gymnasium's pictures and rewards, whole games, lives, and what is refused."""

import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from a3c_exp.algorithm.episode_tracker import EpisodeTracker
from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.atari.area_resize import AreaResize
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.models.conv_net import ConvNet
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from tests.support.pooling import played

pytest.importorskip("ale_py", reason="ale-py is not installed: pip install 'a3c_exp[atari]'")
from a3c_exp.envs.atari.envs import AtariEnvs

PONG, BREAKOUT = "ALE/Pong-v5", "ALE/Breakout-v5"
BOTH = np.array([True, True])


def area_resize(picture: Any, size: tuple[int, int], interpolation: int) -> Any:
    return AreaResize(*picture.shape, size[0])(picture)


@pytest.mark.parametrize("id", [PONG, "BreakoutNoFrameskip-v4"])
def test_a_game_is_the_one_that_gymnasiums_wrappers_make(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: no-ops, sticky actions, frames, rewards and ends; OpenCV's averages differ by 1 in some pixels."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(resize=area_resize, INTER_AREA=3))
    ours = AtariEnvs(id, num_envs=2, fire_reset=False)
    theirs = gymnasium.wrappers.FrameStackObservation(gymnasium.wrappers.AtariPreprocessing(gymnasium.make(id, frameskip=1)), 4)
    random = np.random.default_rng(0)
    for seed in (3, 2**40 + 7):
        ours.reset(1, seed)
        observed, _ = theirs.reset(seed=seed)
        for _ in range(300):
            np.testing.assert_array_equal(ours.observation[1], observed)
            action = random.integers(ours.action_space.n)
            ours.step(np.array([0, action]), np.array([False, True]))
            observed, reward, terminated, truncated, _ = theirs.step(action)
            assert (ours.reward[1], ours.terminated[1], ours.truncated[1]) == (reward, terminated, truncated)
            if terminated:  # the last screen is not looked at, and theirs is an older one
                break
    assert ours.observation.dtype == np.uint8 and ours.observation_space == gymnasium.spaces.Box(0.0, 1.0, (4, 84, 84))
    assert ours.default_max_episode_steps == 27_000
    ours.close()


def test_lives_are_lost_within_a_game_and_the_ball_is_served_again() -> None:
    """Breakout with the paddle left alone: five lives, each of which begins with FIRE, in one game of its own score."""
    envs = AtariEnvs(BREAKOUT, 2, repeat_action_probability=0.0)
    plain = AtariEnvs(BREAKOUT, 1, repeat_action_probability=0.0, terminal_on_life_loss=False)
    for k in range(2):
        envs.reset(k, seed=k)
    plain.reset(0, seed=1)
    ends, total, other = [], 0.0, 0.0
    for step in range(1000):
        flagged = envs.step(np.array([0, 0]), BOTH)
        assert flagged == bool(envs.life_lost.any() or envs.terminated.any())
        assert plain.step(np.array([0]), BOTH[:1]) == bool(envs.terminated[1])
        np.testing.assert_array_equal(plain.observation[0], envs.observation[1])
        assert not plain.life_lost.any()
        total, other = total + envs.reward[1], other + plain.reward[0]
        if envs.life_lost[1] or envs.terminated[1]:
            ends.append((step, bool(envs.terminated[1])))
        if envs.terminated.any():
            break
    assert [over for _, over in ends] == [False] * 4 + [True]
    assert total == other and max(step for step, _ in ends) < 400
    never_served = AtariEnvs(BREAKOUT, 1, repeat_action_probability=0.0, fire_reset=False)
    never_served.reset(0, seed=1)
    assert not any(never_served.step(np.array([0]), BOTH[:1]) for _ in range(100))


def test_a_pool_plays_the_same_games() -> None:
    make = partial(AtariEnvs, BREAKOUT)
    pooled, plain = SubprocessEnvs(make, 3, 2), make(num_envs=3)
    assert played(pooled, seed=1, steps=60) == played(plain, seed=1, steps=60)
    assert pooled.observation.dtype == np.uint8 and pooled.life_lost is not None
    pooled.close()


def test_a_game_is_brought_back_by_its_actions() -> None:
    envs = AtariEnvs(BREAKOUT, 1)
    model = ConvNet(envs.observation_space, envs.action_space, hidden=(8,))
    before = EpisodeTracker(envs, model, lambda _: 12345678901234, record_actions=True)
    assert before.begin(0)
    random, log = np.random.default_rng(1), before.action_log
    assert log is not None
    for _ in range(40):
        actions = random.integers(4, size=(1, 5))
        for t in range(5):
            envs.step(actions[:, t], BOTH[:1])
        log.add_window(actions, np.array([5]))
        before.length[0] += 5
    state = before.episode_state(0)
    again = AtariEnvs(BREAKOUT, 1)
    after = EpisodeTracker(again, model, lambda _: 0, record_actions=True)
    assert after.load_episode_states([state]) == []
    for _ in range(20):
        envs.step(np.array([2]), BOTH[:1])
        again.step(np.array([2]), BOTH[:1])
        np.testing.assert_array_equal(envs.observation, again.observation)


def test_every_frame_of_the_first_game_can_be_drawn() -> None:
    envs = AtariEnvs(PONG, 2, render_mode="rgb_array")
    for k in range(2):
        envs.reset(k, seed=k)
    frames: list[Any] = []
    envs.on_frame = lambda: frames.append(envs.render())
    for _ in range(3):
        envs.step(np.array([2, 3]), BOTH)
    assert len(frames) == 12 and frames[0].shape == (210, 160, 3) and envs.frames_per_second == 60


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["env.id=ALE/Pang-v5"], "is not a registered gymnasium environment"),
        (["env.id=CartPole-v1"], "is no Atari game. Try env.id=ALE/Pong-v5, or env=gymnasium env.id=CartPole-v1"),
        (["env.repeat_action_probability=1.5"], "env.repeat_action_probability"),
        (["env.kwargs={colour:1}"], "could not be made"),
        (["env.frame_skip=0"], "env.frame_skip"),
        (["env.kwargs={frameskip:2}"], "Try env.frame_skip=4"),
        (["env.kwargs={obs_type:ram}"], "Try env=gymnasium"),
        (["env.id=Pong"], "Try env.id=ALE/Pong-v5"),
        (
            ["model=small_mlp"],
            "observes pictures [4, 84, 84], but this model's dense layers read vectors. Try model=nature_cnn",
        ),
        (["env.screen_size=20"], "leave nothing of images of 20x20"),
        (["env=cartpole", "model=nature_cnn"], "model=nature_cnn reads images [channels, height, width], but this environment"),
        (["env=cartpole", "model=a3c_ff"], "Try model=small_mlp"),
        (["env=cartpole", "model=a3c_lstm"], "Try model=recurrent_mlp"),
    ],
)
def test_what_cannot_be_played_is_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        (job,) = compose_jobs(["env=atari", *overrides], multirun=False)
        build_run(job.config)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_game_without_preparation_is_said() -> None:
    for env, said in (("env=gymnasium", True), ("env=atari", False)):
        (job,) = compose_jobs([env, "env.id=ALE/Pong-v5", "model=nature_cnn", "compile=false"], multirun=False)
        assert any("env=atari prepares them" in notice for notice in build_run(job.config).notices) == said
