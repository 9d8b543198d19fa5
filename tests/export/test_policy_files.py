"""Policies in other programs: what onnxruntime and ``torch.export.load`` make of an exported file is what the policy does."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from torch.onnx._internal.exporter._registration import ONNXRegistry

import a3c_exp
from a3c_exp.config.compose import compose_jobs
from a3c_exp.envs.base import space_of_observations
from a3c_exp.evaluate.evaluator import EvaluatorConfig
from a3c_exp.export import __main__ as export, check
from a3c_exp.export.arrays import leaf_arrays, raw_arrays
from a3c_exp.export.check import compare, sample
from a3c_exp.export.files import METADATA, export_program
from a3c_exp.export.graph import PolicyGraph
from a3c_exp.export.policy_files import export_policy
from a3c_exp.export.privacy import without_private_arguments
from a3c_exp.models.base import ActorCritic, PolicyValue, network_input
from a3c_exp.models.distributions import continuous
from a3c_exp.models.heads import HeadConfig, make_head
from a3c_exp.models.shared_mlp import SharedMLP
from a3c_exp.spaces.codecs import action_decoder, observation_encoder
from a3c_exp.system.errors import A3CError, ConfigError
from a3c_exp.training.build import build_run
from a3c_exp.training.saved_weights import SavedWeights
from tests.support.trained import trained


@pytest.fixture(scope="module", autouse=True)
def one_registry() -> Iterator[None]:
    """torch parses its 500 functions of ONNX anew for each file, a third of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


def exported(
    folder: Path, *overrides: str, names: tuple[str, ...] = ("policy.onnx", "policy.pt2"), noise: float = 0.1
) -> list[Any]:
    """Files of a policy with its first weights, disturbed so that no two actions are alike; with how far they are from it."""
    (job,) = compose_jobs(["env=gymnasium", "logger=none", "parallelism=synchronous", *overrides], multirun=False)
    components = build_run(job.config)
    weights = components.initial_states[0].weights.clone()
    weights += noise * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)) * (weights != 0)
    saved = SavedWeights(folder, weights, 0, 0)
    paths = [folder / name for name in names]
    return [each for _, each in export_policy(components.setup, saved, EvaluatorConfig(1), 9, {"what": "ever"}, paths)]


NESTED, PICTURES = "env.id=tests.support.nested:Nested-v0", "env.id=tests.support.pictures:"


@pytest.mark.parametrize(
    "overrides",
    [
        # Between them all models, all heads, all kinds of spaces; pictures of bytes and of numbers; normalization.
        [NESTED, "model=recurrent_mlp", "model.cell=lstm", "normalize.observation=true"],
        ["env.id=Pendulum-v1", "model=separate_mlp", "model.head.kind=mixture", "normalize.observation=true"],
        ["env.id=Pendulum-v1", "model=shared_mlp", "model.head.kind=squashed_gaussian"],
        ["env.id=Pendulum-v1", "model=small_mlp", "model.head.kind=beta"],
        ["env.id=Pendulum-v1", "model=small_mlp", "model.head.use_sde=true", "model.head.mean=tanh"],
        [PICTURES + "BytePictures-v0", "model=conv_gru"],
        [PICTURES + "Pictures-v0", "model=a3c_lstm", "model.channels=[4]", "model.kernels=[4]", "model.strides=[2]"],
        [PICTURES + "BytePictures-v0", "model=nature_cnn", "model.channels=[4]", "model.kernels=[4]", "model.strides=[2]"],
        [PICTURES + "PictureAndNumbers-v0", "model=multi_input"],
    ],
    ids=lambda overrides: "-".join(overrides[1:3]),
)  # fmt: skip
def test_every_model_and_head_does_in_both_files_what_it_does_here(
    tmp_path: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "OBSERVATIONS", 110)
    monkeypatch.setattr(continuous, "_MEAN_SHIFT_STEPS", 4)  # each is as long as the rest of the program
    for difference in exported(tmp_path, *overrides):
        assert difference.observations == 110 and difference.ties < 5
        assert difference.action < 1e-3 and difference.state < 1e-3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    overrides = ("env.id=Pendulum-v1", "model=recurrent_mlp", "model.hidden_size=8", "normalize.observation=true")
    directory = trained(tmp_path_factory.mktemp("runs") / "run", *overrides)
    assert export.main([str(directory), "--onnx", "--torch", "--episodes", "2"]) == 0
    return directory


