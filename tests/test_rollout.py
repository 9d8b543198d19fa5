"""What a window holds, against scripted environments in which every number is known beforehand."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor, nn

from a3c_exp.core.distributions import Categorical, Normal
from a3c_exp.core.returns import n_step_returns
from a3c_exp.core.types import LearnerSpec, Window
from a3c_exp.envs.gymnasium import GymnasiumEnvironments
from a3c_exp.episodes import EndedEpisode, Episodes
from a3c_exp.learner import replay
from a3c_exp.models.base import ActorCritic, PolicyValue
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat import FlatLayout
from a3c_exp.rollout import Rollout
from tests.envs.scripted import End, ScriptedEnvironments, scripted_reward
from tests.models.small_gru import SmallGRU

GAMMA = 0.5


class Reader(ActorCritic):
    """Its value is ``scale (100 seed + t)`` in scripted environments, so a value says which observation it is of."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.family = Categorical(3)
        self.scale = nn.Parameter(torch.tensor(scale))
        self.logits = nn.Parameter(torch.zeros(3))

    def forward(self, observation: Tensor, state: Tensor) -> PolicyValue:
        value = self.scale * (100.0 * observation[..., 0] + observation[..., 1])
        return PolicyValue(self.logits + 0.0 * observation[..., :1], value, state)


def value_of(seed: int, t: int, scale: float = 1.0) -> float:
    return scale * (100.0 * seed + t)


class StepCounter(ActorCritic):
    """Its recurrent state and its value are how many observations it has been shown since the state was reset."""

    state_size = 1

    def __init__(self) -> None:
        super().__init__()
        self.family = Categorical(3)
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, observation: Tensor, state: Tensor) -> PolicyValue:
        state = state + self.one
        return PolicyValue(0.0 * state + torch.zeros(3), state.squeeze(-1), state)


class Bench:
    """A rollout over scripted environments, with the seeds that each worker's episodes are given."""

    def __init__(
        self,
        n: int = 4,
        seeds: Sequence[Sequence[int | None]] = ((1, 2, 3, 4, 5, 6, 7, 8, 9),),
        ends: dict[int, End] | None = None,
        limit: int | None = None,
        model: ActorCritic | None = None,
        weights: Tensor | None = None,
        nan_when_terminated: bool = False,
        pay: Callable[[int, int], float] = scripted_reward,
        **spec: float | bool,
    ) -> None:
        self.k, self.n = len(seeds), n
        self.envs = ScriptedEnvironments(self.k, ends, nan_when_terminated, pay=pay)
        self.model = model or Reader()
        self.layout = FlatLayout.of(self.model)
        self.weights = self.layout.flatten(self.model).repeat(self.k, 1) if weights is None else weights
        self.asked = [0] * self.k
        self._seeds = [iter(some) for some in seeds]
        self.episodes = Episodes(self.envs, self.model, self._begin)
        learner = LearnerSpec(n_step=n, **spec)
        self.rollout = Rollout(self.model, self.layout, self.weights, self.envs, self.episodes, learner, limit)

    def _begin(self, k: int) -> int | None:
        self.asked[k] += 1
        return next(self._seeds[k], None)

    def run(self, *allowed: int, noise: NDArray[np.float32] | None = None) -> tuple[Window, list[EndedEpisode]]:
        """One window; its tensors are copied, since the next one overwrites them."""
        if noise is None:
            noise = np.full((self.k, self.n, self.model.family.noise_size), 0.5, np.float32)
        window, ended = self.rollout.run(np.array(allowed or [self.n] * self.k), noise)
        return Window(*(field.clone() for field in window)), ended


def steps(window: Window, k: int = 0) -> list[tuple[int, int]]:
    """The ``(seed, t)`` that worker k observed at its valid steps."""
    return [(int(seed), int(t)) for seed, t in window.observation[k][window.valid[k] > 0].tolist()]


def targets(window: Window, k: int = 0) -> list[float]:
    returns = n_step_returns(window.reward[k], window.terminated[k], window.cut[k], window.next_value[k], GAMMA)
    return returns[window.valid[k] > 0].tolist()


def paid(*rewards: float, beyond: float = 0.0) -> float:
    """Discounted rewards of one chain and what lies beyond."""
    return sum(GAMMA**i * reward for i, reward in enumerate(rewards)) + GAMMA ** len(rewards) * beyond


R = scripted_reward
ENDS_WITH_EPISODE, ROLLS_THROUGH = {"window_ends_with_episode": True}, {"window_ends_with_episode": False}


