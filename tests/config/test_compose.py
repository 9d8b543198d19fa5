"""What a command line means, and what is refused before anything is started or made."""

from pathlib import Path

import pytest

from a3c_exp.config.compose import CONFIG_DIR, compose_jobs
from a3c_exp.config.enums import Reduction
from a3c_exp.system.errors import ConfigError
from a3c_exp.training.build import build_run, learner_config
from tests.support.command import ROOT
from tests.support.protocols import BESIDE


def config(*overrides: str):
    (job,) = compose_jobs(overrides, multirun=False)
    return job.config


LOGGERS = "csv, list, mlflow, none, tensorboard, wandb"
NO_LOGGER = ("logger=[]", "logger=null", "logger=false", "~logger", "logger={a:1}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gama=0.9", "Did you mean gamma?"),
        ("env.idd=x", "Did you mean env.id?"),
        ("total-timesteps=1000", "there is no key total-timesteps. Here it is called max_env_steps"),
        ("optimizer.learning_rate=0.1", "Here it is called optimizer.lr"),
        ("policy_kwargs={net_arch:[64,64]}", "Here layers belong to the model: model.hidden=[64,64]"),
        ("clip_range=0.2", "It belongs to other algorithms"),
        (
            "optimizer.alpha=0.9",
            "optimizer.alpha is a key of optimizer=rmsprop, which was not chosen. Try optimizer=rmsprop",
        ),
        ("env.braking_steps=2", "env.braking_steps is a key of env=car_racing, which was not chosen. Try env=car_racing"),
        ("env.frame_skip=2", "env.frame_skip is not in the chosen option, whose class takes it. Try +env.frame_skip=..."),
        ("env.kwargs.g=9.8", "there is no key env.kwargs.g. An argument that is new takes a plus: +env.kwargs.g=..."),
        ("norm_obs=true", "Here it is called normalize.observation"),
        ("model.hed.kind=auto", "Did you mean model.head.kind?"),
        ("env=pendulm", "Did you mean env=pendulum?"),
        ("experiment=cartpole_tuned", "it takes a plus: +experiment=cartpole_tuned"),
        ("+experiment=cartpole_tund", "Did you mean +experiment=cartpole_tuned?"),
        ("experiment=zoo/cartpole", "it takes a plus: +experiment=zoo/cartpole"),
        ("+experiment=zoo/lunarlander", "Did you mean +experiment=zoo/lunar_lander?"),
        ("env=lunar_lander", "Try env=gymnasium env.id=LunarLander-v3. There are atari, car_racing"),
        ("arm=workers_4", "Try +ablation=worker_count arm="),
        ("truncation=stop", "truncation is stop, but it is one of end, ignore"),
        ("num_seeds=0", "num_seeds is 0, but it is at least 1"),
        ("max_updates=0", "max_updates is 0, but it is at least 1"),
        ("+unheard_of=1", "there is no key unheard_of"),
        ("workers=abc", "workers is abc, but it is a whole number of at least 1"),
        ("workers=1e3", "Try workers=1000"),
        ("workers=null", "workers is null, but it is a whole number of at least 1"),
        ("max_grad_norm=None", "but it is a finite number above 0 or null. Try max_grad_norm=null"),
        ("gamma=true", "gamma is true, but it is a finite number above 0 and of at most 1"),
        ("tags=a", "Try 'tags=[a]'"),
        ("per_worker.lr=3", "it holds keys of its own: kind, low, high, values. Try per_worker.lr.<name>=..."),
        ("reduction=median", "reduction is median, but it is one of mean, sum"),
        ("bootstrap_on_truncation=perhaps", "true or false"),
        ("gamma=0", "but it is a finite number above 0 and of at most 1. Try gamma=0.99"),
        ("gamma=1.0001", "but it is a finite number above 0 and of at most 1. Try gamma=0.99"),
        ("workers=0", "workers is 0, but it is at least 1"),
        ("n_step=0", "n_step is 0, but it is at least 1"),
        ("bptt=0", "bptt is 0, but it is at least 1"),
        ("beta=-1", "beta is -1.0"),
        ("max_grad_norm=0", "max_grad_norm is 0.0"),
        ("reward_scale=0", "but it is a finite number other than 0. Try reward_scale=1"),
        ("reward_clip=0", "reward_clip is 0.0"),
        ("max_episodes=null", "nothing ends this run"),
        ("max_episode_steps=0", "max_episode_steps is 0"),
        ("seed=-1", "seed is -1"),
        ("workers=4,6", "Add -m"),
        *((text, f"a run has one logger, which is one of {LOGGERS}. Try logger=wandb") for text in NO_LOGGER),
        ("optimizer=null", "a run has one optimizer, which is one of adam, rmsprop, rmsprop_tf, sgd, shared_adam"),
        ("workers", "no override"),
        ("env.id=CartPole-v1", "made for Pendulum-v1. Try env=gymnasium env.id=CartPole-v1, or type env=pendulum as well"),
        ("workers=[1", "cannot be read"),
        ("name=größe", """Try quotes, for most characters: 'name="größe"'"""),
        ("name=run #3: lr=0.1", """'name="run #3: lr=0.1"'"""),
        ("name=1e3", """1e3 would become 1000.0. Try 'name="1e3"'"""),
        ("env=LunarLander-v3", "Try env=gymnasium env.id=LunarLander-v3. There are atari, car_racing"),
        ("env=ALE/Pong-v5", "env=ALE/Pong-v5: there is no such option. Try env=atari env.id=ALE/Pong-v5"),
        ("env=acrobot", "Try env=gymnasium env.id=Acrobot-v1"),
        ("~env", "a run has one env, which is one of atari, car_racing"),
        ("+experiment=null", "Leave it out where it has none"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_type_instead(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(override)
    text = str(caught.value)
    assert message in text
    assert len(text.splitlines()) <= 3


HEADER = "# @package _global_\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "own.yaml: its first line must be: # @package _global_ (it is empty)"),
        ("gamma: 0.5\n", "own.yaml: its first line must be: # @package _global_ (it is: gamma: 0.5)"),
        ("# @package global\ngamma: 0.5\n", "own.yaml: its first line must be: # @package _global_ (it is: # @package global)"),
        (f"{HEADER}gama: 0.5\n", "own.yaml: there is no key gama. Did you mean gamma?"),
        (f"{HEADER}m[]ax_episode_steps: 3\n", "own.yaml: there is no key m[]ax_episode_steps. Did you mean max_episode_steps?"),
        (f"{HEADER}(x.*): 3\n", "own.yaml: there is no key (x.*). python -m a3c_exp --help lists them all"),
        (f"{HEADER}/etc/x: {{y: 3}}\n", "own.yaml: there is no key /etc/x"),
        (f"{HEADER}gamma: high\n", "own.yaml: gamma is high, but it is a finite number above 0"),
        (f"{HEADER}defaults:\n  - override env: cartpole\n", "own.yaml: override env: ... finds no group of that name"),
        (f"{HEADER}\tgamma: 0.5\n", "own.yaml, line 2: found character '\\t' that cannot start any token. Indent with blanks"),
        (f"{HEADER}gamma: 0.5\ngamma: 0.5\n", "own.yaml, line 3: found duplicate key gamma"),
        (f"{HEADER}workers: [4\n", "own.yaml, line 3: expected ',' or ']'"),
        (f"{HEADER}env:\n  id: 'x\n", "own.yaml, line 4: found unexpected end of stream"),
        (f"{HEADER}name: für mich\n", "own.yaml is no text in UTF-8: invalid start byte at byte 27. Save it as UTF-8"),
        (f"{HEADER}gamma 0.5\n", "own.yaml: 'gamma 0.5' has no colon. Try gamma: 0.5"),
        (f"{HEADER}- gamma: 0.5\n", "own.yaml: it holds no lines of the form key: value"),
    ],
)
def test_a_slip_in_a_persons_own_file_is_named_with_the_file(text: str, message: str, tmp_path: Path) -> None:
    own = tmp_path / "experiment" / "own.yaml"
    own.parent.mkdir()
    own.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        compose_jobs(["+experiment=own"], multirun=False, config_dirs=[str(tmp_path)])
    assert str(caught.value).startswith(str(tmp_path)) and message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    own.write_text(HEADER)
    assert compose_jobs(["+experiment=own"], multirun=False, config_dirs=[str(tmp_path)])[0].config.gamma == 0.9


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.lr=-1"], "but it is a finite number above 0. Try optimizer.lr="),
        (["optimizer.lr=fast"], "optimizer.lr is 'fast', but it is a finite number"),
        (["optimizer.betas=[0.9]"], "a list of 2"),
        (["+optimizer.momentum=0.9"], "optimizer.momentum is not a key of Adam"),
        (["+experiment=zoo/bipedal_walker", "optimizer=sgd"], "leave it out: '~optimizer.eps'"),
        (["+experiment=zoo/acrobot", "model.hidden=[128]"], "Try model=shared_mlp model.hidden=..."),
        (["env=cartpole", "env.braking_steps=2"], "Try one of the chosen one's: id, backend, kwargs"),
        (["env=gymnasium", "env.id=Acrobot"], "Try env.id=Acrobot-v1"),
        (["env=gymnasium", "env.wrappers=my.Wrapper"], "a list, each a mapping or a word. Try 'env.wrappers=[my.Wrapper]'"),
        (["+env.gamma=0.9"], "Did you mean gamma? A file in env/ that sets it begins with # @package _global_"),
        (["model.head.kind=categorical"], "Try model.head.kind=gaussian"),
        (["env=gymnasium", "model.head.kind=gaussian"], "Try model.head.kind=categorical"),
        (["env=gymnasium", "env.id=NoSuchTask-v0"], "not a registered gymnasium environment"),
        (["+env.kwargs.wings=2"], "could not be made"),
        (["parallelism.processes=0"], "parallelism.processes is 0"),
        (["parallelism.on_worker_death=shrug"], "one of restart, fail"),
        (["parallelism.start_method=fork"], "one of forkserver, spawn"),
        (["parallelism._target_=no.such.Class"], "cannot be imported"),
        (["device=cuda"], "Try device=auto"),
    ],
)
def test_an_impossible_value_or_combination_is_refused_before_the_run(overrides: list[str], message: str) -> None:
    import torch

    if overrides == ["device=cuda"] and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device, so asking for it is no mistake")
    with pytest.raises(ConfigError) as caught:
        build_run(config(*overrides))
    assert message in str(caught.value)


