"""What a window holds where a model remembers, where workers are stacked, and where actions are drawn and clipped."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from a3c_exp.algorithm.episode_tracker import EndedEpisode, EpisodeTracker
from a3c_exp.algorithm.rollout import Rollout
from a3c_exp.algorithm.types import LearnerConfig, Window
from a3c_exp.algorithm.window_gradient import replay
from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.models.base import ActorCritic
from a3c_exp.models.distributions import Normal
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from tests.support.rollout_bench import ENDS_WITH_EPISODE, ROLLS_THROUGH, Bench, R, StepCounter, steps
from tests.support.scripted import End, ScriptedEnvironments
from tests.support.small_gru import SmallGRU


def recurrent_bench(workers: Sequence[int], model: ActorCritic, **spec: bool) -> Bench:
    """Some of four workers, each with its own weights, its own episodes and its own ends."""
    seeds = [[10 * worker + i for i in range(1, 10)] for worker in workers]
    ends: dict[int, End] = {10 * worker + i: (2 + (3 * worker + i) % 7, "terminated") for worker in range(4) for i in range(10)}
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model) + 0.2 * torch.randn(4, layout.size, generator=torch.Generator().manual_seed(1))
    own = weights[list(workers)].contiguous()
    return Bench(n=5, seeds=seeds, ends=ends, model=model, weights=own, pay=inexactly, **spec)


def inexactly(seed: int, t: int) -> float:
    """Sums of these round, so that another order of adding them up is another number."""
    return -0.1 * seed - 0.37 * t * t


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
@pytest.mark.parametrize("stackable", [True, False], ids=["stacked", "looped"])
def test_a_window_does_not_depend_on_who_is_stacked_with_it(rolling: dict[str, bool], stackable: bool) -> None:
    model = SmallGRU(stackable=stackable)
    noise = np.random.default_rng(3).random((6, 4, 5, 1), dtype=np.float32)
    allowed = np.array([[5, 5, 5, 5], [5, 3, 0, 1], [2, 5, 5, 5], [5, 5, 4, 0], [0, 5, 5, 5], [5, 5, 5, 5]])
    together = recurrent_bench([0, 1, 2, 3], model, **rolling)
    alone = [recurrent_bench([worker], model, **rolling) for worker in range(4)]
    for draw, most in zip(noise, allowed, strict=True):
        stacked, ended = together.run(*most, noise=draw)
        for worker, bench in enumerate(alone):
            single, own = bench.run(most[worker], noise=draw[[worker]])
            valid = single.valid[0] > 0
            assert torch.equal(stacked.valid[worker], single.valid[0])
            for name in ("observation", "action", "reward", "terminated", "trajectory_end", "episode_start"):
                assert torch.equal(getattr(stacked, name)[worker][valid], getattr(single, name)[0][valid]), name
            read = single.trajectory_end[0] & ~single.terminated[0]
            assert torch.allclose(stacked.next_value[worker][read], single.next_value[0][read], rtol=1e-5, atol=1e-6)
            assert torch.allclose(stacked.hidden_state[worker], single.hidden_state[0], rtol=1e-5, atol=1e-6)
            mine = [
                (episode.env_seed, episode.return_, episode.length, episode.end)
                for episode in ended
                if episode.worker == worker
            ]
            assert mine == [(episode.env_seed, episode.return_, episode.length, episode.end) for episode in own]


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_the_learner_replays_what_the_actor_did(rolling: dict[str, bool]) -> None:
    """From the window's own state, with resets inside, the same policy must have given the same actions to the same noise."""
    bench = recurrent_bench([0, 1, 2], SmallGRU(), **rolling)
    generator = np.random.default_rng(4)
    for allowed in ((5, 5, 5), (3, 0, 5), (5, 2, 1), (5, 5, 5)):
        noise = generator.random((3, 5, 1), dtype=np.float32)
        window, _ = bench.run(*allowed, noise=noise)
        assert not window.hidden_state.requires_grad
        for k in range(3):
            one = Window(*(field[k] for field in window))
            output = replay(bench.model, bench.layout.unflatten(bench.weights[k]), one)
            again = bench.model.distribution.sample(output.parameters.detach(), torch.from_numpy(noise[k]))
            valid = one.valid > 0
            assert torch.equal(again[valid], one.action[valid])
    assert len({int(action) for some in bench.envs.actions for _, _, action in some}) == 3  # it was no constant policy


def test_asking_for_a_value_never_advances_the_recurrent_state() -> None:
    """The counter says how many observations it was shown: V of what follows m steps is m + 1, and the state stays m."""
    bench = Bench(n=3, model=StepCounter())
    window, _ = bench.run()
    assert window.next_value[0, 2].item() == 4.0
    window, _ = bench.run(2)
    assert window.hidden_state.tolist() == [[3.0]]
    assert window.next_value[0, 1].item() == 6.0
    window, _ = bench.run()
    assert window.hidden_state.tolist() == [[5.0]]