@pytest.mark.parametrize("by", ["time limit", "environment"])
@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_truncation_is_not_termination(by: str, rolling: dict[str, bool]) -> None:
    """The target holds V of the final observation (seed 1, t 2), not of the next episode's first (seed 2, t 0)."""
    if by == "time limit":
        bench = Bench(limit=2, **rolling)
    else:
        bench = Bench(ends={1: (2, "truncated"), 2: (2, "truncated")}, **rolling)
    window, ended = bench.run()
    want = [paid(R(1, 1), R(1, 2), beyond=value_of(1, 2)), paid(R(1, 2), beyond=value_of(1, 2))]
    assert targets(window)[:2] == want
    assert not window.terminated.any()
    assert ended[0] == EndedEpisode(0, R(1, 1) + R(1, 2), 2, "truncated", 1)


@pytest.mark.parametrize("by", ["time limit", "environment"])
def test_truncation_is_termination_only_where_asked_for(by: str) -> None:
    if by == "time limit":
        bench = Bench(limit=2, bootstrap_on_truncation=False)
    else:
        bench = Bench(ends={1: (2, "truncated")}, bootstrap_on_truncation=False)
    window, ended = bench.run()
    assert targets(window) == [paid(R(1, 1), R(1, 2)), R(1, 2)]
    assert ended[0].end == "truncated"  # the log still tells the truth


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
@pytest.mark.parametrize("bootstrap", [True, False])
@pytest.mark.parametrize("limit", [None, 2], ids=["no limit", "limit at the same step"])
def test_termination_never_bootstraps(rolling: dict[str, bool], bootstrap: bool, limit: int | None) -> None:
    bench = Bench(ends={1: (2, "terminated")}, limit=limit, bootstrap_on_truncation=bootstrap, **rolling)
    window, ended = bench.run()
    assert targets(window)[:2] == [paid(R(1, 1), R(1, 2)), R(1, 2)]
    assert ended[0].end == "terminated"


def test_a_window_that_ends_with_the_episode_takes_no_step_of_the_next() -> None:
    bench = Bench(ends={1: (2, "terminated")})
    window, _ = bench.run()
    assert steps(window) == [(1, 0), (1, 1)]
    assert window.valid.tolist() == [[1, 1, 0, 0]]
    assert window.cut.tolist() == [[False, True, False, False]]
    assert bench.envs.resets == [[1]]
    window, _ = bench.run()
    assert steps(window) == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert window.first.tolist() == [[1, 0, 0, 0]]


def test_rewards_of_the_next_episode_do_not_leak_into_the_one_before() -> None:
    """One window through a termination, a truncation and the start of a third episode."""
    bench = Bench(n=6, ends={1: (2, "terminated"), 2: (3, "truncated")}, window_ends_with_episode=False)
    window, ended = bench.run()
    assert steps(window) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0)]
    assert window.first.tolist() == [[1, 0, 1, 0, 0, 1]]
    assert targets(window) == [
        paid(R(1, 1), R(1, 2)),
        paid(R(1, 2)),
        paid(R(2, 1), R(2, 2), R(2, 3), beyond=value_of(2, 3)),
        paid(R(2, 2), R(2, 3), beyond=value_of(2, 3)),
        paid(R(2, 3), beyond=value_of(2, 3)),
        paid(R(3, 1), beyond=value_of(3, 1)),
    ]
    assert [(one.env_seed, one.length, one.end) for one in ended] == [(1, 2, "terminated"), (2, 3, "truncated")]
    assert [one.return_ for one in ended] == [R(1, 1) + R(1, 2), R(2, 1) + R(2, 2) + R(2, 3)]


def test_an_episode_goes_on_in_the_next_window() -> None:
    bench = Bench(n=3, ends={1: (5, "terminated")})
    first, _ = bench.run()
    second, ended = bench.run()
    assert steps(first) + steps(second) == [(1, t) for t in range(5)]
    assert targets(first)[0] == paid(R(1, 1), R(1, 2), R(1, 3), beyond=value_of(1, 3))
    assert second.first.sum() == 0
    assert ended == [EndedEpisode(0, sum(R(1, t) for t in range(1, 6)), 5, "terminated", 1)]


def test_a_time_limit_counts_from_the_episodes_start_and_not_the_windows() -> None:
    bench = Bench(n=4, limit=6)
    lengths = [one.length for _ in range(6) for one in bench.run()[1]]
    assert lengths == [6, 6, 6]
    assert bench.envs.resets == [[1, 2, 3]]


