"""Running statistics of processes without a lock: nothing is lost, and what is merged lags by little."""

import numpy as np
import pytest
import torch

from a3c_exp.models.normalization import Moments
from a3c_exp.parallelism.hogwild.process_statistics import OwnStatistics, ProcessStatistics


def window(seed: int) -> Moments:
    random = torch.Generator().manual_seed(seed)
    return Moments.of(torch.randn(5, 3, generator=random) * 2 + 7, torch.arange(5) < 1 + seed % 5)


@pytest.mark.parametrize(
    ("count", "calls"), [(1, 40), (4, 40), (1100, 3)], ids=["windows", "rounds", "more than there is room for"]
)
def test_nothing_is_lost_and_what_is_merged_lags_by_little(count: int, calls: int) -> None:
    windows = [window(i).pack() for i in range(10)]
    seen, merges = torch.stack(windows[:1]), 0
    statistics = ProcessStatistics.create(2, seen[0])
    own = [OwnStatistics(statistics, process) for process in range(2)]
    for call in range(calls):
        rows = torch.stack([windows[(call + i) % 10] for i in range(count)])
        if call == calls // 2:  # replaced by others, which go on
            own = [OwnStatistics(statistics, process) for process in range(2)]
        merges += own[call % 2].add(torch.cat([torch.full((count, 4), torch.nan), rows], dim=1))
        seen = torch.cat([seen, rows])
        latest, whole = (Moments.unpack(statistics.total(pending)) for pending in (False, True))
        expected = Moments.unpack(seen).together()
        assert whole.steps == expected.steps
        torch.testing.assert_close(whole.mean, expected.mean)
        torch.testing.assert_close(whole.m2, expected.m2)
        lag = float(expected.steps - latest.steps) / (3 * count)  # calls, of three steps a window or so
        assert lag <= 5 * np.sqrt(call + 1) and (count < 1100 or not lag)
    assert merges < calls / 2 or count == 1100
