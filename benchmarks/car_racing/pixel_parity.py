"""Compare a3c_exp's CarRacing with gymnasium's: every pixel, reward and flag, over whole episodes.

python -m benchmarks.car_racing.pixel_parity --episodes 20

Three drivers take turns: one finishes the lap, one drives too fast and slides over the grass, one acts at random. Every fourth
episode has other colors. The observations of ``step`` are compared at every frame, the images of ``render``
at every tenth. The exit code is 0 if nothing differed.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.envs.car_racing.renderer import CarRacingRenderer
from benchmarks.car_racing.drive import controls

_STYLES = ("to the finish", "too fast", "at random")


@dataclass(frozen=True)
class EpisodeComparison:
    """One episode in both environments.

    Attributes:
        frames: until the episode ended in one of them.
        differing_frames: frames with a difference.
        tiles_visited: tiles of the track that were visited.
        finished: whether the lap was finished.
    """

    frames: int
    differing_frames: int
    tiles_visited: int
    finished: bool


class _GymnasiumCarRacing(CarRacing):
    """gymnasium's environment, which renders only what is compared."""

    draws_observation = True

    def _render(self, mode: str) -> Any:
        return super()._render(mode) if self.draws_observation or mode == "rgb_array" else None


def compare_episode(
    seed: int,
    style: str,
    frames: int = 1000,
    compare_every: int = 1,
    render_every: int = 10,
    domain_randomize: bool = False,
    compiled: bool = True,
) -> EpisodeComparison:
    """Play the episode of ``seed`` in both environments.

    Args:
        style: one of ``to the finish``, ``too fast``, ``at random``.
        frames: maximum length.
        compare_every: interval of frames at which observations are compared.
        render_every: interval of frames at which images of ``render`` are compared.
        domain_randomize: other colors.
        compiled: draw observations with compiled code of our own where possible.
    """
    renderer = CarRacingRenderer(compiled)
    ours = CarRacingGame(renderer, render_mode="rgb_array", domain_randomize=domain_randomize)
    theirs = _GymnasiumCarRacing(render_mode="rgb_array", domain_randomize=domain_randomize)
    generator = np.random.default_rng(seed)
    differing = int(not np.array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]))
    random_action = np.zeros(3)
    for frame in range(1, frames + 1):
        if style == "at random":
            if frame % 8 == 1:
                random_action = generator.uniform((-1, 0, 0), (1, 1, 0.4))
            action = random_action
        else:
            action = controls(theirs, 60.0 if style == "to the finish" else 90.0)
        theirs.draws_observation = ours.always_draw = frame % compare_every == 0
        observation, *outcome = ours.step(action)
        expected, *expected_outcome = theirs.step(action)
        same = outcome == expected_outcome
        if theirs.draws_observation:
            same = same and np.array_equal(observation, expected)
        if frame % render_every == 0:
            same = same and np.array_equal(ours.render(), theirs.render())  # type: ignore[no-untyped-call]
        differing += not same
        if outcome[1] or expected_outcome[1]:
            break
    return EpisodeComparison(frame, differing, theirs.tile_visited_count, bool(expected_outcome[3].get("lap_finished")))


def main() -> int:
    """Entry of the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.car_racing.pixel_parity", description=__doc__)
    parser.add_argument("--episodes", type=int, default=12, help="seeds 0, 1, ... (12)")
    differing = 0
    for seed in range(parser.parse_args().episodes):
        style = _STYLES[seed % 3]
        result = compare_episode(seed, style, domain_randomize=seed % 4 == 3)
        differing += result.differing_frames
        lap = ", finished" if result.finished else ""
        tiles = f"{result.tiles_visited} tiles{lap}"
        print(f"seed {seed}, {style}: {result.frames} frames, {tiles}, {result.differing_frames} differ", flush=True)
    print("all frames are equal" if differing == 0 else f"{differing} frames differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
