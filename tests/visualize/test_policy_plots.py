"""The plots of a policy are its probabilities and densities."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space

from a3c_exp.models.distributions import Beta, Categorical, MultiCategorical, Normal, NormalMixture, SquashedNormal, draw_noise
from a3c_exp.models.heads import HeadConfig, HeadKind, make_head
from a3c_exp.visualize.episode_frames import FrameInfo
from a3c_exp.visualize.overlay import overlay
from a3c_exp.visualize.policy_plots import ActionText, BarPlot, DensityPlot, ProbabilityGrid, policy_plots

SPACES: list[tuple[Space, HeadKind]] = [
    (Discrete(2), HeadKind.auto),
    (Discrete(60), HeadKind.auto),
    (MultiDiscrete([3, 2, 30], start=[1, 0, 5]), HeadKind.auto),
    (MultiBinary(40), HeadKind.auto),
    (Box(-2, 2, (1,)), HeadKind.auto),
    (Box(-np.inf, np.inf, (2, 3)), HeadKind.auto),
    (Box(-1, 1, (3,)), HeadKind.mixture),
    (Box(-1, 1, (3,)), HeadKind.squashed_gaussian),
    (Box(np.array([0.0, -2.0]), np.array([1.0, 2.0]), dtype=np.float64), HeadKind.beta),
    (Dict(arm=Box(-1, 1, (2,)), fire=Discrete(3, start=1), lamps=MultiBinary(2)), HeadKind.auto),
]


def drawn(space: Space, kind: HeadKind = HeadKind.auto, seed: int = 0):
    """A distribution with parameters of an untrained head, and a sampled action."""
    torch.manual_seed(seed)
    head = make_head(8, space, HeadConfig(kind=kind))
    with torch.no_grad():
        parameters = head(4 * torch.randn(8))
    noise = draw_noise(head.distribution, np.random.default_rng(seed), ())
    return head.distribution, parameters, head.distribution.sample(parameters, torch.from_numpy(noise))


def test_bars_are_the_policys_probabilities_under_the_names_of_the_environment() -> None:
    logits = torch.tensor([0.3, -1.0, 2.0])
    (bars,) = policy_plots(Categorical(3), logits, torch.tensor(2), Discrete(3), ["left", "none", "right"])
    assert isinstance(bars, BarPlot)
    assert bars.names == ["left", "none", "right"] and bars.selected == {2}
    assert bars.probabilities == pytest.approx(torch.softmax(logits, 0).tolist())


def test_choices_without_names_are_numbered_as_in_the_space() -> None:
    (bars,) = policy_plots(Categorical(3), torch.zeros(3), torch.tensor(1), Discrete(3, start=-1))
    assert isinstance(bars, BarPlot) and bars.names == ["-1", "0", "1"]
    two = policy_plots(MultiCategorical([2, 3]), torch.zeros(5), torch.tensor([1, 0]), MultiDiscrete([2, 3], start=[7, 4]))
    assert [(cells.selected, cells.start) for cells in two if isinstance(cells, ProbabilityGrid)] == [({1}, 7), ({0}, 4)]


def test_names_that_do_not_fit_the_space_are_ignored() -> None:
    (bars,) = policy_plots(Categorical(3), torch.zeros(3), torch.tensor(1), Discrete(3), ["left", "right"])
    assert isinstance(bars, BarPlot) and bars.names == ["0", "1", "2"]


@pytest.mark.parametrize("kind", [HeadKind.gaussian, HeadKind.mixture, HeadKind.squashed_gaussian, HeadKind.beta])
def test_a_curve_is_the_density_with_its_mean_and_std(kind: HeadKind) -> None:
    space = Box(-2, 2, (1,))
    distribution, parameters, action = drawn(space, kind, seed=3)
    assert isinstance(distribution, Normal | NormalMixture | SquashedNormal | Beta)
    (curve,) = policy_plots(distribution, parameters, action, space, ["torque"])
    assert isinstance(curve, DensityPlot) and curve.label == "torque"
    x = torch.linspace(curve.low, curve.high, len(curve.heights)).unsqueeze(-1)
    density = distribution.log_prob(parameters.expand(len(x), -1), x).exp()
    assert curve.heights == pytest.approx((density / density.max()).tolist(), abs=1e-4)
    reach = 40 if isinstance(distribution, Normal | NormalMixture) else 2
    wide = torch.linspace(-reach, reach, 200_001, dtype=torch.float64).unsqueeze(-1)
    mass = distribution.log_prob(parameters.double().expand(len(wide), -1), wide).exp()
    mean = float((mass * wide[:, 0]).sum() / mass.sum())
    assert curve.mean == pytest.approx(mean, abs=1e-3)
    assert curve.std == pytest.approx(float((mass * (wide[:, 0] - mean) ** 2).sum() / mass.sum()) ** 0.5, rel=1e-3)


def test_an_action_beyond_the_bounds_is_drawn_at_the_bound() -> None:
    (curve,) = policy_plots(Normal(1), torch.tensor([1.0, 0.5]), torch.tensor([9.0]), Box(-2, 2, (1,)))
    assert isinstance(curve, DensityPlot) and (curve.low, curve.high, curve.action) == (-2, 2, 2)


def test_the_parts_of_a_nested_action_get_their_own_parameters() -> None:
    space = Dict(arm=Box(-1, 1, (2,)), fire=Discrete(3, start=1), lamps=MultiBinary(2))
    distribution, parameters, action = drawn(space)
    first, second, fire, lamps = policy_plots(distribution, parameters, action, space)
    assert isinstance(first, DensityPlot) and isinstance(second, DensityPlot)
    assert [first.mean, second.mean] == pytest.approx(parameters[:2].tolist(), abs=1e-6)
    assert [first.std, second.std] == pytest.approx(parameters[2:4].tolist(), rel=1e-5)
    assert isinstance(fire, BarPlot) and fire.label == "fire" and fire.names == ["1", "2", "3"]
    assert fire.probabilities == pytest.approx(torch.softmax(parameters[4:7], 0).tolist())
    assert isinstance(lamps, BarPlot) and lamps.label == "lamps"
    assert lamps.probabilities == pytest.approx(torch.sigmoid(parameters[7:]).tolist())


def test_an_unknown_distribution_shows_its_action() -> None:
    class Own(Normal):
        pass

    own = type("Other", (), {})()
    (taken,) = policy_plots(own, torch.zeros(2), torch.tensor([0.25, -1.0]), Box(-1, 1, (2,)))
    assert taken == ActionText("action", "0.25 -1")
    assert isinstance(policy_plots(Own(1), torch.tensor([0.0, 1.0]), torch.tensor([0.0]), Box(-1, 1, (1,)))[0], DensityPlot)


@pytest.mark.parametrize(
    ("space", "kind", "size"),
    [(*space, size) for size in [(400, 600), (97, 64)] for space in SPACES]
    + [(*SPACES[0], (1080, 1920)), (*SPACES[4], (500, 500))],
)
def test_every_policy_can_be_drawn_on_a_picture_of_any_size(space: Space, kind: HeadKind, size: tuple[int, int]) -> None:
    plots = policy_plots(*drawn(space, kind), space)
    picture = np.full((*size, 3), 200, np.uint8)
    shown = overlay(picture, FrameInfo(plots, (0.5, np.float64(-3e7)), {"speed": 57.0}, 1234, -1e9))
    assert shown.dtype == np.uint8 and shown.ndim == 3 and shown.shape[1] >= 400
    height, width = shown.shape[:2]
    # Both panels are there, and between and below them the picture is unchanged.
    assert (shown[: height // 4, : width // 4] != 200).any() and (shown[: height // 4, -width // 4 :] != 200).any()
    assert (shown[-height // 50 :] == 200).all()
    assert (shown[:, int(0.45 * width) : int(0.6 * width)] == 200).all()


def test_rounding_errors_of_a_constant_value_are_not_scaled_up() -> None:
    flat = overlay(np.zeros((400, 600, 3), np.uint8), FrameInfo((), tuple([100.0] * 60), step=5))
    noisy = overlay(np.zeros((400, 600, 3), np.uint8), FrameInfo((), tuple(100.0 + 1e-6 * (i % 2) for i in range(60)), step=5))
    hilly = overlay(np.zeros((400, 600, 3), np.uint8), FrameInfo((), tuple(100.0 + 9 * (i % 2) for i in range(60)), step=5))
    panel = (slice(0, 60), slice(470, 600))  # its upper part, with the line
    assert np.abs(flat.astype(int) - noisy)[panel].mean() < 0.1 * np.abs(flat.astype(int) - hilly)[panel].mean()


def test_noise_that_depends_on_the_state_is_drawn_as_the_gaussian_over_all_matrices() -> None:
    space = Box(-2, 2, (2,))
    head = make_head(8, space, HeadConfig(use_sde=True, log_std_init=-1.0))
    parameters = head(torch.linspace(-1.0, 1.0, 8))
    curves = policy_plots(head.distribution, parameters, torch.zeros(2), space)
    mean, std = head.distribution.mean_and_std(parameters).split(2)
    assert [curve.mean for curve in curves if isinstance(curve, DensityPlot)] == pytest.approx(mean.tolist())
    assert [curve.std for curve in curves if isinstance(curve, DensityPlot)] == pytest.approx(std.tolist())
