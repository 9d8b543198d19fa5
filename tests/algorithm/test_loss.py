"""The A3C loss against a plain loop over steps, and what must never leak between its terms."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from a3c_exp.algorithm.loss import LossConfig, LossTerms, a3c_loss, reduce
from a3c_exp.config.enums import Reduction, ValueLoss
from a3c_exp.models.distributions import Categorical, Distribution, Normal

N = 6
ALL_VALID = torch.ones(N, dtype=torch.float64)
LAST_TWO_MASKED = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0], dtype=torch.float64)


def window(family: Distribution) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Parameters and value with gradient, actions and targets without."""
    generator = torch.Generator().manual_seed(3)
    parameters = torch.rand(N, family.parameters_size, generator=generator, dtype=torch.float64) + 0.2
    if isinstance(family, Categorical):
        action = torch.randint(0, family.n, (N,), generator=generator)
    else:
        action = 3 * torch.randn(N, family.noise_size, generator=generator, dtype=torch.float64)
    value = torch.randn(N, generator=generator, dtype=torch.float64)
    target = value + torch.tensor([0.1, -0.4, 3.0, -5.0, 0.9, 1.1], dtype=torch.float64)  # both sides of Huber's 1
    return parameters.requires_grad_(), value.requires_grad_(), action, target.detach()


def log_prob_of_step(family: Distribution, parameters: Tensor, action: Tensor) -> Tensor:
    if isinstance(family, Categorical):
        return parameters[int(action)] - sum(math.e**logit for logit in parameters).log()
    total = torch.zeros((), dtype=torch.float64)
    for i, a in enumerate(action.tolist()):
        mu, sigma = parameters[i], parameters[len(action) + i]
        total = total - (a - mu) ** 2 / (2 * sigma**2) - 0.5 * (2 * math.pi * sigma**2).log()
    return total


