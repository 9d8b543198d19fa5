"""stable-baselines3's A2C with rl-baselines3-zoo's settings, over several training seeds; what is published is one of each.

python -m benchmarks.baselines.stable_baselines_zoo MountainCarContinuous-v0 LunarLander-v3 Acrobot-v1

Each seed's last weights play 100 episodes with the most likely actions, from seeds that no training used. Needs an extra:
`pip install -c constraints.txt -e '.[all,compare]'`.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import gymnasium
import numpy as np

from a3c_exp.stats.estimates import interquartile_mean, seed_interval

# rl-zoo3's hyperparams/a2c.yml.
SETTINGS: dict[str, dict[str, Any]] = {
    "Acrobot-v1": {"steps": 500_000, "n_envs": 16, "normalize": True},
    "MountainCar-v0": {"steps": 1_000_000, "n_envs": 16, "normalize": True},
    "LunarLander-v3": {
        "steps": 200_000, "n_envs": 8, "normalize": False,
        "model": {"gamma": 0.995, "n_steps": 5, "ent_coef": 1e-5}, "falling_rate": 8.3e-4,
    },
    "MountainCarContinuous-v0": {
        "steps": 100_000, "n_envs": 4, "normalize": True,
        "model": {"n_steps": 100, "use_sde": True, "sde_sample_freq": 16,
                  "policy_kwargs": {"log_std_init": 0.0, "ortho_init": False}},
    },
}  # fmt: skip
FIRST_SEED, HELD_OUT_SEED = 1000, 1_000_003


def train_and_evaluate(task: str, seed: int, episodes: int) -> float:
    """The mean return of one training seed's last weights."""
    import torch
    from stable_baselines3 import A2C
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    settings = SETTINGS[task]
    model_settings = dict(settings.get("model", {}))
    if "falling_rate" in settings:
        model_settings["learning_rate"] = _falling(settings["falling_rate"])
    envs: Any = make_vec_env(task, n_envs=settings["n_envs"], seed=seed)
    gamma = model_settings.get("gamma", 0.99)
    normalized = VecNormalize(envs, gamma=gamma) if settings["normalize"] else None
    model = A2C("MlpPolicy", normalized or envs, seed=seed, device="cpu", **{"ent_coef": 0.0, **model_settings})
    model.learn(settings["steps"])
    env, returns = gymnasium.make(task), []
    for episode in range(episodes):
        observation, _ = env.reset(seed=HELD_OUT_SEED + episode)
        returned, ended = 0.0, False
        while not ended:
            seen = normalized.normalize_obs(observation) if normalized is not None else observation
            action, _ = model.predict(seen, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            returned, ended = returned + float(reward), terminated or truncated
        returns.append(returned)
    return float(np.mean(returns))


def _falling(rate: float) -> Callable[[float], float]:
    """From ``rate`` to 0; stable-baselines3 gives the share of the training that is left."""
    return lambda left: left * rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=list(SETTINGS), help="gymnasium's ids")
    parser.add_argument("--seeds", type=int, default=10, help=f"training seeds, from {FIRST_SEED} on (10)")
    parser.add_argument("--episodes", type=int, default=100, help="held-out episodes of each (100)")
    parser.add_argument("--processes", type=int, default=2, help="trainings at a time (2)")
    arguments = parser.parse_args()
    try:
        import stable_baselines3  # noqa: F401
    except ImportError:
        print("stable-baselines3 is not installed: pip install -c constraints.txt -e '.[all,compare]'", file=sys.stderr)
        return 2
    with ProcessPoolExecutor(arguments.processes) as pool:
        for task in arguments.tasks:
            jobs = [pool.submit(train_and_evaluate, task, FIRST_SEED + k, arguments.episodes) for k in range(arguments.seeds)]
            returns = np.array([job.result() for job in jobs])
            low, high = seed_interval(returns)
            print(
                f"{task}: IQM {interquartile_mean(returns):.1f} [{low:.1f}, {high:.1f}], {len(returns)} seeds, "
                f"lowest {returns.min():.1f}, highest {returns.max():.1f}, {SETTINGS[task]['steps']:,} steps",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
