"""An encoder for each part of a Dict observation, and no pixels among the numbers of a dense layer."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete

from a3c_exp.config.compose import compose_jobs
from a3c_exp.models.multi_input import MultiInputNet
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.spaces.codecs import observation_encoder
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run

TASK = "tests.support.pictures:PictureAndNumbers-v0"
SPACE = Dict(
    camera=Box(0, 255, (20, 18, 3), np.uint8),
    frames=Box(0.0, 1.0, (2, 17, 16), np.float32),
    gear=Discrete(3),
    grid=Box(0, 255, (7, 7, 3), np.uint8),
    wheel=Box(-1.0, 1.0, (2,), np.float32),
)
SMALL = {"channels": (3, 5), "kernels": (4, 3), "strides": (2, 1), "picture_hidden": (7,), "hidden": (6,), "seed": 1}


def test_each_picture_goes_through_its_own_convolutions_channels_first_and_the_rest_as_it_is() -> None:
    box, encode = observation_encoder(SPACE)
    assert encode is not None
    model = MultiInputNet(box, Discrete(4), **SMALL)
    SPACE.seed(2)
    observed = [SPACE.sample() for _ in range(3)]
    flat = np.zeros((3, *box.shape), np.float32)
    for each, row in zip(observed, flat, strict=True):
        encode(each, row)
    camera = torch.tensor(np.stack([np.moveaxis(each["camera"], -1, 0) for each in observed]) / 255, dtype=torch.float32)
    frames = torch.tensor(np.stack([each["frames"] for each in observed]))
    rest = [gymnasium.spaces.flatten(SPACE["gear"], each["gear"]) for each in observed]
    grids, wheels = (torch.tensor(np.stack([each[key].reshape(-1) for each in observed])) for key in ("grid", "wheel"))
    with torch.no_grad():
        parts = [model.encoders[0](camera), model.encoders[1](frames), torch.tensor(np.stack(rest)), grids / 255, wheels]
        features = model.body(torch.cat([part.float() for part in parts], dim=-1))
        output = model(torch.from_numpy(flat), torch.zeros(3, 0))
        assert torch.allclose(output.parameters, model.policy(features), atol=1e-6)
        assert torch.allclose(output.value, model.value(features).squeeze(-1), atol=1e-6)
        window = model(torch.from_numpy(flat).unsqueeze(0), torch.zeros(1, 3, 0))
        assert torch.allclose(window.value[0], output.value, atol=1e-6)
    assert not model.stackable and MultiInputNet(observation_encoder(Dict(a=Discrete(2)))[0], Discrete(2)).stackable


@pytest.mark.parametrize("shared", [False, True])
def test_it_learns_by_the_command_lines_words(shared: bool) -> None:
    (job,) = compose_jobs(
        ["env=gymnasium", f"env.id={TASK}", "model=multi_input", "workers=2", "compile=false"], multirun=False
    )
    setup = build_run(job.config).setup
    group = WorkerGroup(setup, [WorkerId(0, 0), WorkerId(0, 1)], *np.zeros((2, 2), np.int64), lambda _: True, shared)
    done = group.round(np.full(2, 16, np.int64))
    assert len(done.gradients) == (1 if shared else 2)
    assert done.gradients.isfinite().all() and (done.gradients != 0).any(dim=1).all()
    group.close()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([f"env.id={TASK}"], "observes pictures among other things (camera), but this model's dense layers read vectors"),
        ([f"env.id={TASK}", "model=nature_cnn"], "and nothing else, but this environment observes camera, gear, wheel. Try"),
        (["env.id=CartPole-v1", "model=multi_input"], "reads Dict and Tuple observations, but this environment observes Box"),
        (["env.id=tests.support.pictures:BytePictures-v0", "model=multi_input"], "Try model=nature_cnn"),
    ],
)
def test_a_network_that_does_not_fit_is_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        (job,) = compose_jobs(["env=gymnasium", *overrides], multirun=False)
        build_run(job.config)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_small_grids_stay_numbers() -> None:
    box, _ = observation_encoder(Dict(view=Box(0, 255, (7, 7, 3), np.uint8), direction=Discrete(4)))
    assert SharedMLP(box, Discrete(2)).flatten.size == 7 * 7 * 3 + 4
