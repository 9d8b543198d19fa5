"""Each part, built in or an example, does what it is promised to do: every option of conf/ and of examples/conf/."""

import inspect
import pickle
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch.func import functional_call

from a3c_exp.compile.vectorize import vectorize
from a3c_exp.config.compose import CONFIG_DIR, compose_jobs
from a3c_exp.envs.base import EnvBatch
from a3c_exp.loggers.base import Logger
from a3c_exp.optimizers.base import Optimizer
from a3c_exp.optimizers.flat_parameters import ParameterLayout
from a3c_exp.parallelism.base import Parallelism
from a3c_exp.training.build import RunComponents, build_run
from tests.support import protocols
from tests.support.command import ROOT

EXAMPLES = ROOT / "examples" / "conf"
GROUPS = {
    "env": protocols.ENVIRONMENTS,
    "model": protocols.MODELS,
    "optimizer": protocols.OPTIMIZERS,
    "parallelism": protocols.PARALLELISMS,
    "logger": protocols.LOGGERS,
}


def options(*groups: str) -> list[str]:
    paths = [path for root in (CONFIG_DIR, EXAMPLES) for group in groups for path in sorted(root.glob(f"{group}/*.yaml"))]
    return [f"{path.parent.name}={path.stem}" for path in paths]


def assembled(option: str) -> RunComponents:
    (job,) = compose_jobs([option, *protocols.BESIDE.get(option, []), "workers=3"], multirun=False, config_dirs=[str(EXAMPLES)])
    return build_run(job.config)


def attributes(protocol: type) -> list[str]:
    return [name for name in inspect.get_annotations(protocol) if not name.startswith("_")]


def methods(protocol: type) -> list[str]:
    return [name for name, value in vars(protocol).items() if inspect.isfunction(value) and not name.startswith("_")]


def assert_keeps(protocol: type, part: Any) -> None:
    """All attributes are there, and every method can be called as the protocol's."""
    for name in attributes(protocol):
        assert hasattr(part, name), f"{type(part).__name__} has no {name}"
    for name in methods(protocol):
        promised = list(inspect.signature(getattr(protocol, name)).parameters)[1:]
        kept = list(inspect.signature(getattr(part, name)).parameters)
        assert kept == promised, f"{type(part).__name__}.{name} takes {kept}, not {promised}"


def test_the_check_sees_something_at_all() -> None:
    assert {"reset", "step", "render", "close"} == set(methods(EnvBatch))
    assert {"check", "start", "advance", "snapshot", "stop"} < set(methods(Parallelism))
    assert set(attributes(Optimizer)) == {"lr", "state_rows"}
    with pytest.raises(AssertionError, match="has no lr"):
        assert_keeps(Optimizer, object())


@pytest.mark.parametrize("group", GROUPS)
def test_no_class_that_an_option_names_is_left_out_of_what_mypy_compares(group: str) -> None:
    listed = {f"{cls.__module__}.{cls.__qualname__}" for cls in GROUPS[group]}
    named = set()
    for path in [*CONFIG_DIR.glob(f"{group}/*.yaml"), *EXAMPLES.glob(f"{group}/*.yaml")]:
        content = OmegaConf.load(path)
        assert isinstance(content, dict) or OmegaConf.is_dict(content)
        target = content.env.get("_target_") if group == "env" else content.get("_target_")
        named |= {target} - {None}  # an option may be another one with other numbers
    assert named and named <= listed, f"tests/support/protocols.py lacks {named - listed}"
    assert Path(protocols.__file__).relative_to(ROOT).as_posix() in mypy_files()


def mypy_files() -> list[str]:
    files: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    return files


@pytest.mark.parametrize("option", options("parallelism", "logger"))
def test_parallelisms_and_loggers_take_what_they_are_called_with(option: str) -> None:
    if option in ("logger=tensorboard", "logger=mlflow", "parallelism=ray"):
        pytest.importorskip(option.partition("=")[2], reason=f"the extra for {option} is not installed")
    assembly = assembled(option)
    assert_keeps(Parallelism, assembly.parallelism)
    assert_keeps(Logger, assembly.make_logger())


