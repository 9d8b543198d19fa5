"""The search space is the one that was typed, and what cannot be searched is refused in one line."""

import pytest
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from a3c_exp.config.flatten import flatten
from a3c_exp.sweep.study.search_space import SearchSpace, read_search_space
from a3c_exp.sweep.study.study_files import check_same_study
from a3c_exp.system.errors import ConfigError
from tests.support.studies import settings

BASE = OmegaConf.create({"gamma": 0.99, "workers": 12, "beta": 0.01, "optimizer": {"name": "adam", "lr": 1e-3}, "seed": 0})


def read(*typed: str, **params: str) -> SearchSpace:
    return read_search_space({key.replace("__", "."): text for key, text in params.items()}, typed, None, BASE)


def test_each_form_is_the_distribution_that_it_names() -> None:
    space = read(
        "gamma=interval(0,1)",
        "workers=interval(2,12)",
        "beta=tag(log,interval(1e-4,1e-1))",
        "n_step=range(2,21,4)",
        "seed=3,5",
        "optimizer=choice(adam,'my own')",
        "+env.kwargs.wind=choice(true,false)",
        "env=pendulum",
    )
    assert space.distributions == {
        "gamma": FloatDistribution(0.0, 1.0),
        "workers": IntDistribution(2, 12),
        "beta": FloatDistribution(1e-4, 1e-1, log=True),
        "n_step": IntDistribution(2, 18, step=4),
        "seed": CategoricalDistribution([3, 5]),
        "optimizer": CategoricalDistribution(["adam", "my own"]),
        "env.kwargs.wind": CategoricalDistribution([True, False]),
    }
    assert space.fixed == ("env=pendulum",)
    low, high = space.probes(BASE)[:2]
    assert "optimizer='my own'" in high
    assert {"env=pendulum", "gamma=0.0", "workers=2", "optimizer=adam", "+env.kwargs.wind=true", "n_step=2"} <= set(low)


def test_a_range_is_of_whole_numbers_where_the_key_takes_only_whole_numbers() -> None:
    assert isinstance(read("gamma=interval(0,1)").distributions["gamma"], FloatDistribution)
    assert isinstance(read("workers=interval(1.0,8.0)").distributions["workers"], IntDistribution)
    with pytest.raises(ConfigError, match=r"workers=interval\(1.5,8\): this key takes whole numbers, not 1.5"):
        read("workers=interval(1.5,8)")


def test_the_command_line_overrides_yaml_and_a_plain_value_ends_the_search() -> None:
    space = read(
        "gamma=0.9", "beta=interval(0,1)", gamma="interval(0.5,0.6)", beta="interval(5,6)", optimizer__lr="interval(1,2)"
    )
    assert space.distributions == {"beta": FloatDistribution(0.0, 1.0), "optimizer.lr": FloatDistribution(1.0, 2.0)}
    assert space.fixed == ("gamma=0.9",)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "nothing to search"),
        (["gamma=0.9"], "nothing to search"),
        (["gamma=choice(0.9)"], "nothing to search"),
        (["gamma=interval(0.9,0.8)"], "the lower end 0.9 is above the upper end 0.8"),
        (["beta=tag(log,interval(0,1))"], "a logarithmic scale begins above 0"),
        (["beta=tag(lug,interval(0,1))"], "tag lug means nothing here. Try tag(log"),
        (["workers=range(4,4)"], "no number lies in this range"),
        (["workers=tag(log,range(1,9,2))"], "takes no step"),
        (["workers=choice(4,6,4)"], "the same choice is there twice"),
        (["gamma=interval(0.8,0.9)", "gamma=0.9"], "contradict each other"),
        (["gamma=interval(0.8"], "cannot be read"),
    ],
)
def test_an_empty_or_contradictory_space_is_refused(typed: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*typed)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_trials": 0}, "hydra.sweeper.n_trials is 0, but it is at least 1. Try hydra.sweeper.n_trials=60"),
        ({"n_trials": 1.5}, "n_trials is 1.5"),
        ({"n_jobs": 0}, "n_jobs is 0"),
        ({"n_trails": 5}, "Did you mean n_trials?"),
        ({"direction": "up"}, "it is maximize or minimize"),
        ({"objective": "evaluation.men"}, "which no run's summary has. Did you mean evaluation.mean?"),
        ({"objective": ["evaluation.mean", "wall_time"]}, "each objective needs its direction"),
        ({"objective": ["wall_time"] * 2, "direction": ["minimize"] * 2}, "the same quantity twice"),
        ({"max_failure_rate": 0}, "max_failure_rate is 0, but it is a finite number above 0 and of at most 1"),
        ({"heartbeat_timeout": 0}, "heartbeat_timeout is 0, but it is a finite number of at least 1"),
        ({"seeds": [1, 1]}, "a list of different seeds"),
        ({"study_name": "a/b"}, "it names a folder too"),
        ({"storage": 5}, "but it is null"),
        ({"sampler": {"seed": 1, "_target_": None}}, "sampler names nothing"),
        ({"params": {"gamma": [0.8, 0.9]}}, "it is text. Write interval"),
    ],
)
def test_a_wrong_key_of_a_study_is_refused_in_one_line(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**changed)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_sampler_or_pruner_that_cannot_be_made_is_named() -> None:
    from a3c_exp.sweep.study.sampler_pruner import make_pruner, make_sampler

    with pytest.raises(ConfigError, match=r"sampler=optuna\.samplers\.TPESampler cannot be made"):
        make_sampler(settings(sampler={"wings": 2}), 0)
    with pytest.raises(ConfigError, match="is no Optuna pruner"):
        make_pruner(settings(pruner={"_target_": "fractions.Fraction"}))


def test_another_pruner_takes_its_own_keys_and_not_the_defaults() -> None:
    from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

    from a3c_exp.sweep.study.sampler_pruner import make_pruner

    halving = make_pruner(settings(pruner={"_target_": "optuna.pruners.SuccessiveHalvingPruner", "min_resource": 2}))
    assert isinstance(halving, SuccessiveHalvingPruner) and halving._min_resource == 2
    default = make_pruner(settings())
    assert isinstance(default, MedianPruner) and default._n_warmup_steps == 2
    for without in ({"pruner": None}, {"objective": "wall_time", "direction": "minimize"}):
        assert isinstance(make_pruner(settings(**without)), NopPruner)


def test_a_study_is_not_resumed_with_another_configuration() -> None:
    stored = {"space": {"gamma": "interval(0.8, 0.9)"}, "config": {"max_env_steps": 1000}, "seeds": []}
    check_same_study("s", "here", stored, stored)
    with pytest.raises(ConfigError, match="started with max_env_steps: 1000, and this command has max_env_steps: 2000"):
        check_same_study("s", "here", stored, {**stored, "config": {"max_env_steps": 2000}})
    with pytest.raises(ConfigError, match=r"started with gamma: interval\(0.8, 0.9\), and this command has gamma: not there"):
        check_same_study("s", "here", stored, {**stored, "space": {}})
    assert flatten(stored) == {"space.gamma": "interval(0.8, 0.9)", "config.max_env_steps": 1000, "seeds": []}
