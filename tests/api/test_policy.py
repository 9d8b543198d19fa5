"""A loaded policy acts as evaluations do, and as stable-baselines3 expects a policy to."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from gymnasium.vector.utils import concatenate, create_empty_array

import a3c_exp
from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed
from a3c_exp.api.observations import ObservationBatcher
from a3c_exp.envs.base import EnvBatch
from a3c_exp.evaluate.__main__ import main as evaluate
from a3c_exp.evaluate.evaluator import EvaluatorConfig
from a3c_exp.spaces.codecs import observation_encoder
from a3c_exp.spaces.pictures import is_bytes
from a3c_exp.system.errors import ConfigError, RunDirectoryError
from a3c_exp.training import pretrained
from a3c_exp.training.build import build_run
from a3c_exp.training.saved_weights import held_out_evaluator, load_weights
from tests.support.command import ROOT
from tests.support.trained import trained

SEED, EPISODES = 1_000_003, 6
PRETRAINED = ROOT / "pretrained"


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a recurrent network, trained a little."""
    folder = tmp_path_factory.mktemp("recurrent") / "run"
    return trained(folder, "env.id=Pendulum-v1", "model=recurrent_mlp", "normalize.observation=true", "max_episode_steps=50")


def evaluated(policy: a3c_exp.Policy, run: Path, steps: int) -> list[float]:
    """The returns of held-out episodes, as ``python -m a3c_exp.evaluate`` makes them."""
    saved = pretrained.load(run).saved if pretrained.is_pretrained(run) else load_weights(run, "best")
    setup, config = build_run(policy.config).setup, EvaluatorConfig(EPISODES, max_episode_steps=steps)
    with held_out_evaluator(setup, config, SEED, [saved]) as evaluator:
        return list(evaluator.evaluate(saved.weights, 0, 0, 0.0).returns)


def seed_of(episode: int) -> int:
    return env_seed(SEED, 0, episode, StreamPurpose.evaluation)


def played(policy: a3c_exp.Policy, steps: int, at_a_time: int = EPISODES) -> list[float]:
    """The returns of the same episodes by gymnasium's own environments, so many of them side by side."""
    firsts = range(0, EPISODES, at_a_time)
    return [total for first in firsts for total in played_together(policy, steps, range(first, first + at_a_time))]


def played_together(policy: a3c_exp.Policy, steps: int, episodes: range) -> list[float]:
    envs = [gymnasium.make(policy.config.env.id, max_episode_steps=steps) for _ in episodes]
    observations: list[Any] = [env.reset(seed=seed_of(episode))[0] for episode, env in zip(episodes, envs, strict=True)]
    returns, running, state, starts = np.zeros(len(envs)), [True] * len(envs), None, np.ones(len(envs), np.bool_)
    while any(running):
        actions, state = policy.predict(np.stack(observations), state, starts)
        starts[:] = False
        for k, env in enumerate(envs):
            if running[k]:
                assert env.action_space.contains(actions[k])
                observations[k], reward, terminated, truncated, _ = env.step(actions[k])
                returns[k] += float(reward)
                running[k] = not (terminated or truncated)
    return list(returns)


@pytest.mark.parametrize("name", ["cartpole", "pendulum"])
def test_predicted_actions_give_the_returns_of_evaluate_to_the_last_bit(name: str) -> None:
    policy = a3c_exp.load(PRETRAINED / name)
    returns = evaluated(policy, PRETRAINED / name, 100)
    assert played(policy, 100) == returns
    assert played(policy, 100, at_a_time=1) == returns


def test_recurrent_state_and_normalization_are_those_of_evaluate(recurrent: Path) -> None:
    policy = a3c_exp.load(recurrent)
    returns = evaluated(policy, recurrent, 40)
    assert played(policy, 40) == returns
    assert played(policy, 40, at_a_time=1) == played(policy, 40, at_a_time=2) == returns
    assert len(set(returns)) > 1


