"""What a window holds, against scripted environments in which every number is known beforehand."""

import itertools

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.episode_tracker import EndedEpisode
from a3c_exp.algorithm.returns import n_step_returns
from tests.support.rollout_bench import (
    ENDS_WITH_EPISODE,
    GAMMA,
    ROLLS_THROUGH,
    Bench,
    R,
    StepCounter,
    paid,
    steps,
    targets,
    value_of,
)


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
    assert window.trajectory_end.tolist() == [[False, True, False, False]]
    assert bench.envs.resets == [[1]]
    window, _ = bench.run()
    assert steps(window) == [(2, 0), (2, 1), (2, 2), (2, 3)]
    assert window.episode_start.tolist() == [[1, 0, 0, 0]]


def test_rewards_of_the_next_episode_do_not_leak_into_the_one_before() -> None:
    """One window through a termination, a truncation and the start of a third episode."""
    bench = Bench(n=6, ends={1: (2, "terminated"), 2: (3, "truncated")}, window_ends_with_episode=False)
    window, ended = bench.run()
    assert steps(window) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0)]
    assert window.episode_start.tolist() == [[1, 0, 1, 0, 0, 1]]
    assert targets(window) == [
        paid(R(1, 1), R(1, 2)),
        paid(R(1, 2)),
        paid(R(2, 1), R(2, 2), R(2, 3), beyond=value_of(2, 3)),
        paid(R(2, 2), R(2, 3), beyond=value_of(2, 3)),
        paid(R(2, 3), beyond=value_of(2, 3)),
        paid(R(3, 1), beyond=value_of(3, 1)),
    ]
    assert [(episode.env_seed, episode.length, episode.end) for episode in ended] == [(1, 2, "terminated"), (2, 3, "truncated")]
    assert [episode.return_ for episode in ended] == [R(1, 1) + R(1, 2), R(2, 1) + R(2, 2) + R(2, 3)]


def test_an_episode_goes_on_in_the_next_window() -> None:
    bench = Bench(n=3, ends={1: (5, "terminated")})
    first, _ = bench.run()
    second, ended = bench.run()
    assert steps(first) + steps(second) == [(1, t) for t in range(5)]
    assert targets(first)[0] == paid(R(1, 1), R(1, 2), R(1, 3), beyond=value_of(1, 3))
    assert second.episode_start.sum() == 0
    assert ended == [EndedEpisode(0, sum(R(1, t) for t in range(1, 6)), 5, "terminated", 1)]


def test_a_time_limit_counts_from_the_episodes_start_and_not_the_windows() -> None:
    bench = Bench(n=4, limit=6)
    lengths = [episode.length for _ in range(6) for episode in bench.run()[1]]
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
    assert window.trajectory_end.tolist() == [[False, True, False, False]]
    assert targets(window) == [
        paid(R(1, 1), R(1, 2), beyond=value_of(1, 2)),
        paid(R(1, 2), beyond=value_of(1, 2)),
    ]
    window, _ = bench.run(1)  # and the episode goes on where it stood
    assert steps(window) == [(1, 2)]


def test_no_episode_is_begun_without_a_step_to_take_in_it() -> None:
    """An episode is a ticket: begun at the last allowed step, it would be taken and not used."""
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
        assert not window.trajectory_end[0].any()
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
    returns = n_step_returns(window.reward, window.terminated, window.trajectory_end, window.next_value, GAMMA)
    assert torch.isfinite(returns).all()


def test_a_terminal_nan_stays_out_of_the_window_while_others_act() -> None:
    """A simulation that blew up ends with NaN. Its value is not needed, and the worker that waits must not spoil its window."""
    bench = Bench(seeds=[(1, 3), (2,)], ends={1: (2, "terminated")}, nan_when_terminated=True)
    for _ in range(2):
        window, _ = bench.run()
        for field in window:
            assert torch.isfinite(field).all() if field.is_floating_point() else True
    assert steps(window, 0) == [(3, 0), (3, 1), (3, 2), (3, 3)]


@pytest.mark.parametrize("rolling", [ENDS_WITH_EPISODE, ROLLS_THROUGH], ids=["ends", "rolls"])
def test_a_lost_life_ends_what_is_learned_from_and_not_the_episode(rolling: dict[str, bool]) -> None:
    """Seed 1 loses lives at its steps 2 and 4, the last of a window, and terminates at 6 with its whole return."""
    bench = Bench(ends={1: (6, "terminated")}, lives={1: (2, 4)}, **rolling)
    first, ended = bench.run()
    assert steps(first) == [(1, 0), (1, 1), (1, 2), (1, 3)] and not ended
    assert first.terminated.tolist() == first.trajectory_end.tolist() == [[False, True, False, True]]
    assert targets(first) == [paid(R(1, 1), R(1, 2)), R(1, 2), paid(R(1, 3), R(1, 4)), R(1, 4)]
    assert first.episode_start.tolist() == [[1, 0, 1, 0]]
    second, ended = bench.run()
    assert targets(second)[:2] == [paid(R(1, 5), R(1, 6)), R(1, 6)]
    assert ended[0] == EndedEpisode(0, sum(R(1, t) for t in range(1, 7)), 6, "terminated", 1)
    assert bench.envs.resets[0][0] == 1


def test_a_lost_life_at_a_time_limit_has_nothing_to_bootstrap() -> None:
    window, ended = Bench(limit=2, lives={1: (2,)}).run()
    assert targets(window) == [paid(R(1, 1), R(1, 2)), R(1, 2)] and ended[0].end == "truncated"


def test_a_new_life_begins_with_an_empty_memory_in_a_checkpoint_too() -> None:
    bench = Bench(n=3, model=StepCounter(), lives={1: (3, 4)})
    first, _ = bench.run()
    assert bench.episodes.hidden_state.tolist() == [[0.0]]  # what a checkpoint has: the state before the next step
    assert first.next_value[0, 2] == 0.0
    second, _ = bench.run()
    assert second.hidden_state.tolist() == [[0.0]]
    assert second.next_value[0, 2] == 3.0  # two steps of the third life, and the observation beyond
    assert second.episode_start.tolist() == [[1, 1, 0]]
