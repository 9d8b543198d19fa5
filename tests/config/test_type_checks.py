"""A bound stands in one annotation, and a value beyond it is refused before anything starts, with what to type instead."""

from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Lt
from omegaconf import OmegaConf

from a3c_exp.config.instantiate import checked_partial
from a3c_exp.config.type_checks import Example, PositiveInt, describe_type, matches_type, value_problem
from a3c_exp.system.errors import ConfigError

OUT_OF_BOUNDS = [
    ("optimizers.adam.Adam", {"lr": 0.0}, "optimizer.lr is 0.0, but it is a finite number above 0. Try optimizer.lr=0.001"),
    ("optimizers.adam.Adam", {"lr": float("nan")}, "optimizer.lr is nan"),
    ("optimizers.adam.Adam", {"lr": 1e-3, "betas": [0.9, 1.0]}, "optimizer.betas is [0.9,1.0]"),
    ("optimizers.adam.Adam", {"lr": 1e-3, "betas": [0.9]}, "Try 'optimizer.betas=[0.9,0.999]'"),
    ("optimizers.adam.Adam", {"lr": 1e-3, "eps": 0.0}, "optimizer.eps is 0.0"),
    ("optimizers.adam.Adam", {"lr": 1e-3, "weight_decay": -1.0}, "optimizer.weight_decay is -1.0"),
    ("optimizers.sgd.SGD", {"lr": 0.1, "momentum": 1.0}, "optimizer.momentum is 1.0"),
    ("optimizers.rmsprop.RMSprop", {"lr": float("inf")}, "optimizer.lr is inf"),
    ("optimizers.rmsprop.RMSprop", {"lr": 1e-3, "initial_square": -1.0}, "optimizer.initial_square is -1.0"),
    ("models.separate_mlp.SeparateMLP", {"actor_hidden": [-1]}, "model.actor_hidden is [-1]"),
    ("models.shared_mlp.SharedMLP", {"hidden": [100, 0]}, "model.hidden is [100,0], but it is a list, each a whole number"),
    ("models.shared_mlp.SharedMLP", {"weight_std": float("nan")}, "Try model.weight_std=0.1"),
    (
        "models.recurrent_mlp.RecurrentMLP",
        {"cell": "rnn"},
        "model.cell is 'rnn', but it is one of gru, lstm. Try model.cell=gru",
    ),
    (
        "models.recurrent_mlp.RecurrentMLP",
        {"hidden_size": 0},
        "model.hidden_size is 0, but it is at least 1. Try model.hidden_size",
    ),
    ("models.conv_gru.ConvGRU", {"norm": "batch"}, "model.norm is 'batch', but it is one of instance, layer, none"),
    (
        "models.heads.HeadConfig",
        {"kind": "gausian"},
        "one of auto, categorical, bernoulli, gaussian, mixture, squashed_gaussian, beta",
    ),
    ("models.heads.HeadConfig", {"min_std": 0.0}, "model.min_std is 0.0, but it is a finite number above 0"),
    ("models.heads.HeadConfig", {"sde_sample_freq": 0}, "model.sde_sample_freq is 0, but it is at least -1 and other than 0"),
    ("models.heads.HeadConfig", {"components": 0}, "model.components is 0, but it is at least 1"),
    (
        "envs.car_racing.envs.CarRacingEnvs",
        {"frame_skip": 0},
        "env.frame_skip is 0, but it is at least 1. Try env.frame_skip=1",
    ),
    ("envs.car_racing.envs.CarRacingEnvs", {"braking_steps": -1}, "env.braking_steps is -1, but it is at least 0"),
    ("envs.car_racing.envs.CarRacingEnvs", {"no_progress_limit": 0}, "but it is at least 1 or null"),
    ("parallelism.single_process.synchronous.Synchronous", {"env_processes": -1}, "parallelism.env_processes is -1"),
    ("parallelism.single_process.synchronous.Synchronous", {"seed_block": 0}, "parallelism.seed_block is 0"),
    ("parallelism.parameter_server.strategy.ParameterServer", {"processes": 101}, "but it is at least 1 and of at most 100"),
    ("parallelism.parameter_server.strategy.ParameterServer", {"max_lag": -1}, "parallelism.max_lag is -1"),
    ("parallelism.parameter_server.strategy.ParameterServer", {"on_stale": "keep"}, "one of drop, downweight"),
    ("parallelism.hogwild.strategy.Hogwild", {"on_worker_death": "ignore"}, "Try parallelism.on_worker_death=restart"),
    ("parallelism.hogwild.strategy.Hogwild", {"processes": 0}, "parallelism.processes is 0, but it is at least 1 or null"),
    ("parallelism.hogwild.strategy.Hogwild", {"max_restarts": -1}, "parallelism.max_restarts is -1"),
    ("parallelism.hogwild.strategy.Hogwild", {"worker_timeout": 0.0}, "parallelism.worker_timeout is 0.0"),
    ("parallelism.hogwild.strategy.Hogwild", {"lock_timeout": -1.0}, "parallelism.lock_timeout is -1.0"),
    ("parallelism.deterministic.strategy.Deterministic", {"speeds": "fast"}, "one of equal, lognormal, gamma, uniform"),
    ("parallelism.deterministic.strategy.Deterministic", {"order": "random"}, "one of shuffled, fixed"),
    ("parallelism.deterministic.strategy.Deterministic", {"between_windows": -0.1}, "parallelism.between_windows is -0.1"),
]


@pytest.mark.parametrize(("target", "values", "says"), OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_in_one_line(target: str, values: dict[str, Any], says: str) -> None:
    group = target.partition(".")[0].removesuffix("s")
    caller_arguments = ("observation_space", "action_space", "seed")
    with pytest.raises(ConfigError) as caught:
        checked_partial(OmegaConf.create({"_target_": f"a3c_exp.{target}", **values}), group, caller_arguments)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "hint", "problem"),
    [
        (0, PositiveInt, "k is 0, but it is at least 1. Try k=7"),
        (0, PositiveInt | None, "k is 0, but it is at least 1 or null. Try k=7"),
        (0.5, PositiveInt, "k is 0.5, but it is a whole number of at least 1. Try k=7"),
        (True, PositiveInt, "k is true, but it is a whole number of at least 1. Try k=7"),
        (
            1.0,
            Annotated[float, Ge(0), Lt(1), Example(0.9)],
            "k is 1.0, but it is a finite number of at least 0 and below 1. Try k=0.9",
        ),
        ("x", Literal["a", "b"], "k is 'x', but it is one of a, b. Try k=7"),
        (float("inf"), float, "k is inf, but it is a finite number. Try k=7"),
    ],
)
def test_what_is_wrong_says_what_was_got_what_is_allowed_and_what_to_type(value: Any, hint: Any, problem: str) -> None:
    assert value_problem("k", value, hint, default=7) == problem


@pytest.mark.parametrize("value", [None, 3, 10**12])
def test_an_allowed_value_has_no_problem(value: Any) -> None:
    assert value_problem("k", value, PositiveInt | None) is None


def test_bounds_inside_a_list_hold_for_each_item() -> None:
    hint = tuple[Annotated[float, Gt(0)], float]
    assert matches_type([1.0, -1.0], hint) and not matches_type([0.0, 1.0], hint) and not matches_type([1.0], hint)
    assert describe_type(list[PositiveInt]) == "a list, each a whole number of at least 1"
