"""Running moments: plain averages, however the stream is cut; and the model that sees what they normalize."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from a3c_exp.algorithm.normalization import discounted_returns
from a3c_exp.models.normalization import Moments, Normalization, NormalizedModel, packed_size
from tests.support.single_process import beginnings, tiny_task


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**31),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=30),
    mean=st.floats(-1e4, 1e4),
    scale=st.floats(1e-2, 1e3),
)
def test_merged_windows_are_the_whole_stream(seed: int, lengths: list[int], mean: float, scale: float) -> None:
    random = np.random.default_rng(seed)
    stream = [torch.from_numpy(random.normal(mean, scale, (length, 3)).astype(np.float32)) for length in lengths]
    statistics = torch.zeros(packed_size(3))
    for window in stream:
        padded = torch.cat([window, torch.full((2, 3), torch.nan)])  # what comes after a window's end may be anything
        valid = torch.cat([torch.ones(len(window)), torch.zeros(2)])
        before = statistics
        statistics = Moments.unpack(statistics).merge(Moments.unpack(Moments.of(padded, valid).pack())).pack()
        assert len(window) or torch.equal(statistics, Moments.unpack(before).pack())
    whole, merged = torch.cat(stream).double(), Moments.unpack(statistics)
    assert merged.steps == len(whole)
    if len(whole):
        torch.testing.assert_close(merged.mean, whole.mean(0), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(merged.m2, whole.var(0, correction=0) * len(whole), rtol=1e-6, atol=1e-6)


def test_two_halves_merge_alike_in_either_order() -> None:
    """What processes have seen is merged by each reader, in no order that means anything."""
    x, y = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0)).double()
    ours = Moments.of(x, torch.ones(50)).merge(Moments.of(y + 3, torch.ones(50)))
    theirs = Moments.of(y + 3, torch.ones(50)).merge(Moments.of(x, torch.ones(50)))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_rows_together_are_the_whole_sample() -> None:
    x = torch.randn(5, 9, 3, generator=torch.Generator().manual_seed(0)).double() * 3 + 100
    rows = [Moments.of(row, torch.arange(9) < length) for row, length in zip(x, (9, 0, 4, 1, 9), strict=True)]
    whole = torch.cat([row[:length] for row, length in zip(x, (9, 0, 4, 1, 9), strict=True)])
    together = Moments(*(torch.stack(parts) for parts in zip(*rows, strict=True))).together()
    for ours, theirs in zip(together, Moments.of(whole, torch.ones(len(whole))), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_merging_nothing_changes_no_bit() -> None:
    seen = Moments.of(torch.randn(7, 2) * 1e5, torch.ones(7)).pack()
    for _ in range(3):
        seen, before = Moments.unpack(seen).merge(Moments.unpack(torch.zeros(packed_size(2)))).pack(), seen
        assert torch.equal(seen, before)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 9), gamma=st.floats(0.1, 1.0))
def test_discounted_returns_are_sums_since_each_beginning(seed: int, n: int, gamma: float) -> None:
    random = np.random.default_rng(seed)
    reward, starts = random.normal(size=n), random.random(n) < 0.3
    steps, before = int(random.integers(0, n + 1)), float(random.normal())
    valid = np.arange(n) < steps
    expected, current = [], before
    for t in range(n):
        if valid[t]:
            current = reward[t] + gamma * (0.0 if starts[t] else current)
        expected.append(current)
    inputs = (torch.tensor(np.where(valid, reward, 0.0)), torch.tensor(starts).double(), torch.tensor(valid).double())
    returns = discounted_returns(*inputs, torch.tensor(before, dtype=torch.float64), gamma)
    assert returns.tolist() == pytest.approx(expected)


def test_the_model_sees_normalized_and_clipped_observations() -> None:
    task = tiny_task(normalization=Normalization(observation=True, clip_observation=1.0))
    model, _ = task.model(task.make_envs(num_envs=1))
    assert isinstance(model, NormalizedModel)
    seen = torch.randn(1000, 4) * torch.tensor([1.0, 10.0, 0.1, 3.0]) + torch.tensor([5.0, 0.0, -2.0, 1.0])
    raw = model(seen, torch.zeros(0))
    plain = model.model(seen.clamp(-1, 1), torch.zeros(0))
    torch.testing.assert_close(raw.parameters, plain.parameters)  # nothing was seen yet: as they are, but clipped
    with torch.no_grad():
        model.running["statistics"].copy_(Moments.of(seen, torch.ones(1000)).pack())
    expected = ((seen - seen.mean(0)) / seen.std(0, correction=0)).clamp(-1, 1)
    torch.testing.assert_close(model(seen, torch.zeros(0)).value, model.model(expected, torch.zeros(0)).value)


def test_the_networks_own_weights_begin_as_without_normalization() -> None:
    (with_statistics,) = beginnings(task := tiny_task(normalization=Normalization(True, True)))
    (without,) = beginnings(tiny_task())
    assert torch.equal(with_statistics.weights[: -task.statistics_size], without.weights)
