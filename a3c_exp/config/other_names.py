"""Names in other libraries, of keys and of environments, and what to type here instead. The docs list them."""

import importlib
import re
from collections.abc import Collection

from a3c_exp.system.errors import closest_match
from a3c_exp.system.extras import is_installed

ATARI_ID = r"ALE/|\w+(NoFrameskip|Deterministic)-v\d"
"""What ids of Atari games look like."""

OTHER_NAMES = {
    "max_env_steps": "total_timesteps timesteps n_timesteps num_timesteps num_env_steps total_steps max_steps num_frames",
    "max_episode_steps": "time_limit max_episode_length max_ep_len episode_length",
    "max_episodes": "num_episodes n_episodes episodes",
    "n_step": "num_steps n_steps rollout_length rollout_steps t_max tmax update_interval",
    "workers": "n_envs num_envs num_workers n_workers num_processes num_actors",
    "optimizer.lr": "lr learning_rate",
    "optimizer.eps": "rms_prop_eps adam_eps epsilon eps",
    "lr_schedule": "anneal anneal_lr lr_decay linear_lr_decay",
    "beta_schedule": "ent_coef_schedule entropy_coef_schedule entropy_coeff_schedule anneal_entropy anneal_beta entropy_decay",
    "beta": "ent_coef entropy_coef entropy_beta entropy_weight entropy_loss_weight",
    "value_coef": "vf_coef value_loss_coef critic_coef baseline_cost",
    "gamma": "discount discount_factor gae_gamma",
    "max_grad_norm": "gradient_clip grad_clip clip_grad_norm grad_norm_clipping",
    "max_grad_norm_schedule": "grad_clip_schedule anneal_grad_clip",
    "normalize_advantage": "norm_adv normalize_advantages",
    "device": "cuda gpu use_cuda no_cuda",
    "name": "exp_name run_name experiment_name",
    "logger.project": "wandb_project wandb_project_name project_name",
    "logger.entity": "wandb_entity",
    "evaluation.every_env_steps": "eval_freq eval_interval evaluation_interval",
    "evaluation.episodes": "n_eval_episodes eval_episodes",
    "evaluation.video": "capture_video record_video save_video",
    "checkpoint.every_env_steps": "save_freq save_interval checkpoint_freq save_model",
    "metrics.every_env_steps": "log_interval log_freq",
    "screenshots.every_env_steps": "render_freq",
    "env.wrappers": "env_wrapper wrapper_class",
    "env.kwargs": "env_kwargs env_config",
    "env.frame_skip": "frameskip action_repeat",
    "normalize.observation": "norm_obs normalize_obs normalize_observation normalize_observations",
    "normalize.reward": "norm_reward normalize_reward normalize_rewards",
    "model.head.use_sde": "use_sde use_gsde gsde",
    "model.head.sde_sample_freq": "sde_sample_freq",
    "model.head.full_std": "full_std",
    "model.head.log_std_init": "log_std_init",
    "hidden": "net_arch hidden_sizes hidden_layers hidden_dims layers",
    "hidden_size": "memory lstm_hidden_size rnn_hidden_size",
    "no_progress_limit": "hopeless",
    "n_jobs": "jobs",
    "heartbeat_timeout": "silence lease",
}
"""What is typed here, by the last part of its key or the whole; the names are separated by spaces."""

