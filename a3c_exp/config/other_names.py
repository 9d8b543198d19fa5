"""Names that other libraries give to our keys, and names that a key is easily mistaken for."""

from collections.abc import Collection

from a3c_exp.system.suggestions import closest_match

_OTHER_NAMES = {
    "max_env_steps": ("total_timesteps", "timesteps", "max_steps"),
    "n_step": ("num_steps", "n_steps", "rollout_length", "t_max"),
    "workers": ("n_envs", "num_envs", "num_workers"),
    "optimizer.lr": ("lr", "learning_rate"),
    "lr_schedule": ("anneal", "anneal_lr"),
    "beta": ("ent_coef", "entropy_coef", "entropy_beta"),
    "value_coef": ("vf_coef", "value_loss_coef"),
    "gamma": ("discount",),
    "max_grad_norm": ("gradient_clip",),
    "env.id": ("env_id",),
    "hidden_size": ("memory",),
    "no_progress_limit": ("hopeless",),
    "n_jobs": ("jobs",),
    "heartbeat_timeout": ("silence", "lease"),
}
"""Of each key, what others call it."""


def suggest_key(key: str, keys: Collection[str], siblings: bool = True) -> str | None:
    """The dotted key among ``keys`` that ``key`` was most likely meant to be, or ``None``; ``siblings`` says whether a similar
    last word under the same parent is close enough.

    >>> suggest_key("total_timesteps", ["max_env_steps", "seed"])
    'max_env_steps'
    >>> suggest_key("model.memory", ["model.hidden", "model.hidden_size"])
    'model.hidden_size'
    """
    parent, dot, name = key.rpartition(".")
    other = next((key for key, others in _OTHER_NAMES.items() if name in others), None)
    for candidate in (f"{parent}{dot}{other}", other):
        if other is not None and candidate in keys:
            return candidate
    if match := closest_match(key, keys):
        return match
    names = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent] if siblings else []
    match = closest_match(name, names)
    return f"{parent}{dot}{match}" if match else None
