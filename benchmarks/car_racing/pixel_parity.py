"""Whether our CarRacing is gymnasium's: every pixel, reward and flag, over whole episodes.

python -m benchmarks.car_racing.pixel_parity --episodes 20

Episodes are driven in turn by somebody who keeps to the road and finishes the lap, by one who drives too fast and slides over
the grass, and at random; every fourth has colours of its own. Both pictures are compared: what ``step`` returns at every frame,
what ``render`` returns at every tenth. The exit code is 0 if nothing differed.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

from a3c_exp.envs.car_racing.game import CarRacingGame
from benchmarks.car_racing.drive import controls

_STYLES = ("to the finish", "too fast", "at random")


@dataclass(frozen=True)
class EpisodeComparison:
    """One episode lived by both.

    Attributes:
        frames: until it ended, for the one or for the other.
        differing_frames: frames of which something differed.
        tiles_visited: tiles of the track that were visited.
        finished: whether the lap was.
    """

    frames: int
    differing_frames: int
    tiles_visited: int
    finished: bool


class _GymnasiumCarRacing(CarRacing):
    """gymnasium's own; it need not draw what is not compared."""

    draws_observation = True

    def _render(self, mode: str) -> Any:
        return super()._render(mode) if self.draws_observation or mode == "rgb_array" else None


def compare_episode(
    seed: int, style: str, frames: int = 1000, compare_every: int = 1, render_every: int = 10, domain_randomize: bool = False
) -> EpisodeComparison:
    """Live the episode of ``seed`` with gymnasium's and with ours.

    Args:
        style: one of ``to the finish``, ``too fast``, ``at random``.
        frames: at most so many.
        compare_every, render_every: at which frames the pictures of ``step`` and of ``render`` are compared.
        domain_randomize: with other colours.
    """
    ours = CarRacingGame(render_mode="rgb_array", domain_randomize=domain_randomize)
    theirs = _GymnasiumCarRacing(render_mode="rgb_array", domain_randomize=domain_randomize)
    generator = np.random.default_rng(seed)
    differing = int(not np.array_equal(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]))
    held = np.zeros(3)
    for frame in range(1, frames + 1):
        if style == "at random":
            if frame % 8 == 1:
                held = generator.uniform((-1, 0, 0), (1, 1, 0.4))
            action = held
        else:
            action = controls(theirs, 60.0 if style == "to the finish" else 90.0)
        theirs.draws_observation = ours.always_draw = frame % compare_every == 0
        mine, *told = ours.step(action)
        picture, *right = theirs.step(action)
        same = told == right
        if theirs.draws_observation:
            same = same and np.array_equal(mine, picture)
        if frame % render_every == 0:
            same = same and np.array_equal(ours.render(), theirs.render())  # type: ignore[no-untyped-call]
        differing += not same
        if told[1] or right[1]:
            break
    return EpisodeComparison(frame, differing, theirs.tile_visited_count, bool(right[3].get("lap_finished")))


def main() -> int:
    """Entry of the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.car_racing.pixel_parity", description=__doc__)
    parser.add_argument("--episodes", type=int, default=12, help="seeds 0, 1, ... (12)")
    differing = 0
    for seed in range(parser.parse_args().episodes):
        style = _STYLES[seed % 3]
        found = compare_episode(seed, style, domain_randomize=seed % 4 == 3)
        differing += found.differing_frames
        print(
            f"seed {seed}, {style}: {found.frames} frames, {found.tiles_visited} tiles{', finished' if found.finished else ''}, "
            f"{found.differing_frames} differ",
            flush=True,
        )
    print("every frame is the same" if differing == 0 else f"{differing} frames differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