def test_every_worker_bootstraps_with_its_own_weights_as_they_are_now() -> None:
    bench = Bench(n=2, seeds=[(1,), (2,)], weights=torch.tensor([[1.0, 0, 0, 0], [3.0, 0, 0, 0]]))
    window, _ = bench.run()
    assert window.next_value[:, 1].tolist() == [value_of(1, 2), value_of(2, 2, scale=3.0)]
    bench.weights[:, 0] = torch.tensor([5.0, 7.0])  # a pull
    window, _ = bench.run()
    assert window.next_value[:, 1].tolist() == [value_of(1, 4, scale=5.0), value_of(2, 4, scale=7.0)]


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_the_allowed_steps_are_never_exceeded(rolling: dict[str, bool]) -> None:
    ends = {seed: (seed % 3 + 1, "terminated") for seed in range(1, 30)}
    seeds = [range(1, 30), range(5, 30), range(7, 30)]
    bench = Bench(n=4, seeds=seeds, ends=ends, **rolling)
    taken = np.zeros(3, np.int64)
    for allowed in itertools.permutations([0, 1, 2, 4], 3):
        window, _ = bench.run(*allowed)
        valid = window.valid.sum(dim=1).long().tolist()
        taken += valid
        assert all(step <= most for step, most in zip(valid, allowed, strict=True))
        if rolling is ROLLS_THROUGH:
            assert valid == list(allowed)  # nothing stops it before
        assert [len(some) for some in bench.envs.actions] == taken.tolist()


def test_the_chain_is_cut_at_the_last_allowed_step() -> None:
    bench = Bench(n=4)
    window, _ = bench.run(2)
    assert window.cut.tolist() == [[False, True, False, False]]
    assert targets(window) == [
        paid(R(1, 1), R(1, 2), beyond=value_of(1, 2)),
        paid(R(1, 2), beyond=value_of(1, 2)),
    ]
    window, _ = bench.run(1)  # and the episode goes on where it stood
    assert steps(window) == [(1, 2)]


def test_no_episode_is_begun_without_a_step_to_take_in_it() -> None:
    """An episode is a ticket: begun at the last allowed step, it would be taken and not lived."""
    bench = Bench(n=4, ends={1: (2, "terminated"), 2: (2, "terminated")}, window_ends_with_episode=False)
    bench.run(2)
    assert bench.envs.resets == [[1]]
    bench.run(0)
    assert bench.asked == [1]
    bench = Bench(n=2, ends={1: (2, "terminated")}, window_ends_with_episode=False)
    bench.run()
    assert bench.envs.resets == [[1]]


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_a_worker_without_an_episode_idles_and_asks_again(rolling: dict[str, bool]) -> None:
    ends = {1: (2, "terminated"), 5: (3, "terminated")}
    bench = Bench(n=4, seeds=[(1, None, None, 5), (2,)], ends=ends, **rolling)
    window, _ = bench.run()
    assert steps(window, 0) == [(1, 0), (1, 1)]
    for _ in range(2 if rolling is ENDS_WITH_EPISODE else 1):
        window, ended = bench.run()
        assert window.valid.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
        assert not window.cut[0].any()
        assert ended == []
    window, ended = bench.run()
    assert steps(window, 0) == [(5, 0), (5, 1), (5, 2)]
    assert ended == [EndedEpisode(0, R(5, 1) + R(5, 2) + R(5, 3), 3, "terminated", 5)]
    assert bench.asked[1] == 1  # it was in its episode all along


def test_a_window_in_which_all_idle_takes_no_step() -> None:
    bench = Bench(seeds=[(None, None), (None, None)])
    for _ in range(2):
        window, ended = bench.run()
        assert window.valid.sum() == 0
        assert ended == []
    assert bench.envs.actions == [[], []]


def test_rewards_are_shifted_and_scaled_for_the_learner_and_raw_in_the_log() -> None:
    bench = Bench(ends={1: (3, "terminated")}, reward_shift=8.0, reward_scale=4.0)
    window, ended = bench.run()
    assert window.reward[0, :3].tolist() == [(R(1, t) + 8.0) / 4.0 for t in (1, 2, 3)]
    assert ended[0].return_ == R(1, 1) + R(1, 2) + R(1, 3)


