"""A film of an episode: every frame, at the task's own speed, beside what was thought when it was seen."""

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from a3c_exp.algorithm.random_streams import Purpose, env_seed
from a3c_exp.envs.car_racing.envs import CarRacingEnvironments
from a3c_exp.envs.gymnasium import GymnasiumEnvironments
from a3c_exp.evaluate.evaluator import Decision, EvaluationSpec, Evaluator
from a3c_exp.models.conv_gru import ConvGRU
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.optimizers.flat_parameters import FlatLayout
from a3c_exp.visualize.episode_info import Glance, Story, frames_per_second
from a3c_exp.visualize.headless import draw_into_memory
from a3c_exp.visualize.video_recorder import Camera

SKIP, STEPS = 3, 4


class Reel:
    """Stands where a video file would, and keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def add(self, frame: Any) -> None:
        self.frames.append(frame)


def test_frames_that_an_action_is_held_for_are_all_in_the_film() -> None:
    draw_into_memory()
    skipping = CarRacingEnvironments(1, frame_skip=SKIP, render_mode="rgb_array")
    model = ConvGRU(skipping.observation_space, skipping.action_space, seed=0)
    layout = FlatLayout.of(model)
    reel, actions = Reel(), []

    def keep(picture: np.ndarray, glance: Glance, decision: Decision) -> Any:
        actions.append(int(decision.action))
        return picture

    camera = Camera(skipping, reel, Story(skipping, model.family), keep)
    evaluator = Evaluator(model, layout, skipping, EvaluationSpec(1, False, STEPS), 5, spectator=camera)
    evaluator.evaluate(layout.flatten(model), 0, 0, 0.0)
    camera.close()
    assert len(reel.frames) == 1 + SKIP * STEPS
    assert frames_per_second(skipping) == 50

    every = CarRacingEnvironments(1, frame_skip=1, render_mode="rgb_array")
    every.reset(0, env_seed(5, 0, 0, Purpose.evaluation))
    assert (reel.frames[0] == every.render()).all()
    for number, frame in enumerate(reel.frames[1:]):
        every.step(np.array([actions[number // SKIP * SKIP]]), np.ones(1, np.bool_))
        assert (frame == every.render()).all(), f"frame {number}"
    assert every.facts()["speed"] == skipping.facts()["speed"]
    assert list(skipping.action_names) == ["left 0.8", "right 0.8", "gas 0.1", "brake 0.6"]


def test_each_picture_stands_beside_what_was_thought_of_it() -> None:
    draw_into_memory()
    envs = GymnasiumEnvironments("CartPole-v1", render_mode="rgb_array")
    assert isinstance(envs.observation_space, Box) and isinstance(envs.action_space, Discrete)
    model = SharedMLP(envs.observation_space, envs.action_space, seed=0)
    layout = FlatLayout.of(model)
    reel = Reel()

    def keep(picture: np.ndarray, glance: Glance, decision: Decision) -> Any:
        return glance, decision, envs.observation[0].copy()

    camera = Camera(envs, reel, Story(envs, model.family), keep)
    weights = layout.flatten(model)
    seen = Evaluator(model, layout, envs, EvaluationSpec(1), 5, spectator=camera).evaluate(weights, 0, 0, 0.0)
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
    draw_into_memory()
    returns = []
    for watched in (False, True):
        envs = GymnasiumEnvironments("CartPole-v1", render_mode="rgb_array")
        model = SharedMLP(envs.observation_space, envs.action_space, seed=0)
        layout = FlatLayout.of(model)
        camera = Camera(envs, Reel(), Story(envs, model.family), lambda picture, glance, decision: None)
        evaluator = Evaluator(model, layout, envs, EvaluationSpec(3, False), 5, spectator=camera if watched else None)
        returns.append(evaluator.evaluate(layout.flatten(model), 0, 0, 0.0).returns)
    assert returns[0] == returns[1] and len(set(returns[0])) > 1