def test_an_episode_by_the_file_is_that_of_the_policy(run: Path) -> None:
    """As a user types it: one observation at a time, the state passed on, zeros where an episode begins."""
    policy = a3c_exp.load(run)
    session = onnxruntime.InferenceSession(run / "policy.onnx", providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape, each.type) for each in session.get_inputs()] == [
        ("observation", ["batch", 3], "tensor(float)"), ("state", ["batch", 8], "tensor(float)"),
    ]  # fmt: skip
    program = torch.export.load(run / "policy.pt2").module()
    env = gymnasium.make("Pendulum-v1")
    for seed in (0, 1):
        observation, _ = env.reset(seed=seed)
        ours, state, torch_state = None, np.zeros((1, 8), np.float32), torch.zeros(1, 8)
        for _ in range(30):
            expected, ours = policy.predict(observation, ours)
            action, state = session.run(["action", "new_state"], {"observation": observation[None], "state": state})
            np.testing.assert_allclose(action[0], expected, atol=1e-4)
            action, torch_state = program(torch.from_numpy(observation[None]), torch_state)
            np.testing.assert_allclose(action[0].numpy(), expected, atol=1e-4)
            observation = env.step(expected)[0]


def test_a_file_says_what_it_is(run: Path) -> None:
    said = {entry.key: entry.value for entry in onnx.load(run / "policy.onnx").metadata_props}
    command = without_private_arguments(json.loads((run / "run.json").read_text())["command"])
    assert said["observation_space"].startswith("Box([-1. -1. -8.]")
    assert said["action_space"] == "Box(-2.0, 2.0, (1,), float32)" and said["frame_skip"] == "1"
    assert json.loads(said["env"])["id"] == "Pendulum-v1" and said["trained"] == command
    assert (
        json.loads(said["evaluation"])["episodes"] == 2 and "--onnx" in said["exported"] and said["env_steps"] in ("200", "400")
    )
    assert said["state"] == "zeros where an episode begins, then the new_state of the step before"
    texts = {METADATA: ""}
    torch.export.load(run / "policy.pt2", extra_files=texts)
    assert json.loads(texts[METADATA])["inputs"] == {"observation": "float32 ['n', 3]", "state": "float32 ['n', 8]"}


def test_the_export_says_for_how_long_an_action_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run", "env.id=Pendulum-v1", "env.frame_skip=4", "model=small_mlp")
    assert export.main([str(run), "--torch", "--episodes", "1"]) == 0
    assert re.search(r"each action +is for 4 steps of the environment", capsys.readouterr().out)
    texts = {METADATA: ""}
    torch.export.load(run / "policy.pt2", extra_files=texts)
    assert json.loads(texts[METADATA])["frame_skip"] == 4