@pytest.mark.parametrize("name", ["car_racing", "cartpole", "pendulum"])
def test_an_observation_gives_the_same_whatever_others_are_beside_it(name: str) -> None:
    policy = a3c_exp.load(PRETRAINED / name)
    policy.observation_space.seed(0)
    observations = np.stack([policy.observation_space.sample() for _ in range(21)])
    if name != "car_racing":
        observations = np.random.default_rng(0).standard_normal(observations.shape).astype(np.float32)
    alone = np.stack([policy.distribution(observation).parameters for observation in observations])
    for count in (1, 2, 7, 8, 13, 21):
        assert np.array_equal(policy.distribution(observations[-count:]).parameters, alone[-count:]), count
    assert np.array_equal(policy.value(observations), [policy.value(observation) for observation in observations])


def test_an_episode_that_starts_resets_its_own_state_alone(recurrent: Path) -> None:
    policy = a3c_exp.load(recurrent)
    observations = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    _, state = policy.predict(observations)
    assert state is not None and state[0].any(axis=1).all()
    mixed, _ = policy.predict(observations, state, episode_start=[True, False, True, False])
    fresh, kept = policy.predict(observations)[0], policy.predict(observations, state)[0]
    assert np.array_equal(mixed[[0, 2]], fresh[[0, 2]]) and np.array_equal(mixed[[1, 3]], kept[[1, 3]])
    assert not np.array_equal(fresh, kept)
    with pytest.raises(ValueError, match="Pass on what predict returned"):
        policy.predict(observations[:2], state)
    with pytest.raises(ValueError, match="Give one each"):
        policy.predict(observations, state, [True])


def test_one_observation_gives_one_action_and_a_batch_gives_as_many(recurrent: Path) -> None:
    cartpole = a3c_exp.load(PRETRAINED / "cartpole")
    one = np.zeros(4, np.float32)
    action, state = cartpole.predict(one)
    assert action.shape == () and action.dtype == np.int64 and state is None
    assert cartpole.predict(one, "kept")[1] == "kept"  # type: ignore[arg-type]  # as in stable-baselines3
    assert cartpole.predict(one[np.newaxis])[0].shape == (1,)
    pendulum = a3c_exp.load(recurrent)
    action, state = pendulum.predict(np.zeros(3))
    assert action.shape == (1,) and action.dtype == np.float32 and state is not None and len(state[0]) == 1
    assert pendulum.predict(np.zeros((5, 3)))[0].shape == (5, 1)
    for wrong in (np.zeros(5), np.zeros((2, 2, 3)), None, "up"):
        with pytest.raises(ValueError, match="nor a batch of them"):
            pendulum.predict(wrong)


def test_samples_follow_the_distribution_and_repeat_with_their_seed() -> None:
    policy = a3c_exp.load(PRETRAINED / "pendulum")
    observations = np.repeat(np.array([[1.0, 0.0, 0.1]], np.float32), 4000, axis=0)
    policy.set_random_seed(3)
    actions, _ = policy.predict(observations, deterministic=False)
    policy.set_random_seed(3)
    assert np.array_equal(policy.predict(observations, deterministic=False)[0], actions)
    assert not np.array_equal(policy.predict(observations, deterministic=False)[0], actions)
    assert (actions >= policy.action_space.low).all() and (actions <= policy.action_space.high).all()  # type: ignore[attr-defined]
    distribution = policy.distribution(observations[0])
    grid = np.linspace(-60, 60, 100_001, dtype=np.float32)[:, np.newaxis]
    density = np.exp(distribution.log_prob(grid).double().numpy())
    width = float(grid[1, 0] - grid[0, 0])
    assert density.sum() * width == pytest.approx(1.0, abs=5e-3)
    expected = (density * np.clip(grid[:, 0], -2, 2)).sum() * width
    assert actions.mean() == pytest.approx(expected, abs=4 * float(actions.std()) / len(actions) ** 0.5)
    mode = np.clip(distribution.mode().numpy(), -2, 2)
    assert policy.predict(observations[0])[0] == mode
    assert float(distribution.entropy()) == pytest.approx(-(density * np.log(density + 1e-300)).sum() * width, abs=5e-3)