def test_what_was_said_to_leave_out_of_a_preset_can_be() -> None:
    without = ("~optimizer.eps", "~optimizer.eps_inside_sqrt")
    assert build_run(config("+experiment=zoo/bipedal_walker", "optimizer=sgd", *without)).setup.workers == 16


def test_one_wrong_value_refuses_the_whole_sweep() -> None:
    with pytest.raises(ConfigError, match="workers is 0"):
        compose_jobs(["workers=4,0,6", "gamma=0.9"], multirun=True)


def test_a_sweep_is_every_combination_once() -> None:
    jobs = compose_jobs(["workers=4,6", "seed=range(3)", "gamma=0.9"], multirun=True)
    assert sorted((job.config.workers, job.config.seed) for job in jobs) == [(w, s) for w in (4, 6) for s in range(3)]
    with pytest.raises(ConfigError, match="same run twice"):
        compose_jobs(["workers=4,4"], multirun=True)
    with pytest.raises(ConfigError, match="interval"):
        compose_jobs(["gamma=interval(0.8,0.9)"], multirun=True)


def test_env_pendulum_alone_is_the_reports_preset() -> None:
    preset = config("env=pendulum")
    assert (preset.gamma, preset.beta, preset.n_step, preset.workers) == (0.9, 0.005, 10, 12)
    assert (preset.max_episodes, preset.max_episode_steps) == (1000, 4000)
    assert (preset.value_coef, preset.max_grad_norm, preset.window_ends_with_episode) == (1.0, None, True)
    assert preset.optimizer.lr == 1e-4 and list(preset.optimizer.betas) == [0.96, 0.999]
    assert list(preset.model.actor_hidden) == [200] and list(preset.model.critic_hidden) == [100]
    assert preset.parallelism._target_.endswith("Hogwild")
    assert preset.model.head.mean == "auto"  # scaled: Pendulum's torque is bounded