def entropy_of_step(family: Distribution, parameters: Tensor) -> Tensor:
    if isinstance(family, Categorical):
        weights = [math.e**logit for logit in parameters]
        return -sum(w / sum(weights) * (w / sum(weights)).log() for w in weights)
    return sum(0.5 * (2 * math.pi * math.e * sigma**2).log() for sigma in parameters[len(parameters) // 2 :])


def looped(
    family: Distribution, parameters: Tensor, value: Tensor, action: Tensor, target: Tensor, steps: int, spec: LossConfig
) -> LossTerms:
    """The same loss, step by step over the first ``steps`` steps, as a textbook would write it."""
    policy, squared, entropy = (torch.zeros((), dtype=torch.float64) for _ in range(3))
    for t in range(steps):
        error = float(target[t]) - value[t]
        policy = policy - log_prob_of_step(family, parameters[t], action[t]) * error.item()
        if spec.value_loss is ValueLoss.mse:
            squared = squared + error * error
        else:
            squared = squared + (0.5 * error * error if abs(error.item()) < 1 else abs(error) - 0.5)
        entropy = entropy + entropy_of_step(family, parameters[t])
    policy = policy / (steps if spec.policy_reduction is Reduction.mean else 1)
    squared = squared / (steps if spec.value_reduction is Reduction.mean else 1)
    entropy = entropy / (steps if spec.entropy_reduction is Reduction.mean else 1)
    return LossTerms(policy + spec.value_coef * squared - spec.entropy_coef * entropy, policy, squared, entropy)


@pytest.mark.parametrize("family", [Categorical(3), Normal(2)], ids=lambda family: type(family).__name__)
@pytest.mark.parametrize("value_loss", list(ValueLoss))
@pytest.mark.parametrize("valid", [ALL_VALID, LAST_TWO_MASKED], ids=["full", "short"])
def test_loss_and_gradients_are_those_of_a_plain_loop(family: Distribution, value_loss: ValueLoss, valid: Tensor) -> None:
    """Under every combination of reductions: each term has its own."""
    steps = int(valid.sum())
    for reductions in itertools.product(Reduction, repeat=3):
        spec = LossConfig(0.7, 0.3, value_loss, *reductions)
        parameters, value, action, target = window(family)
        got = a3c_loss(family, parameters, value, action, target, valid, spec)
        want = looped(family, parameters, value, action, target, steps, spec)
        gradients = partial(torch.autograd.grad, inputs=(parameters, value))
        np.testing.assert_allclose(torch.stack(got).detach(), torch.stack(want).detach(), rtol=1e-9)
        for one, other in zip(gradients(got.total), gradients(want.total), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def terms(spec: LossConfig, valid: Tensor = ALL_VALID) -> LossTerms:
    return a3c_loss(Categorical(3), *window(Categorical(3)), valid, spec)


@pytest.mark.parametrize("term", ["policy", "value", "entropy"])
def test_each_term_is_reduced_by_its_own_setting_alone(term: str) -> None:
    mean = terms(LossConfig(), LAST_TWO_MASKED)._asdict()
    one_summed = terms(LossConfig(**{f"{term}_reduction": Reduction.sum}), LAST_TWO_MASKED)._asdict()
    for name in ("policy", "value", "entropy"):  # a mean over 4 valid steps, not over the window's 6
        factor = 4.0 if name == term else 1.0
        assert one_summed[name].item() == pytest.approx(factor * mean[name].item(), rel=1e-12)


def test_huber_is_that_of_torch() -> None:
    _, value, _, target = window(Categorical(3))
    assert terms(LossConfig(value_loss=ValueLoss.huber)).value.item() == functional.huber_loss(value, target).item()


def test_squared_error_has_no_factor_of_one_half() -> None:
    _, value, _, target = window(Categorical(3))
    assert terms(LossConfig()).value.item() == pytest.approx(functional.mse_loss(value, target).item(), rel=1e-12)


def test_entropy_is_subtracted_from_the_loss() -> None:
    """A step down the loss must make the policy less sure, not more."""
    family = Categorical(3)
    without, with_bonus = (terms(LossConfig(entropy_coef=beta)).total.item() for beta in (0.0, 2.0))
    assert with_bonus == pytest.approx(without - 2.0 * terms(LossConfig()).entropy.item(), rel=1e-12)

    logits = torch.tensor([[2.0, 0.0, -1.0]], requires_grad=True)
    nothing = torch.zeros(1)  # no advantage: only the bonus pulls
    loss = a3c_loss(family, logits, nothing, torch.tensor([0]), nothing, torch.ones(1), LossConfig(entropy_coef=1.0))
    (gradient,) = torch.autograd.grad(loss.total, logits)
    assert family.entropy(logits - 0.1 * gradient).item() > family.entropy(logits).item()


def test_a_good_action_becomes_more_likely() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    action, target, value = torch.tensor([2]), torch.tensor([5.0]), torch.tensor([1.0])
    loss = a3c_loss(Categorical(3), logits, value, action, target, torch.ones(1), LossConfig())
    (gradient,) = torch.autograd.grad(loss.total, logits)
    assert (logits - 0.1 * gradient).argmax().item() == 2


@pytest.mark.parametrize("family", [Categorical(3), Normal(2)], ids=lambda family: type(family).__name__)
def test_the_policy_term_never_trains_the_critic_nor_the_value_term_the_actor(family: Distribution) -> None:
    parameters, value, action, target = window(family)
    got = a3c_loss(family, parameters, value, action, target, ALL_VALID, LossConfig())
    assert torch.autograd.grad(got.policy, value, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(got.value, parameters, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(got.entropy, value, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(got.policy, parameters)[0].abs().min().item() > 0


def masked(family: Distribution, where: str, rubbish: float, value_loss: ValueLoss) -> tuple[LossTerms, Tensor, Tensor]:
    """The terms of a window whose last two steps were not taken, with rubbish in one place there; and two gradients."""
    parameters, value, action, target = window(family)
    with torch.no_grad():
        places = {"parameters": parameters, "value": value, "action": action, "target": target}
        places[where][4:] = rubbish
    got = a3c_loss(family, parameters, value, action, target, LAST_TWO_MASKED, LossConfig(0.5, 0.1, value_loss))
    return got, *torch.autograd.grad(got.total, (parameters, value))


@pytest.mark.parametrize("value_loss", list(ValueLoss))
@pytest.mark.parametrize("rubbish", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("where", ["parameters", "value", "action", "target"])
def test_steps_that_were_not_taken_count_for_nothing(where: str, rubbish: float, value_loss: ValueLoss) -> None:
    clean, *clean_gradients = masked(Normal(2), "target", 0.0, value_loss)
    dirty, *gradients = masked(Normal(2), where, rubbish, value_loss)
    assert torch.equal(torch.stack(dirty), torch.stack(clean))
    for got, want in zip(gradients, clean_gradients, strict=True):
        assert torch.equal(got[:4], want[:4])
        if where == "target":  # what is known only here; rubbish that a network put out has spoilt its gradient already
            assert torch.count_nonzero(got[4:]).item() == 0


@pytest.mark.parametrize("reduction", list(Reduction))
def test_a_window_without_any_step_is_zero_and_not_nan(reduction: Reduction) -> None:
    assert reduce(torch.tensor([math.nan, 5.0]), torch.zeros(2), reduction).item() == 0.0


def test_the_log_probability_is_that_of_the_unclipped_sample() -> None:
    """A Gaussian's sample outside the action's bounds stays where it was drawn: its density falls off further out."""
    parameters = torch.tensor([[0.0, 1.0]])
    zero, one = torch.zeros(1), torch.ones(1)

    def policy(action: float) -> float:
        return a3c_loss(Normal(1), parameters, zero, torch.tensor([[action]]), one, one, LossConfig()).policy.item()

    assert policy(7.0) == pytest.approx(0.5 * 49 + 0.5 * math.log(2 * math.pi), rel=1e-6)
    assert policy(7.0) > policy(2.0)


@pytest.mark.parametrize("which", ["value", "target", "valid"])
def test_a_trailing_dimension_of_one_is_refused_and_not_broadcast(which: str) -> None:
    parameters, value, action, target = window(Categorical(3))
    fields = {"value": value, "target": target, "valid": ALL_VALID}
    fields[which] = fields[which].unsqueeze(-1)
    with pytest.raises(AssertionError):
        a3c_loss(Categorical(3), parameters, fields["value"], action, fields["target"], fields["valid"], LossConfig())
