"""Held-out episodes by sampled actions: which noise they are made of."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from a3c_exp.evaluate.evaluator import Evaluator, EvaluatorConfig
from a3c_exp.models.heads import HeadConfig
from tests.support.single_process import tiny_task

EPISODES, STEPS = 2, 7


class Recording(Evaluator):
    """Keeps the noise of every step."""

    def _draw_noise(self, noise: NDArray[np.float32], generators: Sequence[np.random.Generator], step: int) -> None:
        super()._draw_noise(noise, generators, step)
        self.noise = [*getattr(self, "noise", []), noise[:, 0].copy()]


@pytest.mark.parametrize(("freq", "redrawn"), [(-1, [0]), (3, [0, 3, 6]), (1, list(range(STEPS)))])
def test_an_exploration_matrix_is_kept_for_so_many_steps_or_for_the_episode(freq: int, redrawn: list[int]) -> None:
    setup = tiny_task("separate", "Pendulum-v1")
    setup = replace(setup, make_model=partial(setup.make_model, head=HeadConfig(use_sde=True, sde_sample_freq=freq)))
    envs = setup.make_envs(num_envs=EPISODES)
    model, layout = setup.model(envs)
    returns = []
    for _ in range(2):
        evaluator = Recording(model, layout, envs, EvaluatorConfig(EPISODES, False, STEPS), seed=3)
        returns.append(evaluator.evaluate(layout.flatten(model), 0, 0, 0.0).returns)
        noise = np.stack(evaluator.noise)
        assert noise.shape == (STEPS, EPISODES, model.distribution.sde_noise)
        for episode in range(EPISODES):
            changed = (noise[1:, episode] != noise[:-1, episode]).any(axis=1).nonzero()[0] + 1
            assert [0, *changed.tolist()] == redrawn
        assert (noise[:, 0] != noise[:, 1]).all()
    envs.close()
    assert returns[0] == returns[1]
