"""A recorded video has every frame, at the environment's own speed, with what the policy said when it saw it."""

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
from a3c_exp.visualize.episode_frames import FrameInfo, frames_per_second, use_headless_display
from a3c_exp.visualize.video import VideoRecorder

SKIP, STEPS = 3, 4


class FrameList:
    """In place of a video file: keeps the frames."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def add(self, frame: Any) -> None:
        self.frames.append(frame)


def test_every_frame_of_a_repeated_action_is_in_the_video() -> None:
    use_headless_display()
    skipping = CarRacingEnvs(1, frame_skip=SKIP, render_mode="rgb_array")
    model = ConvGRU(skipping.observation_space, skipping.action_space, seed=0)
    layout = ParameterLayout.from_module(model)
    video, actions = FrameList(), []

    def compose(picture: np.ndarray, info: FrameInfo, policy_step: PolicyStep) -> Any:
        actions.append(int(policy_step.action))
        return picture

    recorder = VideoRecorder(skipping, model.distribution, compose, video)
    evaluator = Evaluator(model, layout, skipping, EvaluatorConfig(1, False, STEPS), 5, observer=recorder)
    evaluator.evaluate(layout.flatten(model), 0, 0, 0.0)
    recorder.close()
    assert len(video.frames) == 1 + SKIP * STEPS
    assert frames_per_second(skipping) == 50

    every = CarRacingEnvs(1, frame_skip=1, render_mode="rgb_array")
    every.reset(0, env_seed(5, 0, 0, StreamPurpose.evaluation))
    assert (video.frames[0] == every.render()).all()
    for number, frame in enumerate(video.frames[1:]):
        every.step(np.array([actions[number // SKIP * SKIP]]), np.ones(1, np.bool_))
        assert (frame == every.render()).all(), f"frame {number}"
    assert every.info()["speed"] == skipping.info()["speed"]
    assert list(skipping.action_names) == ["left 0.8", "right 0.8", "gas 0.1", "brake 0.6"]


def test_each_frame_shows_the_policy_step_that_saw_it() -> None:
    use_headless_display()
    envs = GymnasiumEnvs("CartPole-v1", render_mode="rgb_array")
    assert isinstance(envs.observation_space, Box) and isinstance(envs.action_space, Discrete)
    model = SharedMLP(envs.observation_space, envs.action_space, seed=0)
    layout = ParameterLayout.from_module(model)
    video = FrameList()

    def compose(picture: np.ndarray, info: FrameInfo, policy_step: PolicyStep) -> Any:
        return info, policy_step, envs.observation[0].copy()

    recorder = VideoRecorder(envs, model.distribution, compose, video)
    weights = layout.flatten(model)
    evaluation = Evaluator(model, layout, envs, EvaluatorConfig(1), 5, observer=recorder).evaluate(weights, 0, 0, 0.0)
    recorder.close()
    *steps, last = video.frames
    assert len(steps) == evaluation.mean_length
    for number, (info, policy_step, observation) in enumerate(steps):
        assert info.step == info.return_ == number
        assert (policy_step.observation.numpy() == observation).all()
        with torch.no_grad():
            value = float(model(policy_step.observation, policy_step.hidden_state).value)
        assert abs(info.values[-1] - value) < 1e-5
        assert abs(info.env_info["speed"] - abs(observation[1])) < 1e-6
    assert last[0].return_ == evaluation.mean, "the last frame shows the result of the last step"


def test_recording_changes_no_episode() -> None:
    use_headless_display()
    returns = []
    for recorded in (False, True):
        envs = GymnasiumEnvs("CartPole-v1", render_mode="rgb_array")
        model = SharedMLP(envs.observation_space, envs.action_space, seed=0)
        layout = ParameterLayout.from_module(model)
        recorder = VideoRecorder(envs, model.distribution, lambda picture, info, policy_step: picture, FrameList())
        evaluator = Evaluator(model, layout, envs, EvaluatorConfig(3, False), 5, observer=recorder if recorded else None)
        returns.append(evaluator.evaluate(layout.flatten(model), 0, 0, 0.0).returns)
    assert returns[0] == returns[1] and len(set(returns[0])) > 1
