"""CarRacing as an agent sees it, against gymnasium's own stepped frame by frame."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from skimage.color import rgb2gray

from a3c_exp.config.budget import Budget
from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.car_racing.envs import CarRacingEnvs
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.parallelism.single_process.synchronous import Synchronous
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run
from a3c_exp.training.checkpoint import Checkpoints, load
from benchmarks.car_racing.drive import controls
from tests.support.single_process import Driven, same_bits, tiny_task

ARTICLE = np.array([[-0.8, 0, 0], [0.8, 0, 0], [0, 0.1, 0], [0, 0, 0.6]], np.float32)
BRAKE = np.array([0, 0, 1], np.float32)


class Blind(CarRacing):
    """gymnasium's physics and rewards, quickly."""

    def _render(self, mode: str) -> Any:
        return None


def some_choices(steps: int, k: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).choice(4, size=(steps, k), p=[0.15, 0.15, 0.6, 0.1])


@pytest.mark.parametrize("frame_skip", [1, 3])
def test_an_observation_is_gymnasiums_last_four_pictures_oldest_first(frame_skip: int) -> None:
    """Braking frames first; with frame_skip the picture after each action's last frame. The copies share nothing."""
    ours = CarRacingEnvs(2, frame_skip=frame_skip)
    theirs = [CarRacing(), CarRacing()]
    stacks: list[list[NDArray[np.float64]]] = []
    owed = [0.0, 0.0]
    for k, game in enumerate(theirs):
        ours.reset(k, seed=10 + k)
        game.reset(seed=10 + k)
        braking = [game.step(BRAKE) for _ in range(4)]
        stacks.append([rgb2gray(step[0]) for step in braking])
        owed[k] = sum(float(step[1]) for step in braking)
        assert np.abs(ours.observation[k] - np.array(stacks[k])).max() < 1e-6
    for step, choice in enumerate(some_choices(12, 2)):
        live = np.array([True, step % 3 != 1])
        before = ours.observation.copy()
        assert not ours.step(choice, live)
        for k, game in enumerate(theirs):
            if not live[k]:
                assert np.array_equal(ours.observation[k], before[k])
                continue
            frames = [game.step(ARTICLE[choice[k]]) for _ in range(frame_skip)]
            stacks[k] = [*stacks[k][1:], rgb2gray(frames[-1][0])]
            assert np.abs(ours.observation[k] - np.array(stacks[k])).max() < 1e-6
            paid = owed[k]
            for frame in frames:
                paid += float(frame[1])
            owed[k] = 0.0
            assert ours.reward[k] == paid


@pytest.mark.parametrize("braking_steps", [0, 2, 6])
def test_other_numbers_of_braking_steps_fill_the_stack_as_told(braking_steps: int) -> None:
    """With fewer than four the picture of the reset stands in for those that are missing."""
    ours, theirs = CarRacingEnvs(braking_steps=braking_steps), CarRacing()
    ours.reset(0, seed=3)
    pictures = [theirs.reset(seed=3)[0], *(theirs.step(BRAKE)[0] for _ in range(braking_steps))]
    if braking_steps < 4:
        pictures = [pictures[0]] * (4 - braking_steps) + pictures[1:]
    assert np.abs(ours.observation[0] - np.array([rgb2gray(picture) for picture in pictures[-4:]])).max() < 1e-6
    assert ours.default_max_episode_steps == 1000 - braking_steps


def test_a_return_is_gymnasiums_own_score_and_the_lap_ends_the_episode() -> None:
    frame_skip = 2
    ours, theirs = CarRacingEnvs(actions="continuous", frame_skip=frame_skip), Blind()
    ours.reset(0, seed=1)
    theirs.reset(seed=1)
    score = sum(float(theirs.step(BRAKE)[1]) for _ in range(4))
    return_, terminated, steps = 0.0, False, 0
    while not terminated:
        action = controls(theirs, 60.0).astype(np.float32)
        ended = ours.step(action[None], np.array([True]))
        return_ += ours.reward[0]
        steps += 1
        for _ in range(frame_skip):
            _, reward, terminated, _, _ = theirs.step(action)
            score += float(reward)
            if terminated:
                break
        assert (ended, bool(ours.terminated[0]), bool(ours.truncated[0])) == (terminated, terminated, False)
    assert return_ == pytest.approx(score, abs=1e-9)
    assert score > 880
    assert steps <= ours.default_max_episode_steps == 996 // frame_skip