@pytest.mark.parametrize("option", options("env"))
def test_an_environments_luck_is_its_seeds_and_nobody_elses(option: str) -> None:
    """Exact resume replays a seed's actions, and evaluation lives the same episodes side by side in other numbers."""
    make = pickle.loads(pickle.dumps(assembled(option).setup.make_envs))
    alone, crowd = make(num_envs=1), make(num_envs=3)
    assert_keeps(EnvBatch, crowd)
    space = crowd.observation_space
    arrays = crowd.observation, crowd.reward, crowd.terminated, crowd.truncated
    assert [array.dtype for array in arrays[1:]] == [np.float64, np.bool_, np.bool_]
    assert crowd.observation.dtype in (np.float32, np.uint8)
    assert [array.shape for array in arrays] == [(3, *space.shape), (3,), (3,), (3,)]
    crowd.action_space.seed(0)
    for k, seed in enumerate((11, 12, 13)):
        crowd.reset(k, seed)
    alone.reset(0, 12)
    compared = 0
    for t in range(150):
        action = np.stack([crowd.action_space.sample() for _ in range(3)])
        live = np.array([t % 2 == 0, True, t % 3 == 0])
        before = crowd.observation.copy()
        any_end = crowd.step(action, live)
        alone.step(action[1:2], np.ones(1, np.bool_))
        assert np.array_equal(crowd.observation[~live], before[~live]), "who sits a step out is left alone"
        assert crowd.observation[1].tobytes() == alone.observation[0].tobytes()
        assert crowd.reward[1] == alone.reward[0] and crowd.terminated[1] == alone.terminated[0]
        assert any_end == bool((crowd.terminated | crowd.truncated)[live].any())
        compared += 1
        if any_end:
            break
    assert compared > 5
    now = crowd.observation, crowd.reward, crowd.terminated, crowd.truncated
    assert all(array is same for array, same in zip(arrays, now, strict=True)), "arrays are overwritten in place"
    for envs in (alone, crowd):
        envs.close()


@pytest.mark.parametrize("option", options("env"))
def test_only_the_environment_clips_an_action(option: str) -> None:
    envs = assembled(option).setup.make_envs(num_envs=2)
    if not hasattr(envs.action_space, "high"):
        pytest.skip("no bounds to clip to")
    high = np.stack([envs.action_space.high] * 2)
    seen = []
    for action in (high, high * 50):
        for k in range(2):
            envs.reset(k, 5)
        envs.step(action, np.ones(2, np.bool_))
        seen.append((envs.observation.tobytes(), envs.reward.tobytes()))
    assert seen[0] == seen[1]
    envs.close()


@pytest.mark.parametrize("option", options("model"))
def test_a_model_is_a_pure_function_of_its_weights_its_observation_and_its_state(option: str) -> None:
    task = assembled(option).setup
    envs = task.make_envs(num_envs=3)
    generator = torch.random.get_rng_state()
    model, again, other = (task.make_model(envs.observation_space, envs.action_space, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), generator), "weights are drawn from the seed, not from torch's generator"
    layout = ParameterLayout.from_module(model)
    weights = torch.stack([layout.flatten(network) for network in (model, again, other)])
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])

    observation = torch.from_numpy(np.stack([envs.observation_space.sample() for _ in range(3)])).float().clamp(-3, 3)
    state = torch.randn(3, model.hidden_state_size, generator=torch.Generator().manual_seed(0))

    def forward(flat: torch.Tensor, seen: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(functional_call(model, layout.unflatten(flat), (seen, memory)))

    # Stacked over three workers, one by one, and in two leading dimensions: the same three functions.
    stacked = vectorize(forward, weights, (observation, state), model.stackable)(observation, state)
    alone = [forward(weights[k], observation[k], state[k]) for k in range(3)]
    shared = forward(weights[0], observation.unsqueeze(0).expand(2, *observation.shape), state.expand(2, *state.shape))
    sizes = (model.distribution.parameters_size,), (), (model.hidden_state_size,)
    for part, size in enumerate(sizes):
        assert stacked[part].shape == (3, *size)
        assert shared[part].shape == (2, 3, *size)
        for k in range(3):
            torch.testing.assert_close(stacked[part][k], alone[k][part], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(shared[part][1, 0], alone[0][part], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", options("optimizer"))
def test_an_optimizer_is_arithmetic_in_memory_that_others_own(option: str) -> None:
    optimizer = assembled(option).setup.optimizer
    assert_keeps(Optimizer, optimizer)
    elsewhere = pickle.loads(pickle.dumps(optimizer))
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(7, generator=generator)
    twin, start = weights.clone(), weights.clone()
    memory, state = weights.data_ptr(), torch.zeros(optimizer.state_rows, 7)
    twin_state = state.clone()
    for updates in range(4):
        gradient = torch.randn(7, generator=generator)
        kept = gradient.clone()
        optimizer.step(weights, gradient, state, updates, 0.01)
        assert torch.equal(gradient, kept), "the caller's gradient is left as it is"
        # Half-way another process takes over: all that an optimizer remembers stands in the state it was given.
        (optimizer if updates < 2 else elsewhere).step(twin, gradient, twin_state, updates, 0.01)
    assert weights.data_ptr() == memory and not torch.equal(weights, start)
    assert torch.equal(weights, twin) and torch.equal(state, twin_state)
    still = weights.clone()
    optimizer.step(weights, torch.ones(7), state, 4, 0.0)
    assert torch.equal(weights, still), "the caller decides the rate: 0 moves nothing"
