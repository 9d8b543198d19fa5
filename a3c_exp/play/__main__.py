"""``python -m a3c_exp.play env=car_racing``: drive yourself, and compare with a trained policy on the same tracks."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from a3c_exp.system.cli import CommandParser, run_command, whole_number
from a3c_exp.system.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from a3c_exp.play.keyboard import DriveResult

_EXAMPLES = """examples:
  python -m a3c_exp.play env=car_racing
  python -m a3c_exp.play env=car_racing --tracks 3 --against outputs/2026-11-21/14-03-22_car_racing
      three tracks, then the run's best weights on the same three
  python -m a3c_exp.play env=car_racing env.domain_randomize=true --seed 7

keys: left and right steer, up is gas, down brakes; Return goes to the next track, Escape ends
"""


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 0, or 2 if it was wrong."""
    return run_command("a3c_exp.play", lambda: _play(_parser().parse_intermixed_args(argv)))


def _parser() -> argparse.ArgumentParser:
    does = "Drive CarRacing with the keyboard, on the tracks that evaluate uses. Needs a display."
    parser = CommandParser("a3c_exp.play", does, _EXAMPLES)
    parser.add_argument("overrides", nargs="*", help="as for python -m a3c_exp; only env=car_racing can be played")
    parser.add_argument("--tracks", type=whole_number(1, 3), help="end after this many (default: continue until Escape)")
    seed = "root of the tracks' seeds (default %(default)s)"
    parser.add_argument("--seed", type=whole_number(0, 1), default=1_000_003, help=seed)
    parser.add_argument("--against", type=Path, metavar="RUN_DIR", help="then let this run's policy drive the same tracks")
    parser.add_trust()
    return parser


def _play(arguments: argparse.Namespace) -> None:
    from a3c_exp.config.compose import compose_jobs

    # Mistakes are reported before the window opens.
    (job,) = compose_jobs(arguments.overrides, multirun=False)
    domain_randomize = _check_car_racing(job.env, job.config)
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
    if sys.platform.startswith("linux") and not has_display:
        raise ConfigError("playing needs a display, and this session has none. Try python -m a3c_exp.evaluate RUN_DIR --video")
    opponent = None if arguments.against is None else _opponent(arguments.against, arguments.trust)

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # or importing pygame prints a greeting
    from a3c_exp.algorithm.random_streams import StreamPurpose, env_seed
    from a3c_exp.play.keyboard import play

    # The tracks are those of `python -m a3c_exp.evaluate`.
    tracks = count() if arguments.tracks is None else range(arguments.tracks)
    seeds = (env_seed(arguments.seed, 0, track, StreamPurpose.evaluation) for track in tracks)
    results: list[DriveResult] = []
    for result in play(seeds, domain_randomize):
        results.append(result)
        end = "lap finished" if result.finished else "track ended" if result.complete else "given up"
        print(f"track {len(results)}: {result.return_:.1f} in {result.seconds:.1f} s, {end}", flush=True)
    complete = [track for track, result in enumerate(results) if result.complete]
    if opponent is None or not complete:
        return
    run_returns = opponent(arguments.seed, complete[-1] + 1)
    pairs = [(results[track].return_, run_returns[track]) for track in complete]
    for track, (yours, run) in zip(complete, pairs, strict=True):
        print(f"track {track + 1}: you {yours:.1f}, the run {run:.1f}")
    yours, run = map(fmean, zip(*pairs, strict=True))
    print(f"mean: you {yours:.1f}, the run {run:.1f}")


def _check_car_racing(env: str, config: "DictConfig") -> bool:
    """Whether every track has random colors; a ConfigError if the environment is not CarRacing."""
    target = str(config.env.get("_target_"))
    if not target.endswith(".CarRacingEnvs"):
        raise ConfigError(f"env={env} cannot be driven with the keyboard. Try python -m a3c_exp.play env=car_racing")
    return bool(config.env.get("domain_randomize", False))


def _opponent(run: Path, trusted: Sequence[str]) -> Callable[[int, int], list[float]]:
    """A function of a root seed and a number of tracks: the returns of a run's best weights, without sampling actions."""
    from a3c_exp.evaluate.evaluator import EvaluatorConfig
    from a3c_exp.training.build import build_run
    from a3c_exp.training.resume import saved_config
    from a3c_exp.training.saved_weights import held_out_evaluator, load_weights

    config = saved_config(run, trusted)
    _check_car_racing(f"(of {run})", config)
    saved = load_weights(run, "best")
    setup = build_run(config).setup

    def returns(seed: int, tracks: int) -> list[float]:
        with held_out_evaluator(setup, EvaluatorConfig(tracks), seed, [saved]) as evaluator:
            return list(evaluator.evaluate(saved.weights.to(setup.device), 0, 0, 0.0).returns)

    return returns


if __name__ == "__main__":
    sys.exit(main())