def test_leaving_the_field_terminates_with_gymnasiums_penalty() -> None:
    """In the middle of a step of several frames, too: the frames after it are not stepped."""
    ours = CarRacingEnvs(actions=[[0, 0.5, 0], [0, 0, 0]], no_progress_limit=70, frame_skip=4)
    ours.reset(0, seed=4)
    for _ in range(90):
        if ours.step(np.array([0]), np.array([True])):
            break
    assert ours.terminated[0] and not ours.truncated[0]
    assert -100.4 < ours.reward[0] <= -100


def test_the_same_seed_is_the_same_episode_in_a_world_that_others_drove_in() -> None:
    """A resumed run replays its episodes in new worlds."""
    used, fresh = CarRacingEnvs(frame_skip=4), CarRacingEnvs(frame_skip=4)
    live = np.array([True])
    for seed in (1, 2):
        used.reset(0, seed)
        for choice in some_choices(25, 1):
            used.step(choice, live)
    used.observation[0] = 0.0  # as the rollout does with ended episodes
    used.reset(0, seed=9)
    fresh.reset(0, seed=9)
    for choice in some_choices(60, 1):
        used.step(choice, live)
        fresh.step(choice, live)
        assert used.reward[0] == fresh.reward[0]
    assert np.array_equal(used.observation, fresh.observation)


def test_a_resumed_training_is_the_one_that_was_never_stopped(tmp_path: Path) -> None:
    """The frame stack comes back with its episode, replayed from the seed; the network's memory with the checkpoint."""
    make = partial(CarRacingEnvs, frame_skip=2, braking_steps=3)
    task = tiny_task(make_envs=make, workers=2, budget=Budget(max_env_steps=28), max_episode_steps=7, n_step=3)
    task = replace(task, make_model=ConvGRU)
    whole = Driven(Synchronous(), task).step(4)
    (state,) = whole.save()
    assert any(episode["in_episode"] and episode["length"] > 0 for episode in state.parallelism_state["episodes"])
    whole.finish().stop()
    (end,) = whole.save()
    resumed = Driven(Synchronous(), task, [load(Checkpoints(tmp_path, keep_last=1).save(state, {}))[0]])
    assert resumed.notices == []
    resumed.finish().stop()
    (reached,) = resumed.save()
    assert same_bits(reached.weights, end.weights)
    assert not same_bits(state.weights, end.weights)


def test_a_hopeless_episode_is_truncated_and_not_terminated() -> None:
    """Standing still: the tiles under the car come with the first step, then none for five steps."""
    envs = CarRacingEnvs(no_progress_limit=5, frame_skip=2, actions=[[0, 0, 0], [0, 1, 0]])
    for seed in (1, 2):  # the count begins anew
        envs.reset(0, seed)
        ends = [envs.step(np.array([0]), np.array([True])) for _ in range(5)]
        assert ends == [False] * 4 + [True]
        assert envs.truncated[0] and not envs.terminated[0]


def test_a_new_tile_gives_new_hope_and_none_is_lost_by_default() -> None:
    """Straight on at half throttle, along the road for a while and then over the grass."""
    hopeful, patient = (
        CarRacingEnvs(no_progress_limit=no_progress_limit, actions="continuous", frame_skip=5)
        for no_progress_limit in (15, None)
    )
    gas = np.array([[0, 0.5, 0]], np.float32)
    lengths, rewards = [], []
    for envs in (hopeful, patient):
        envs.reset(0, seed=1)
        rewards.clear()
        for _ in range(44):
            ended = envs.step(gas, np.array([True]))
            rewards.append(envs.reward[0])
            if ended:
                break
        lengths.append(len(rewards))
    paid = [step for step, reward in enumerate(rewards, 1) if reward > 0]
    assert lengths[1] == 44 and max(paid) > 15
    assert lengths[0] == max(paid) + 15
    assert hopeful.truncated[0] and not patient.truncated[0]


def test_the_arrays_are_overwritten_in_place() -> None:
    envs = CarRacingEnvs(1)
    arrays = envs.observation, envs.reward, envs.terminated, envs.truncated
    envs.reset(0, 1)
    envs.step(np.array([2]), np.array([True]))
    assert all(a is b for a, b in zip(arrays, (envs.observation, envs.reward, envs.terminated, envs.truncated), strict=True))
    assert envs.observation.dtype == np.float32 and envs.reward.dtype == np.float64
    assert envs.observation_space.contains(envs.observation[0])