def test_a_reward_is_clipped_after_it_is_scaled_and_raw_in_the_log() -> None:
    bench = Bench(ends={1: (3, "terminated")}, reward_shift=-R(1, 2), reward_scale=0.5, reward_clip=0.25)
    window, ended = bench.run()
    scaled = [(R(1, t) - R(1, 2)) / 0.5 for t in (1, 2, 3)]
    assert min(scaled) < -0.25
    assert max(scaled) > 0.25
    assert window.reward[0, :3].tolist() == [min(max(reward, -0.25), 0.25) for reward in scaled]
    assert ended[0].return_ == R(1, 1) + R(1, 2) + R(1, 3)


def test_what_stands_behind_a_windows_end_is_not_scaled_again_and_again() -> None:
    """Shifted and divided by less than 1 in every window, a stale reward would grow to infinity, and 0 * inf is NaN."""
    ends = dict.fromkeys(range(2, 400), (2, "terminated"))
    bench = Bench(seeds=[range(1, 400)], ends=ends, reward_shift=1.0, reward_scale=0.5)
    for _ in range(200):
        window, _ = bench.run()
    assert window.reward.abs().max() < 1e5
    returns = n_step_returns(window.reward, window.terminated, window.cut, window.next_value, GAMMA)
    assert torch.isfinite(returns).all()


def test_a_terminal_nan_stays_out_of_the_window_while_others_act() -> None:
    """A simulation that blew up ends with NaN. Its value is not needed, and the worker that waits must not spoil its window."""
    bench = Bench(seeds=[(1, 3), (2,)], ends={1: (2, "terminated")}, nan_when_terminated=True)
    for _ in range(2):
        window, _ = bench.run()
        for field in window:
            assert torch.isfinite(field).all() if field.is_floating_point() else True
    assert steps(window, 0) == [(3, 0), (3, 1), (3, 2), (3, 3)]


def recurrent_bench(workers: Sequence[int], model: ActorCritic, **spec: bool) -> Bench:
    """Some of four workers, each with its own weights, its own episodes and its own ends."""
    seeds = [[10 * worker + i for i in range(1, 10)] for worker in workers]
    ends: dict[int, End] = {10 * worker + i: (2 + (3 * worker + i) % 7, "terminated") for worker in range(4) for i in range(10)}
    layout = FlatLayout.of(model)
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
            for name in ("observation", "action", "reward", "terminated", "cut", "first"):
                assert torch.equal(getattr(stacked, name)[worker][valid], getattr(single, name)[0][valid]), name
            read = single.cut[0] & ~single.terminated[0]
            assert torch.allclose(stacked.next_value[worker][read], single.next_value[0][read], rtol=1e-5, atol=1e-6)
            assert torch.allclose(stacked.state[worker], single.state[0], rtol=1e-5, atol=1e-6)
            mine = [(one.env_seed, one.return_, one.length, one.end) for one in ended if one.worker == worker]
            assert mine == [(one.env_seed, one.return_, one.length, one.end) for one in own]


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_the_learner_replays_what_the_actor_did(rolling: dict[str, bool]) -> None:
    """From the window's own state, with resets inside, the same policy must have given the same actions to the same noise."""
    bench = recurrent_bench([0, 1, 2], SmallGRU(), **rolling)
    generator = np.random.default_rng(4)
    for allowed in ((5, 5, 5), (3, 0, 5), (5, 2, 1), (5, 5, 5)):
        noise = generator.random((3, 5, 1), dtype=np.float32)
        window, _ = bench.run(*allowed, noise=noise)
        assert not window.state.requires_grad
        for k in range(3):
            one = Window(*(field[k] for field in window))
            output = replay(bench.model, bench.layout.unflatten(bench.weights[k]), one)
            again = bench.model.family.sample(output.parameters.detach(), torch.from_numpy(noise[k]))
            valid = one.valid > 0
            assert torch.equal(again[valid], one.action[valid])
    assert len({int(action) for some in bench.envs.actions for _, _, action in some}) == 3  # it was no constant policy


def test_asking_for_a_value_never_advances_the_recurrent_state() -> None:
    """The counter says how many observations it was shown: V of what follows m steps is m + 1, and the state stays m."""
    bench = Bench(n=3, model=StepCounter())
    window, _ = bench.run()
    assert window.next_value[0, 2].item() == 4.0
    window, _ = bench.run(2)
    assert window.state.tolist() == [[3.0]]
    assert window.next_value[0, 1].item() == 6.0
    window, _ = bench.run()
    assert window.state.tolist() == [[5.0]]


