"""Names that other libraries give to our keys, and names that a key is easily mistaken for."""

from collections.abc import Collection

from a3c_exp.system.suggestions import closest_match

_OTHER_NAMES = {
    "total_timesteps": "max_env_steps",
    "timesteps": "max_env_steps",
    "max_steps": "max_env_steps",
    "num_steps": "n_step",
    "n_steps": "n_step",
    "rollout_length": "n_step",
    "t_max": "n_step",
    "n_envs": "workers",
    "num_envs": "workers",
    "num_workers": "workers",
    "lr": "optimizer.lr",
    "learning_rate": "optimizer.lr",
    "anneal": "lr_schedule",
    "anneal_lr": "lr_schedule",
    "ent_coef": "beta",
    "entropy_coef": "beta",
    "entropy_beta": "beta",
    "vf_coef": "value_coef",
    "value_loss_coef": "value_coef",
    "discount": "gamma",
    "gradient_clip": "max_grad_norm",
    "env_id": "env.id",
    "memory": "hidden_size",
    "hopeless": "no_progress_limit",
    "jobs": "n_jobs",
    "silence": "heartbeat_timeout",
    "lease": "heartbeat_timeout",
}


def suggest_key(key: str, keys: Collection[str], siblings: bool = True) -> str | None:
    """The dotted key that ``key`` was most likely meant to be, or ``None``.

    >>> suggest_key("total_timesteps", ["max_env_steps", "seed"])
    'max_env_steps'
    >>> suggest_key("model.memory", ["model.hidden", "model.hidden_size"])
    'model.hidden_size'

    Args:
        keys: that there are.
        siblings: whether a similar last word under the same parent is close enough.
    """
    parent, dot, name = key.rpartition(".")
    other = _OTHER_NAMES.get(name)
    for candidate in (f"{parent}{dot}{other}", other):
        if other is not None and candidate in keys:
            return candidate
    if match := closest_match(key, keys):
        return match
    names = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent] if siblings else []
    match = closest_match(name, names)
    return f"{parent}{dot}{match}" if match else None
