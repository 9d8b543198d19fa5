"""Our CarRacing is gymnasium's: pictures, physics, rewards and ends. Longer: python -m benchmarks.car_racing.pixel_parity."""

import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing

from a3c_exp.envs.car_racing.game import CarRacingGame
from benchmarks.car_racing.pixel_parity import compare_episode


def test_every_pixel_while_the_camera_comes_down_and_after() -> None:
    """The first second zooms in from above the whole track; the car brakes in the middle of it and stands askew."""
    comparison = compare_episode(seed=3, style="too fast", frames=70, render_every=9)
    assert comparison.differing_frames == 0
    assert comparison.frames == 70


@pytest.mark.parametrize(
    ("seed", "style", "colors"), [(1, "to the finish", False), (4, "too fast", False), (2, "at random", True)]
)
def test_a_whole_episode_is_the_same_to_its_end(seed: int, style: str, colors: bool) -> None:
    comparison = compare_episode(seed, style, compare_every=47, render_every=151, domain_randomize=colors)
    assert comparison.differing_frames == 0
    if style == "to the finish":
        assert comparison.finished
    assert comparison.tiles_visited > 5


def test_a_second_episode_in_the_same_game_is_drawn_with_its_own_track() -> None:
    ours, theirs = CarRacingGame(), CarRacing()
    for seed in (5, 6):
        ours.reset(seed=seed)
        theirs.reset(seed=seed)
        for _ in range(20):
            mine, picture = ours.step(np.array([0.3, 1.0, 0.0]))[0], theirs.step(np.array([0.3, 1.0, 0.0]))[0]
        assert np.array_equal(mine, picture)


@pytest.mark.parametrize("omega", [-900.0, -350.0, 380.0, 401.0, 2000.0])
def test_a_wheel_spinning_out_of_the_status_bar_is_drawn_as_gymnasium_does(omega: float) -> None:
    ours, theirs = CarRacingGame(render_mode="rgb_array"), CarRacing(render_mode="rgb_array")
    for game in (ours, theirs):
        game.reset(seed=1)
        game.car.wheels[2].omega = omega
        game.car.hull.angularVelocity = omega / 30
    assert np.array_equal(ours._render("state_pixels"), theirs._render("state_pixels"))
    assert np.array_equal(ours.render(), theirs.render())


def test_what_is_returned_is_not_overwritten_by_the_next_picture() -> None:
    game = CarRacingGame()
    first, _ = game.reset(seed=1)
    kept = first.copy()
    for _ in range(10):
        game.step(np.array([1.0, 1.0, 0.0]))
    assert np.array_equal(first, kept)
