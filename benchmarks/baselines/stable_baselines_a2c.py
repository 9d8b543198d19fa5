"""stable-baselines3's A2C: training speed on CartPole, Pendulum or CarRacing, and time to solve CartPole.

python -m benchmarks.baselines.stable_baselines_a2c --workers 6 --seconds 20       steps per second
python -m benchmarks.baselines.stable_baselines_a2c --env CarRacing-v3 --workers 8    the same from pixels, with its CnnPolicy
python -m benchmarks.baselines.stable_baselines_a2c --env Pendulum-v1 --workers 12    the Pendulum report's settings
python -m benchmarks.baselines.stable_baselines_a2c --solve --seed 0                  seconds until solved

Needs an extra: `pip install -c constraints.txt -e '.[compare]'`. Settings are the library's own defaults, which are also
what rl-zoo has for CartPole (hyperparams/a2c.yml: MlpPolicy, ent_coef 0, 8 environments, 5e5 steps).
"""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

SOLVED_RETURN = 475.0
WARM_UP = {"CartPole-v1": 3_000, "Pendulum-v1": 3_000, "CarRacing-v3": 400}  # steps


@dataclass(frozen=True)
class SolveResult:
    """When the mean return of the last 100 training episodes reached 475; ``None`` if it never did."""

    env_steps: int | None
    seconds: float | None
    trained: int


def speed(
    env: str, workers: int, seconds: float, seed: int, threads: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Environment steps per second in the steady state."""
    model = make_model(env, workers, seed, threads)
    started: list[tuple[float, int]] = []

    def stop(steps: int) -> bool:
        now = clock()
        if not started and steps >= WARM_UP[env]:
            started.append((now, steps))
        if started and now - started[0][0] >= seconds:
            started.append((now, steps))
            return True
        return False

    learn(model, 10**9, stop)
    (t0, n0), (t1, n1) = started
    return (n1 - n0) / (t1 - t0)


def solve(workers: int, max_steps: int, seed: int, threads: int) -> SolveResult:
    """Train until solved, or for ``max_steps``; the clock starts with training, not with the imports."""
    model = make_model("CartPole-v1", workers, seed, threads)
    last: deque[float] = deque(maxlen=100)
    solved: list[tuple[float, int]] = []
    start = time.perf_counter()

    def stop(steps: int) -> bool:
        if len(last) == 100 and sum(last) / 100 >= SOLVED_RETURN:
            solved.append((time.perf_counter() - start, steps))
            return True
        return False

    steps = learn(model, max_steps, stop, last)
    return SolveResult(solved[0][1], solved[0][0], steps) if solved else SolveResult(None, None, steps)


def make_model(env: str, workers: int, seed: int, threads: int) -> Any:
    """rl-zoo's A2C for CartPole-v1, the report's networks and settings for Pendulum-v1, its defaults for CarRacing-v3."""
    import torch
    from stable_baselines3 import A2C
    from stable_baselines3.common.env_util import make_vec_env

    if threads:
        torch.set_num_threads(threads)
    if env == "Pendulum-v1":
        networks: Any = {"net_arch": {"pi": [200], "vf": [100]}, "activation_fn": torch.nn.ReLU6}
        envs = make_vec_env(env, n_envs=workers, seed=seed)
        settings: Any = {
            "n_steps": 10,
            "gamma": 0.9,
            "ent_coef": 0.005,
            "vf_coef": 1.0,
            "learning_rate": 1e-4,
            "use_rms_prop": False,
        }
        return A2C("MlpPolicy", envs, seed=seed, device="cpu", policy_kwargs=networks, **settings)
    policy = "MlpPolicy" if env == "CartPole-v1" else "CnnPolicy"
    return A2C(policy, make_vec_env(env, n_envs=workers, seed=seed), ent_coef=0.0, seed=seed, device="cpu")


def learn(model: Any, max_steps: int, stop: Any, returns: "deque[float] | None" = None) -> int:
    """Train until ``stop(steps)``, called after each step of all environments, is true; returns the steps taken."""

    def callback(local: dict[str, Any], _: dict[str, Any]) -> bool:
        if returns is not None:
            for info in local["infos"]:
                if "episode" in info:
                    returns.append(float(info["episode"]["r"]))
        return not stop(model.num_timesteps)

    model.learn(max_steps, callback=callback)
    return int(model.num_timesteps)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.baselines.stable_baselines_a2c", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--env", choices=list(WARM_UP), default="CartPole-v1", help="the environment (CartPole-v1)")
    parser.add_argument("--workers", type=int, help="environments (default: 6 for speed, rl-zoo's 8 for --solve)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the speed measurement (20)")
    parser.add_argument("--solve", action="store_true", help="train until the last 100 training episodes average 475")
    parser.add_argument("--max-steps", type=int, default=500_000, help="budget of steps (rl-zoo's, 500000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads (1; 0: torch's default)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    try:
        import stable_baselines3  # noqa: F401
    except ImportError:
        print("stable-baselines3 is not installed: pip install -c constraints.txt -e '.[compare]'", file=sys.stderr)
        return 2
    if arguments.solve:
        if arguments.env != "CartPole-v1":
            parser.error("--solve needs CartPole-v1. Leave --env out")
        solved = solve(arguments.workers or 8, arguments.max_steps, arguments.seed, arguments.threads)
        when = f"{solved.seconds:.1f} s, {solved.env_steps:,} steps" if solved.seconds else f"never in {solved.trained:,} steps"
        print(json.dumps(asdict(solved)) if arguments.json else f"last 100 episodes average {SOLVED_RETURN:.0f} after {when}")
    else:
        rate = speed(arguments.env, arguments.workers or 6, arguments.seconds, arguments.seed, arguments.threads)
        print(json.dumps({"steps_per_second": rate}) if arguments.json else f"{rate:,.0f} steps/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
