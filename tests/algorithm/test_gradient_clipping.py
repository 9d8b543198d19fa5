"""Gradients are clipped worker by worker, as torch clips."""

import numpy as np
import pytest
import torch
from torch import nn

from a3c_exp.algorithm.window_gradient import clip_by_norm

K = 4


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_clipping_is_that_of_torch_worker_by_worker(max_norm: float) -> None:
    gradients = torch.randn(K, 50, generator=torch.Generator().manual_seed(4)) * torch.tensor([[0.01], [0.3], [1], [90]])
    want, norms = [], []
    for row in gradients:
        parameter = nn.Parameter(torch.zeros(50))
        parameter.grad = row.clone()
        norms.append(nn.utils.clip_grad_norm_([parameter], max_norm).item())
        want.append(parameter.grad.clone())
    assert clip_by_norm(gradients, max_norm).tolist() == pytest.approx(norms, rel=1e-6)  # the norms before clipping
    np.testing.assert_allclose(gradients, torch.stack(want), rtol=1e-6)


def test_without_a_limit_gradients_are_left_alone() -> None:
    gradients = 1e4 * torch.randn(K, 50, generator=torch.Generator().manual_seed(5))
    before = gradients.clone()
    norms = clip_by_norm(gradients, None)
    assert torch.equal(gradients, before)
    np.testing.assert_allclose(norms, before.norm(dim=1), rtol=1e-6)