def test_recurrent_state_begins_anew_with_every_episode() -> None:
    bench = Bench(n=4, model=StepCounter(), ends={1: (2, "truncated")}, window_ends_with_episode=False)
    window, _ = bench.run()
    assert window.next_value[0].tolist() == [0.0, 3.0, 0.0, 3.0]  # after 2 steps of each episode
    window, _ = bench.run()
    assert window.state.tolist() == [[2.0]]

    bench = Bench(n=4, model=StepCounter(), ends={1: (2, "truncated")})
    bench.run()
    window, _ = bench.run()  # the state of the last episode may stand here, but this step resets it
    assert window.first[0, 0].item() == 1.0
    assert window.next_value[0, 3].item() == 5.0


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_an_episode_that_is_cut_between_windows_was_no_termination_and_leaves_nothing_behind(rolling: dict[str, bool]) -> None:
    bench = Bench(n=3, seeds=((1, 2), (3, 4)), model=StepCounter(), **rolling)
    window, ended = bench.run()
    assert ended == []
    # What the window cut off, it has valued: the fourth observation is what a time limit would bootstrap with as well.
    assert window.next_value[:, -1].tolist() == [4.0, 4.0]
    assert not window.terminated.any()

    cut = bench.episodes.cut(1)
    assert cut == EndedEpisode(1, R(3, 1) + R(3, 2) + R(3, 3), 3, "truncated", 3)
    assert bench.episodes.cut(1) is None, "it is within no episode"
    window, ended = bench.run()
    assert ended == []
    assert steps(window, 0) == [(1, 3), (1, 4), (1, 5)], "the other worker's episode goes on"
    assert steps(window, 1) == [(4, 0), (4, 1), (4, 2)]
    assert window.first.tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    memory = window.state.squeeze(-1) * (1.0 - window.first[:, 0])
    assert memory.tolist() == [3.0, 0.0], "it remembers the episode before"


def test_a_worker_that_sits_out_remembers_what_it_remembered() -> None:
    bench = Bench(n=3, seeds=[(1,), (2,)], model=StepCounter())
    bench.run(1, 3)
    bench.run(0, 3)
    window, _ = bench.run(3, 3)
    assert window.state.tolist() == [[1.0], [6.0]]
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
    envs = GymnasiumEnvironments("Pendulum-v1", num_envs=1)
    model = SeparateMLP(envs.observation_space, envs.action_space, actor_hidden=(4,), critic_hidden=(4,))
    layout = FlatLayout.of(model)
    weights = layout.flatten(model).unsqueeze(0)
    rollout = Rollout(model, layout, weights, envs, Episodes(envs, model, lambda k: 7), LearnerSpec(n_step=3), None)
    noise = np.array([[[50.0], [-50.0], [0.1]]], np.float32)
    window, _ = rollout.run(np.array([3]), noise)

    output = replay(model, layout.unflatten(weights[0]), Window(*(field[0] for field in window)))
    mean, std = output.parameters.detach().split(1, dim=-1)
    drawn = mean + std * torch.from_numpy(noise[0])
    assert drawn[:, 0].abs().max() > 2.0
    assert torch.allclose(window.action[0], drawn, rtol=1e-5)
    density = Normal(1).log_prob(output.parameters.detach(), window.action[0])
    assert density[0].item() == pytest.approx(-0.5 * 50.0**2 - math.log(std[0].item() * math.sqrt(2 * math.pi)), rel=1e-4)

    reference = GymnasiumEnvironments("Pendulum-v1", num_envs=1)
    reference.reset(0, 7)
    for t in range(3):
        reference.step(drawn[t : t + 1].clamp(-2.0, 2.0).numpy(), np.array([True]))
        assert window.reward[0, t].item() == pytest.approx(float(reference.reward[0]), rel=1e-6)


def test_several_action_dimensions_keep_their_places() -> None:
    envs = ScriptedEnvironments(2, action_space=Box(-1.0, 1.0, (2,)))
    model = SeparateMLP(envs.observation_space, envs.action_space, actor_hidden=(3,), critic_hidden=(3,))
    layout = FlatLayout.of(model)
    weights = layout.flatten(model).repeat(2, 1)
    rollout = Rollout(model, layout, weights, envs, Episodes(envs, model, lambda k: k), LearnerSpec(n_step=2), None)
    window, _ = rollout.run(np.array([2, 2]), np.zeros((2, 2, 2), np.float32))
    assert window.action.shape == (2, 2, 2)
    for k in range(2):
        sent = np.array([action for _, _, action in envs.actions[k]])
        np.testing.assert_array_equal(window.action[k].numpy(), sent)