def test_values_are_the_critics(recurrent: Path) -> None:
    policy = a3c_exp.load(recurrent)
    observations = np.random.default_rng(0).standard_normal((3, 3))
    values = policy.value(observations)
    assert values.shape == (3,) and policy.value(observations[1]) == values[1]


SPACES: list[Space[Any]] = [
    Box(-1, 1, (3,), np.float64), Box(0, 255, (5, 6, 3), np.uint8), Box(-1, 1, ()), Discrete(4, start=2),
    MultiDiscrete([2, 3]), MultiBinary(3), Dict(a=Box(-1, 1, (2,)), b=Tuple([Discrete(3), Box(0, 255, (2, 2), np.uint8)])),
]  # fmt: skip


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_batches_of_any_space_are_written_as_environments_write_their_observations(space: Space[Any]) -> None:
    space.seed(0)
    box, encode = observation_encoder(space)
    envs = EnvBatch.__new__(type("Envs", (EnvBatch,), {}))
    envs.raw_observation_space, envs.observation_space = space, box
    envs.observation = np.zeros((1, *box.shape), np.uint8 if is_bytes(space) else np.float32)
    samples = [space.sample() for _ in range(3)]
    expected = np.zeros((3, *box.shape), envs.observation.dtype)
    for row, sample in enumerate(samples):
        if encode is None:
            expected[row] = sample
        else:
            encode(sample, expected[row, ...])
    batcher = ObservationBatcher(space, envs)
    for sample, row in zip(samples, expected, strict=True):
        written, is_batch = batcher.batch(sample)
        assert not is_batch and np.array_equal(written[0], row)
    written, is_batch = batcher.batch(concatenate(space, samples, create_empty_array(space, 3)))
    assert is_batch and np.array_equal(written, expected)


def test_what_cannot_be_loaded_is_said_as_evaluate_says_it(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="run directory"):
        a3c_exp.load(tmp_path)
    with pytest.raises(ConfigError, match="Leave it out"):
        a3c_exp.load(PRETRAINED / "cartpole", "last")


def test_weights_that_come_with_the_code_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    observation = np.array([0.1, 0.2, -0.1, 0.0], np.float32)
    values = [a3c_exp.load(run).value(observation) for run in ("pretrained/cartpole", PRETRAINED / "cartpole")]
    assert values[0] == values[1]
    assert evaluate(["pretrained/carpole"]) == 2
    there = ", ".join(f"pretrained/{folder.parent.name}" for folder in sorted(PRETRAINED.glob("*/weights.pt")))
    assert "pretrained/cartpole" in there and f"There are {there}" in capsys.readouterr().err
    shutil.copytree(PRETRAINED / "pendulum", tmp_path / "pretrained" / "cartpole")  # one's own goes first
    assert a3c_exp.load("pretrained/cartpole").predict(np.zeros(3, np.float32))[0].shape == (1,)


def test_a_strangers_code_is_not_imported(tmp_path: Path) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    for file in (PRETRAINED / "cartpole").iterdir():
        text = file.read_bytes().replace(b"a3c_exp.models.", b"evil.models.")
        (folder / file.name).write_bytes(text if file.suffix == ".yaml" else file.read_bytes())
    with pytest.raises(ConfigError, match="--trust evil"):
        a3c_exp.load(folder)


def test_stable_baselines3_evaluates_it() -> None:
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation", reason="extra `compare` is not installed")
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    policy = a3c_exp.load(PRETRAINED / "pendulum")
    envs = vec_env.DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=60)] * EPISODES)
    envs._seeds = [seed_of(episode) for episode in range(EPISODES)]
    returns, _ = evaluation.evaluate_policy(policy, envs, EPISODES, return_episode_rewards=True, warn=False)
    # It adds float32 rewards up.
    assert sorted(returns) == pytest.approx(sorted(evaluated(policy, PRETRAINED / "pendulum", 60)), rel=1e-5)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, a3c_exp; dir(a3c_exp); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "numpy", "gymnasium", "hydra", "omegaconf", "importlib.metadata"}
    assert {name for name in loaded if name.startswith("a3c_exp")} == {"a3c_exp"}
