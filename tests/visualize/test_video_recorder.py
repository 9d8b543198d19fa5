"""A film of an episode: every frame, at the task's own speed, beside what was thought when it was seen."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed
from a3c_exp.envs.car_racing.envs import CarRacingEnvs
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig, PolicyStep
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.visualize.episode_info import EpisodeHistory, FrameInfo, frames_per_second
from a3c_exp.visualize.headless import use_headless_display
from a3c_exp.visualize.video_recorder import VideoRecorder

SKIP, STEPS = 3, 4


class Reel:
    """Stands where a video file would, and keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def add(self, frame: Any) -> None:
        self.frames.append(frame)


def test_frames_that_an_action_is_held_for_are_all_in_the_film() -> None:
    use_headless_display()
    skipping = CarRacingEnvs(1, frame_skip=SKIP, render_mode="rgb_array")
    model = ConvGRU(skipping.observation_space, skipping.action_space, seed=0)
    layout = ParameterLayout.from_module(model)
    reel, actions = Reel(), []

    def keep(picture: np.ndarray, glance: FrameInfo, decision: PolicyStep) -> Any:
        actions.append(int(decision.action))
        return picture

    camera = VideoRecorder(skipping, reel, EpisodeHistory(skipping, model.distribution), keep)
    evaluator = Evaluator(model, layout, skipping, EvaluatorConfig(1, False, STEPS), 5, observer=camera)
    evaluator.evaluate(layout.flatten(model), 0, 0, 0.0)
    camera.close()
    assert len(reel.frames) == 1 + SKIP * STEPS
    assert frames_per_second(skipping) == 50

    every = CarRacingEnvs(1, frame_skip=1, render_mode="rgb_array")
    every.reset(0, env_seed(5, 0, 0, StreamPurpose.evaluation))
    assert (reel.frames[0] == every.render()).all()
    for number, frame in enumerate(reel.frames[1:]):
        every.step(np.array([actions[number // SKIP * SKIP]]), np.ones(1, np.bool_))
        assert (frame == every.render()).all(), f"frame {number}"
    assert every.info()["speed"] == skipping.info()["speed"]
    assert list(skipping.action_names) == ["left 0.8", "right 0.8", "gas 0.1", "brake 0.6"]


def test_each_picture_stands_beside_what_was_thought_of_it() -> None:
    use_headless_display()
    envs = GymnasiumEnvs("CartPole-v1", render_mode="rgb_array")
    assert isinstance(envs.observation_space, Box) and isinstance(envs.action_space, Discrete)
    model = SharedMLP(envs.observation_space, envs.action_space, seed=0)
    layout = ParameterLayout.from_module(model)
    reel = Reel()

    def keep(picture: np.ndarray, glance: FrameInfo, decision: PolicyStep) -> Any:
        return glance, decision, envs.observation[0].copy()

    camera = VideoRecorder(envs, reel, EpisodeHistory(envs, model.distribution), keep)
    weights = layout.flatten(model)
    seen = Evaluator(model, layout, envs, EvaluatorConfig(1), 5, observer=camera).evaluate(weights, 0, 0, 0.0)
    camera.close()
    *steps, last = reel.frames
    assert len(steps) == seen.mean_length
    for number, (glance, decision, observation) in enumerate(steps):
        assert glance.step == glance.return_ == number
        assert (decision.observation.numpy() == observation).all()
        with torch.no_grad():
            value = float(model(decision.observation, decision.state).value)
        assert abs(glance.values[-1] - value) < 1e-5
        assert abs(glance.facts["speed"] - abs(observation[1])) < 1e-6
    assert last[0].return_ == seen.mean, "the last picture shows what the last step led to"


def test_a_look_on_changes_no_episode() -> None:
    use_headless_display()
    returns = []
    for watched in (False, True):
        envs = GymnasiumEnvs("CartPole-v1", render_mode="rgb_array")
        model = SharedMLP(envs.observation_space, envs.action_space, seed=0)
        layout = ParameterLayout.from_module(model)
        camera = VideoRecorder(envs, Reel(), EpisodeHistory(envs, model.distribution), lambda picture, glance, decision: None)
        evaluator = Evaluator(model, layout, envs, EvaluatorConfig(3, False), 5, observer=camera if watched else None)
        returns.append(evaluator.evaluate(layout.flatten(model), 0, 0, 0.0).returns)
    assert returns[0] == returns[1] and len(set(returns[0])) > 1