OTHER_WAYS = {
    "env_id env_name gym_id task": "Here it is env=gymnasium env.id=Acrobot-v1",
    "zoo preset": "Here a preset is laid over the others: +experiment=zoo/cartpole",
    "policy policy_kwargs net_arch hidden_sizes hidden_layers hidden_dims layers hidden_size":
        "Here layers belong to the model: model.hidden=[64,64], or model.actor_hidden and model.critic_hidden of separate_mlp",
    "track wandb use_wandb": "Here W&B is on unless logger=none is typed",
    "tensorboard_log tensorboard": "Here it is logger=tensorboard, or logger=[wandb,tensorboard]",
    "mlflow mlflow_tracking_uri tracking_uri": "Here it is logger=mlflow logger.tracking_uri=http://localhost:5000",
    "log_dir logdir save_dir output_dir": "Here logs are in the run directory: hydra.run.dir=mine",
    "torch_deterministic cuda_deterministic": "Here parallelism=deterministic and =synchronous repeat to the last bit",
    "use_rms_prop": "Here it is optimizer=rmsprop, or optimizer=adam",
    "squash_output use_squashing": "Here it is model.head.kind=squashed_gaussian",
    "use_gae": "Here gae_lambda below 1 uses it, and gae_lambda=1 does not",
    "frame_stack n_stack": "Here it is 'env.wrappers=[{_target_: gymnasium.wrappers.FrameStackObservation, stack_size: 4}]'",
    "batch_size n_epochs num_epochs update_epochs num_minibatches clip_range clip_coef clip_vloss target_kl buffer_size "
    "learning_starts train_freq gradient_steps target_update_interval exploration_fraction ppo_epoch num_mini_batch":
        "It belongs to other algorithms: A3C and A2C use each step once, in the order in which it was made",
    "verbose quiet progress_bar": "Here the display goes to standard error: 2>/dev/null hides it",
    "load_model trained_agent load_path pretrained_path": "Here a run is gone on with by resume=RUN_DIR",
}  # fmt: skip
"""What is done in another way than by a key of another name."""

_KEYS = {name: key for key, names in OTHER_NAMES.items() for name in names.split()}
_WAYS = {name: sentence for names, sentence in OTHER_WAYS.items() for name in names.split()}


def explain_key(key: str, keys: Collection[str]) -> str:
    """What to type instead of a key that is not among ``keys``, all dotted, in a sentence without its end; empty if nothing
    comes near.

    >>> explain_key("total_timesteps", ["max_env_steps", "seed"])
    'Here it is called max_env_steps'
    >>> explain_key("model.memory", ["model.hidden", "model.hidden_size"])
    'Here it is called model.hidden_size'
    >>> explain_key("modle.hidden", ["model.hidden", "model.hidden_size"])
    'Did you mean model.hidden?'
    """
    parent, dot, last = key.rpartition(".")
    name = last.strip("-").replace("-", "_").lower()
    if parent == "env.kwargs":
        return f"An argument that is new takes a plus: +{key}=..."
    for candidate in (f"{parent}{dot}{_KEYS.get(name)}", _KEYS.get(name)):
        if candidate in keys:
            return f"Here it is called {candidate}"
    if name in _WAYS:
        return _WAYS[name]
    siblings = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent]
    if match := closest_match(last, siblings):
        return f"Did you mean {parent}{dot}{match}?"
    guess = None if siblings and parent else closest_match(key, keys)
    return f"Did you mean {guess}?" if guess else ""


def is_atari(id: str) -> bool:
    """Whether an id is of an Atari game.

    >>> is_atari("ALE/Pong-v5"), is_atari("PongNoFrameskip-v4"), is_atari("Acrobot-v1")
    (True, True, False)
    """
    return re.match(ATARI_ID, id) is not None


def registered_id(word: str) -> str | None:
    """The id in gymnasium's registry that somebody may have meant, in its latest version; ``None`` if none is close. What ends
    with a version and is not there is taken for an id of another package.

    >>> registered_id("acrobot"), registered_id("Lunar_Lander"), registered_id("CartPole-v1"), registered_id("pendulm")
    ('Acrobot-v1', 'LunarLander-v3', 'CartPole-v1', None)
    """
    import gymnasium

    if is_installed("ale_py"):
        importlib.import_module("ale_py")  # registers its games
    if word in gymnasium.registry:
        return word
    named = (id for id in reversed(gymnasium.registry) if not id.startswith("a3c_exp/"))  # our own copies of some
    found = (id for id in named if _letters(id) == _letters(word))
    return next(found, word if re.search(r"-v\d+$", word) else None)


def _letters(id: str) -> str:
    """``lunarlander`` of ``Lunar_Lander-v3``, ``pong`` of ``ALE/Pong-v5``."""
    return re.sub(r"-v\d+$|[^a-z0-9]", "", id.rpartition("/")[2].lower())
