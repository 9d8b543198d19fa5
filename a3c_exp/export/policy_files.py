"""From saved weights to files that other programs act with, each checked before it takes its place."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a3c_exp import __version__
from a3c_exp.envs.base import EnvBatch, space_of_observations
from a3c_exp.evaluate.evaluator import LONGEST_EPISODE, EvaluatorConfig
from a3c_exp.export.check import Difference, compare, sample
from a3c_exp.export.files import ONNX, export_program, placed, save_onnx, save_torch
from a3c_exp.export.graph import PolicyGraph
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.training.saved_weights import SavedWeights

_PARALLEL_ENVS = 10  # in which observations to check a file on are collected


def describe(envs: EnvBatch, config: DictConfig) -> dict[str, Any]:
    """What a file says of its policy's task."""
    return {
        "a3c_exp": str(__version__),
        "env": OmegaConf.to_container(config.env, resolve=True),
        "observation_space": str(space_of_observations(envs)),
        "action_space": str(envs.action_space),
        "frame_skip": int(config.env.get("frame_skip") or 1),
    }


def export_policy(
    setup: TrainingSetup,
    saved: SavedWeights,
    evaluation: EvaluatorConfig,
    seed: int,
    metadata: Mapping[str, Any],
    paths: Sequence[Path],
) -> Iterator[tuple[Path, Difference]]:
    """Write the deterministic policy to each of ``paths``, ONNX where it is named ``policy.onnx``; yields how far each is from
    the policy, on observations of episodes with the held-out seeds of a root ``seed``.

    Raises:
        ConfigError: a model or head that cannot be exported, or a file that is there already.
        A3CError: a file does other than the policy; it is not kept.
    """
    envs = setup.make_evaluation_envs(num_envs=_PARALLEL_ENVS)
    try:
        model, layout = setup.model(envs)
        limit = evaluation.max_episode_steps or envs.default_max_episode_steps or LONGEST_EPISODE
        space = space_of_observations(envs)
        samples = sample(model, layout, saved.weights, envs, space, seed, limit)
    finally:
        envs.close()
    weights = layout.unflatten(saved.weights)
    for name, parameter in model.named_parameters():
        parameter.data = weights[name].clone()
    graph = PolicyGraph(model, space, envs.observation.shape[1:], envs.action_space)
    program = export_program(graph)
    metadata = {**metadata, **graph.description}
    for path in paths:
        with placed(path) as unfinished:
            if path.name == ONNX:
                run = save_onnx(graph, program, unfinished, metadata)
            else:
                run = save_torch(program, unfinished, metadata)
            difference = compare(samples, envs.action_space, run)
        yield path, difference