def test_other_processes_see_the_same_bits() -> None:
    make = partial(CarRacingEnvs, frame_skip=2, crop=True)
    here, there = make(num_envs=2), SubprocessEnvs(make, 2, processes=2)
    try:
        for k in range(2):
            here.reset(k, seed=k)
            there.reset(k, seed=k)
        for choice in some_choices(5, 2):
            here.step(choice, np.array([True, True]))
            there.step(choice, np.array([True, True]))
        assert np.array_equal(here.observation, there.observation)
        assert np.array_equal(here.reward, there.reward)
    finally:
        there.close()


def test_the_render_as_source_is_the_large_picture() -> None:
    """It shows tyre marks, and the score a frame later than the small one does."""
    small, large = CarRacingEnvs(actions="continuous"), CarRacingEnvs(actions="continuous", source="render")
    for envs in (small, large):
        envs.reset(0, seed=2)
        for _ in range(30):
            envs.step(np.array([[0.5, 1.0, 0.0]], np.float32), np.array([True]))
    assert small.reward[0] == large.reward[0]
    difference = np.abs(small.observation - large.observation)
    assert 0.001 < difference.mean() < 0.1


def test_the_picture_for_the_eye_is_gymnasiums() -> None:
    ours, theirs = CarRacingEnvs(render_mode="rgb_array"), CarRacing(render_mode="rgb_array")
    ours.reset(0, seed=2)
    theirs.reset(seed=2)
    for _ in range(4):
        theirs.step(BRAKE)
    for _ in range(3):
        ours.step(np.array([2]), np.array([True]))
        theirs.step(ARTICLE[2])
    assert np.array_equal(ours.render(), theirs.render())


def test_spaces_follow_the_actions() -> None:
    assert CarRacingEnvs().action_space == Discrete(4)
    assert CarRacingEnvs(actions=[[-1, 0, 0], [0, 1, 0], [1, 0, 0.5]]).action_space == Discrete(3)
    continuous = CarRacingEnvs(actions="continuous").action_space
    assert isinstance(continuous, Box) and continuous.low.tolist() == [-1, 0, 0] and continuous.high.tolist() == [1, 1, 1]


def test_what_lies_beyond_the_bounds_is_clipped() -> None:
    """A Gaussian policy samples it; gymnasium itself would steer harder than the wheel turns."""
    wild, tame = (CarRacingEnvs(actions="continuous") for _ in range(2))
    for envs, action in ((wild, [-7.0, 3.0, -2.0]), (tame, [-1.0, 1.0, 0.0])):
        envs.reset(0, seed=1)
        for _ in range(10):
            envs.step(np.array([action], np.float32), np.array([True]))
    assert np.array_equal(wild.observation, tame.observation)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"braking_steps": 999, "frame_skip": 4}, "leaves no step"),
        ({"actions": []}, "nothing to choose from"),
        ({"actions": [[0, 0, 0]]}, "nothing to choose from"),
        ({"actions": "fast"}, "It is continuous, null"),
        ({"actions": [[0, 0, 0], [0, 1]]}, "env.actions[1] is [0, 1], but an action is three numbers"),
        ({"actions": [[0, 0, 0], [0, float("nan"), 0]]}, "three numbers"),
        ({"actions": [[0, 0, 0], [0, True, 0]]}, "three numbers"),
        ({"actions": [[0, 0, 0], [0, -0.1, 0]]}, "env.actions[1] has gas -0.1, but gas lies in [0, 1]"),
        ({"actions": [[-1.5, 0, 0], [0, 0, 0]]}, "env.actions[0] has steering -1.5, but steering lies in [-1, 1]"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CarRacingEnvs(**options)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_evaluation_does_not_give_up_although_training_does() -> None:
    (job,) = compose_jobs(["env=car_racing", "env.no_progress_limit=3", "env.frame_skip=4"], multirun=False)
    task = build_run(job.config).setup
    for make, ends in ((task.make_envs, True), (task.make_evaluation_envs, False)):
        envs = make(num_envs=1)
        envs.reset(0, seed=1)
        brake = np.array([3])
        assert any(envs.step(brake, np.array([True])) for _ in range(5)) == ends
        assert envs.default_max_episode_steps == 249  # everything else is as in training