def test_recurrent_state_begins_anew_with_every_episode() -> None:
    bench = Bench(n=4, model=StepCounter(), ends={1: (2, "truncated")}, window_ends_with_episode=False)
    window, _ = bench.run()
    assert window.next_value[0].tolist() == [0.0, 3.0, 0.0, 3.0]  # after 2 steps of each episode
    window, _ = bench.run()
    assert window.hidden_state.tolist() == [[2.0]]

    bench = Bench(n=4, model=StepCounter(), ends={1: (2, "truncated")})
    bench.run()
    window, _ = bench.run()  # the state of the last episode may stand here, but this step resets it
    assert window.episode_start[0, 0].item() == 1.0
    assert window.next_value[0, 3].item() == 5.0


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_an_episode_that_is_cut_between_windows_was_no_termination_and_leaves_nothing_behind(rolling: dict[str, bool]) -> None:
    bench = Bench(n=3, seeds=((1, 2), (3, 4)), model=StepCounter(), **rolling)
    window, ended = bench.run()
    assert ended == []
    # What the window cut off, it has valued: the fourth observation is what a time limit would bootstrap with as well.
    assert window.next_value[:, -1].tolist() == [4.0, 4.0]
    assert not window.terminated.any()

    cut = bench.episodes.truncate(1)
    assert cut == EndedEpisode(1, R(3, 1) + R(3, 2) + R(3, 3), 3, "truncated", 3)
    assert bench.episodes.truncate(1) is None, "it is within no episode"
    window, ended = bench.run()
    assert ended == []
    assert steps(window, 0) == [(1, 3), (1, 4), (1, 5)], "the other worker's episode goes on"
    assert steps(window, 1) == [(4, 0), (4, 1), (4, 2)]
    assert window.episode_start.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    memory = window.hidden_state.squeeze(-1) * (1.0 - window.episode_start[:, 0])
    assert memory.tolist() == [3.0, 0.0], "it remembers the episode before"


def test_a_worker_that_sits_out_remembers_what_it_remembered() -> None:
    bench = Bench(n=3, seeds=[(1,), (2,)], model=StepCounter())
    bench.run(1, 3)
    bench.run(0, 3)
    window, _ = bench.run(3, 3)
    assert window.hidden_state.tolist() == [[1.0], [6.0]]
    assert steps(window, 0) == [(1, 1), (1, 2), (1, 3)]


def test_every_action_takes_the_noise_of_its_own_worker_and_step() -> None:
    """Under equal probabilities, noise below 1/3 is action 0, above 2/3 action 2."""
    bench = Bench(n=3, seeds=[(1,), (2,)])
    noise = np.array([[[0.1], [0.5], [0.9]], [[0.9], [0.1], [0.5]]], np.float32)
    window, _ = bench.run(noise=noise)
    assert window.action.tolist() == [[0, 1, 2], [2, 0, 1]]
    assert [[int(action) for _, _, action in some] for some in bench.envs.actions] == [[0, 1, 2], [2, 0, 1]]


def test_only_the_environment_sees_the_clip() -> None:
    """The window keeps the sample as it was drawn, also far outside the bounds: its density is what the loss needs."""
    envs = GymnasiumEnvs("Pendulum-v1", num_envs=1)
    model = SeparateMLP(envs.observation_space, envs.action_space, actor_hidden=(4,), critic_hidden=(4,))
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model).unsqueeze(0)
    rollout = Rollout(model, layout, weights, envs, EpisodeTracker(envs, model, lambda k: 7), LearnerConfig(n_step=3), None)
    noise = np.array([[[50.0], [-50.0], [0.1]]], np.float32)
    window, _ = rollout.run(np.array([3]), noise)

    output = replay(model, layout.unflatten(weights[0]), Window(*(field[0] for field in window)))
    mean, std = output.parameters.detach().split(1, dim=-1)
    drawn = mean + std * torch.from_numpy(noise[0])
    assert drawn[:, 0].abs().max() > 2.0
    assert torch.allclose(window.action[0], drawn, rtol=1e-5)
    density = Normal(1).log_prob(output.parameters.detach(), window.action[0])
    assert density[0].item() == pytest.approx(-0.5 * 50.0**2 - math.log(std[0].item() * math.sqrt(2 * math.pi)), rel=1e-4)

    reference = GymnasiumEnvs("Pendulum-v1", num_envs=1)
    reference.reset(0, 7)
    for t in range(3):
        reference.step(drawn[t : t + 1].clamp(-2.0, 2.0).numpy(), np.array([True]))
        assert window.reward[0, t].item() == pytest.approx(float(reference.reward[0]), rel=1e-6)


def test_several_action_dimensions_keep_their_places() -> None:
    envs = ScriptedEnvironments(2, action_space=Box(-1.0, 1.0, (2,)))
    model = SeparateMLP(envs.observation_space, envs.action_space, actor_hidden=(3,), critic_hidden=(3,))
    layout = ParameterLayout.from_module(model)
    weights = layout.flatten(model).repeat(2, 1)
    rollout = Rollout(model, layout, weights, envs, EpisodeTracker(envs, model, lambda k: k), LearnerConfig(n_step=2), None)
    window, _ = rollout.run(np.array([2, 2]), np.zeros((2, 2, 2), np.float32))
    assert window.action.shape == (2, 2, 2)
    for k in range(2):
        sent = np.array([action for _, _, action in envs.actions[k]])
        np.testing.assert_array_equal(window.action[k].numpy(), sent)