def test_the_rate_for_any_task_follows_from_who_makes_an_update() -> None:
    task = ("env=gymnasium", "env.id=Acrobot-v1")
    assert config(*task, "parallelism=synchronous").optimizer.lr == 1e-3
    assert config(*task).optimizer.lr == 1e-3 / 8
    assert config(*task, "workers=2", "parallelism=parameter_server").optimizer.lr == 5e-4
    assert config(*task, "optimizer.lr=0.01").optimizer.lr == 0.01


def test_the_command_line_wins_over_a_preset() -> None:
    changed = config("env=pendulum", "gamma=0.95", "optimizer=sgd", "optimizer.lr=0.1", "model.head.mean=tanh")
    assert changed.gamma == 0.95 and changed.optimizer.lr == 0.1 and "betas" not in changed.optimizer
    assert changed.model.head.mean == "tanh" and changed.n_step == 10


def test_one_reduction_is_all_three_unless_a_term_has_its_own() -> None:
    every = learner_config(config("reduction=sum")).loss
    assert {every.policy_reduction, every.value_reduction, every.entropy_reduction} == {Reduction.sum}
    total = learner_config(config("reductions.entropy=sum")).loss
    assert (total.policy_reduction, total.entropy_reduction) == (Reduction.mean, Reduction.sum)