def test_a_torch_file_needs_no_a3c_exp(run: Path) -> None:
    code = (
        "import sys, torch; sys.modules['a3c_exp'] = None; program = torch.export.load(sys.argv[1]).module()\n"
        "print(*(tuple(each.shape) for each in program(torch.zeros(5, 3), torch.zeros(5, 8))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run / "policy.pt2")], capture_output=True, text=True, cwd=run)
    assert done.stdout == "(5, 1) (5, 8)\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--onnx"], "policy.onnx exists, and nothing is overwritten"),
        (["--torch", "--out", "{new}", "--half"], "Leave it out"),
        (["--torch", "--out", "{new}", "--episodes", "0"], "at least 1"),
        ([], "Try --out pretrained/NAME, or --onnx"),
        (["--torch", "--out", "{new}", "--checkpoint", "gone.pt"], "there is no checkpoint gone.pt"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    assert export.main([str(run), *(argument.format(new=tmp_path / "new") for argument in arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and what in said.err
    assert not any(tmp_path.iterdir()) and not [*run.glob("*.part*")]


class Stubborn(SharedMLP):
    """Looks at the numbers themselves."""

    def forward(self, observation: torch.Tensor, hidden_state: torch.Tensor) -> PolicyValue:
        return super().forward(observation if bool((observation > 0).all()) else -observation, hidden_state)


def test_a_model_that_is_no_graph_is_named() -> None:
    space = Box(-1, 1, (2,))
    graph = PolicyGraph(Stubborn(space, Discrete(2)), space, (2,), Discrete(2))
    with pytest.raises(ConfigError, match=r"Stubborn with Categorical cannot be exported: .* leave out --onnx and --torch"):
        export_program(graph)


@pytest.fixture(scope="module")
def samples() -> tuple[Any, Any]:
    """Samples of a policy over two choices and a whole number, and the action space."""
    acted = ["tuple", ["discrete", 3, -1], ["box", [1], -2.0, 2.0, "int32"]]
    overrides = [f"env.kwargs={{observed: [box, [4], -1.0, 1.0, float32], acted: {json.dumps(acted)}}}"]
    overrides += [
        "env=gymnasium",
        "env.id=tests.support.random_spaces:RandomSpaces-v0",
        "logger=none",
        "model.head.mean=linear",
    ]
    setup = build_run(compose_jobs(overrides, multirun=False)[0].config).setup
    envs = setup.make_envs(num_envs=10)
    model, layout = setup.model(envs)
    return sample(model, layout, layout.flatten(model), envs, space_of_observations(envs), 9, 5), envs.action_space


def test_a_file_that_does_something_else_is_not_taken(samples: tuple[Any, Any]) -> None:
    kept, space = samples
    choices, numbers = kept.outputs

    def file(changed: dict[int, int]) -> Any:
        """A file that returns what it should, but for a choice each at some observations."""
        answers, place = choices.copy(), [0]
        for k, choice in changed.items():
            answers[k] = choice

        def answer(inputs: Any) -> Any:
            part = slice(place[0], place[0] + len(inputs[0]))
            place[0] = part.stop
            return [answers[part], numbers[part]]

        return answer

    assert compare(kept, space, file({})).action == 0.0
    with pytest.raises(A3CError, match=r"does other than the policy at 1 of 1000 observations, the first of them number 8: "):
        compare(kept, space, file({7: int(choices[7]) % 3 - 1}))
    even = replace(kept, log_prob=lambda k, action: -1.0)  # had they the same probability, rounding could choose either
    assert compare(even, space, file({7: int(choices[7]) % 3 - 1})).ties == 1
    with pytest.raises(A3CError, match=r"returns \[.*float64.*\], but the policy \["):
        compare(kept, space, lambda inputs: [np.zeros(len(inputs[0])), np.zeros((len(inputs[0]), 1), np.int32)])


@pytest.mark.parametrize(
    "space",
    [
        Box(-1, 1, (2, 3), np.float64),
        Box(-5, 5, (), np.int16),
        Box(0, 255, (20, 18), np.uint8),
        Box(0, 255, (2, 20, 18, 3), np.uint8),
        Box(0, 255, (4, 20, 18), np.uint8),
        Discrete(5, start=-2),
        MultiDiscrete([[2, 3], [4, 1]]),
        MultiBinary((2, 2)),
        Dict(a=Tuple([Box(0, 255, (3,), np.uint8), MultiBinary(2)]), b=Box(-9, 9, ()), c=Discrete(3, start=1)),
    ],
    ids=str,
)  # fmt: skip
def test_observations_and_actions_are_those_of_the_codecs(space: gymnasium.Space[Any]) -> None:
    """In the graph and in numpy; and what was encoded is found again."""
    space.seed(3)
    elements = [space.sample() for _ in range(4)]
    box, encode = observation_encoder(space)
    encoded = np.zeros((4, *box.shape), np.uint8 if space.dtype == np.uint8 else np.float32)
    for row, element in zip(encoded if box.shape else encoded[:, None], elements, strict=True):
        if encode is None:
            row[...] = element
        else:
            encode(element, row)
    inputs = leaf_arrays(space, elements)
    for ours, again in zip(inputs, raw_arrays(space, encoded), strict=True):
        np.testing.assert_allclose(again, ours, rtol=1e-6)
        assert again.dtype == ours.dtype and again.shape == ours.shape
    graph = PolicyGraph(Echo(space), space, box.shape, space)
    outputs = graph(*map(torch.from_numpy, inputs))
    network_sees = network_input(torch.from_numpy(encoded)).reshape(4, -1)
    torch.testing.assert_close(graph.get_submodule("model").seen.reshape(4, -1), network_sees)
    action = graph.get_submodule("model").action
    expected = leaf_arrays(space, list(action_decoder(space)(action.numpy())))
    for output, ours in zip(outputs, expected, strict=True):
        assert output.numpy().dtype == ours.dtype and output.shape == ours.shape
        np.testing.assert_array_equal(output.numpy(), ours)


class Echo(ActorCritic):
    """Keeps what it saw, and takes the action that its distribution likes best at parameters of its own."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        super().__init__()
        self.distribution = make_head(1, space, HeadConfig(mean="linear")).distribution
        generator = torch.Generator().manual_seed(0)
        self.parameters_ = 300 * torch.randn(4, self.distribution.parameters_size, generator=generator)
        self.action = self.distribution.mode(self.parameters_)

    def forward(self, observation: torch.Tensor, hidden_state: torch.Tensor) -> PolicyValue:
        self.seen = observation
        return PolicyValue(self.parameters_, torch.zeros(4), hidden_state)