OPTIONS = [
    f"{path.parent.name}={path.stem}"
    for path in sorted(CONFIG_DIR.glob("*/*.yaml"))
    if path.parent.name not in ("hydra", "experiment", "ablation", "arm", "control", "study")
]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_every_group_can_be_built(option: str) -> None:
    if option in ("logger=tensorboard", "logger=mlflow", "parallelism=ray"):
        pytest.importorskip(option.partition("=")[2], reason=f"the extra for {option} is not installed")
    assert build_run(config(option, *BESIDE.get(option, []))).setup.workers >= 1


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("optimizer=")])
@pytest.mark.parametrize("env", [option for option in OPTIONS if option.startswith("env=")])
def test_every_environment_goes_with_every_optimizer(env: str, option: str) -> None:
    assert build_run(config(env, option)).setup.workers >= 1  # no preset leaves a key behind that another optimizer lacks


@pytest.mark.parametrize("path", sorted(CONFIG_DIR.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONFIG_DIR)))
def test_every_yaml_begins_with_the_command_that_uses_it(path: Path) -> None:
    head = [line for line in path.read_text().splitlines()[:2] if "@package" not in line]
    assert head[0].startswith("# python -m a3c_exp"), f"{path} begins with {head[0]!r}"


def test_a_checkout_uses_its_own_configs() -> None:
    assert ROOT / "conf" == CONFIG_DIR


def test_a_persons_own_config_folder_adds_options(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "own.yaml").write_text(
        "# @package _global_\nenv:\n  _target_: tests.support.failing.FailingEnvironments\n  fail_at: 0\nmax_env_steps: 77\n"
    )
    (job,) = compose_jobs(["env=own", "env.fail_at=5"], multirun=False, config_dirs=[str(tmp_path)])
    assert job.env == "own" and job.config.max_env_steps == 77
    assert build_run(job.config).setup.make_envs.keywords == {"fail_at": 5}
    with pytest.raises(ConfigError, match="fail_at"):
        build_run(compose_jobs(["env=own", "env.fail_at=soon"], multirun=False, config_dirs=[str(tmp_path)])[0].config)


@pytest.mark.parametrize("given", ["--config-dir", "hydra.searchpath"])
@pytest.mark.parametrize("name", ["env/cartpole.yaml", "model/small_mlp.yaml", "config.yaml"])
def test_a_persons_own_file_that_a_built_in_one_hides_is_refused(name: str, given: str, tmp_path: Path) -> None:
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    text = (CONFIG_DIR / name).read_text()
    overrides, folders = ([], [str(tmp_path)]) if given == "--config-dir" else ([f"hydra.searchpath=[file://{tmp_path}]"], [])
    own.write_text(text)
    assert compose_jobs(overrides, multirun=False, config_dirs=folders)  # which is read makes no difference
    own.write_text(f"{text}\nmax_updates: 7\n")
    with pytest.raises(ConfigError) as caught:
        compose_jobs(overrides, multirun=False, config_dirs=folders)
    assert str(own) in str(caught.value) and str(CONFIG_DIR / name) in str(caught.value)


def test_glob_is_every_option_that_it_matches(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "own_mlp.yaml").write_text((CONFIG_DIR / "model" / "shared_mlp.yaml").read_text())
    jobs = compose_jobs(["model=glob(*_mlp)", "env=cartpole"], multirun=True, config_dirs=[str(tmp_path)])
    options = sorted(path.stem for path in (CONFIG_DIR / "model").glob("*_mlp.yaml"))
    assert [job.overrides[0] for job in jobs] == [f"model={option}" for option in sorted([*options, "own_mlp"])]
    jobs = compose_jobs(["optimizer=glob(*,exclude=sgd)"], multirun=True)
    assert len(jobs) == len(list((CONFIG_DIR / "optimizer").glob("*.yaml"))) - 1
    for nothing in ("model=glob(*_xyz)", "gamma=glob(*)", "hydra/launcher=glob(*)"):
        with pytest.raises(ConfigError, match=r"gives no value|is Hydra's"):
            compose_jobs([nothing], multirun=True)
