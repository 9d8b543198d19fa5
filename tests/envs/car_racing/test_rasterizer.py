"""Our own drawing of CarRacing's small picture: pygame's to the last byte, whatever is drawn, or not used."""

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pygame
import pytest
from hypothesis import example, given, settings, strategies as st

from a3c_exp.envs.car_racing import rasterizer
from a3c_exp.envs.car_racing.camera import Camera
from a3c_exp.envs.car_racing.canvas import Canvas, ShrunkScreen
from a3c_exp.envs.car_racing.game import CarRacingGame
from a3c_exp.envs.car_racing.rasterizer import Rasterizer, load_rasterizer
from a3c_exp.envs.car_racing.renderer import CarRacingRenderer
from a3c_exp.envs.car_racing.scenery import Scenery
from a3c_exp.envs.car_racing.vehicle import ScreenPolygons
from benchmarks.car_racing.pixel_parity import compare_episode

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine")

CAMERA = Camera(4.0, 500.0, 400.0, 1.0, 0.0)
"""Powers of two and no turn, so that a corner on the screen is what a test says."""
FURTHEST = 16382
CANVAS, SCREEN = Canvas(), ShrunkScreen(96, 96)

xs = st.one_of(st.sampled_from([-1, 0, 1, 2, 998, 999, 1000]), st.integers(-60, 1060), st.integers(-FURTHEST, FURTHEST))
ys = st.one_of(st.sampled_from([98, 99, 100, 101, 798, 799, 800]), st.integers(-60, 860), st.integers(-FURTHEST, FURTHEST))
corners = st.tuples(xs, ys)
nearby = st.builds(
    lambda x, y, dx, dy: (x + dx / 4, y + dy / 4), st.integers(-9, 1009), st.integers(90, 809), *[st.integers(-9, 9)] * 2
)
colors = st.integers(0, (1 << 24) - 1)
quadrilaterals = st.lists(st.tuples(st.lists(corners, min_size=4, max_size=4), colors), max_size=5)
parts = st.lists(st.tuples(st.lists(nearby | corners, min_size=4, max_size=8), colors), max_size=2)


def scene(
    quadrilaterals: list, parts: list, background: int, camera: Camera = CAMERA
) -> tuple[Scenery, Camera, ScreenPolygons]:
    """Of polygons whose corners are given on the screen, and colors 0xBBGGRR."""

    def rgb(color: int) -> list[int]:
        return [color & 255, color >> 8 & 255, color >> 16]

    on_screen = np.array([polygon for polygon, _ in quadrilaterals], np.float64).reshape(-1, 4, 2)
    shades = np.array([rgb(color) for _, color in quadrilaterals], np.float64).reshape(-1, 3)
    counts = [len(polygon) for polygon, _ in parts]
    described = [[sum(counts[:k]), counts[k], color] for k, (_, color) in enumerate(parts)]
    return (
        Scenery((on_screen - [camera.shift_x, camera.shift_y]) / camera.zoom, shades, rgb(background)),
        camera,
        ScreenPolygons(
            np.array(described, np.int32).reshape(-1, 3),
            np.array([corner for polygon, _ in parts for corner in polygon], np.float64).reshape(-1, 2),
        ),
    )


def drawn_by_pygame(scenery: Scenery, camera: Camera, car: ScreenPolygons) -> np.ndarray:
    CANVAS.draw_scenery(scenery, camera)
    CANVAS.draw_polygons(car)
    return SCREEN.shrink_with_bar(CANVAS.visible)


@pytest.fixture(scope="module")
def ours() -> Rasterizer:
    loaded = load_rasterizer()
    assert loaded is not None
    loaded.bar[:] = SCREEN.bar[:] = np.random.default_rng(1).integers(0, 1 << 24, SCREEN.bar.shape)
    return loaded


@needs_compiler
@given(quadrilaterals, parts, colors, st.sampled_from([CAMERA, CAMERA._replace(zoom=1.0)]))  # the latter sees the field's edge
@example([([(0, 0), (999, 0), (999, 799), (0, 799)], 255)], [], 0, CAMERA)
@example(
    [([(-500, 900), (1500, -100), (1500, 900), (-500, -100)], 255)], [([(5, 300)] * 4, 65280)], 7, CAMERA
)  # a bow tie; a point
@settings(max_examples=100)
def test_polygons_anywhere_are_pygames_to_the_last_byte(
    ours: Rasterizer, quadrilaterals: list, parts: list, background: int, camera: Camera
) -> None:
    content = scene(quadrilaterals, parts, background, camera)
    drawn = ours.draw(*content)
    assert drawn is not None
    np.testing.assert_array_equal(drawn, drawn_by_pygame(*content))


@needs_compiler
def test_what_is_too_much_or_too_large_is_left_to_pygame(ours: Rasterizer) -> None:
    quadrilateral = ([(-20_000, 300), (500, 200), (900, 300), (500, 400)], 255)
    octagon, triangle = (
        ([(300.0 + k, 300.0 + k * k) for k in range(9)], 255),
        ([(300.0, 300.0), (300.0, 500.0), (400.0, 400.0)], 255),
    )
    nowhere = ([(float("nan"), 300.0)] * 4, 255)
    for content in (
        scene([quadrilateral], [], 0),
        scene([([(10, 300), (500, 200), (900, 300), (500, 400)], 255)] * 1001, [], 0),
        *(scene([], [part], 0) for part in (octagon, triangle, nowhere)),
    ):
        assert ours.draw(*content) is None


def test_pygame_draws_gymnasiums_pictures_too() -> None:
    """As it does where nothing can be compiled; the other tests draw with what was compiled."""
    comparison = compare_episode(seed=3, style="too fast", frames=25, render_every=30, compiled=False)
    assert comparison.differing_frames == 0


@pytest.fixture
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for what is compiled, and nothing loaded before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rasterizer._load_library.cache_clear()
    yield tmp_path
    rasterizer._load_library.cache_clear()


def program(folder: Path, commands: str) -> str:
    """A compiler that does this instead; the last two of its arguments but one are ``-o`` and what it should make."""
    path = folder / "compiler.sh"
    path.write_text("#!/bin/sh\nfor source; do made=$before before=$source; done\n" + commands)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("lacks", ["a compiler", "a compiler that works", "a place", "a home", "a library"])
def test_without_it_pygame_draws_and_nothing_is_said(
    lacks: str, anew: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    match lacks:
        case "a compiler":
            monkeypatch.delenv("CC", raising=False)
            monkeypatch.setenv("PATH", str(anew))
        case "a compiler that works":
            monkeypatch.setenv("CC", program(anew, "echo half a file > $made; echo internal compiler error >&2; exit 1"))
        case "a place":
            (anew / "cache").write_text("a file")
        case "a home":
            monkeypatch.delenv("XDG_CACHE_HOME")
            monkeypatch.setenv("HOME", "~")  # as for a user without HOME whom the system does not know: Python finds none
        case "a library":
            monkeypatch.setenv("CC", program(anew, "echo something else > $made"))
    with caplog.at_level(logging.DEBUG, rasterizer.__name__):
        assert CarRacingRenderer()._rasterizer is None
    assert capfd.readouterr() == ("", "")
    (said,) = [record for record in caplog.records if record.name == rasterizer.__name__]
    assert (said.levelno, said.getMessage().startswith("pygame draws")) == (logging.DEBUG, True)
    made = [file.suffix for file in anew.glob("cache/a3c_exp/compiled/*")]
    assert made.count(".so") == (lacks == "a library")
    assert set(made) <= {".so", ".lock"}


@needs_compiler
def test_it_is_not_used_where_pygame_shrinks_in_another_way(caplog: pytest.LogCaptureFixture) -> None:
    usual = pygame.transform.get_smoothscale_backend()
    pygame.transform.set_smoothscale_backend("GENERIC")
    try:
        with caplog.at_level(logging.DEBUG, rasterizer.__name__):
            assert rasterizer._load_library.__wrapped__() is None
    finally:
        pygame.transform.set_smoothscale_backend(usual)
    assert "draws another picture" in caplog.text
    assert rasterizer._load_library.__wrapped__() is not None


@needs_compiler
def test_several_that_begin_at_once_compile_once(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = rasterizer._compiled_library()
    monkeypatch.setenv("CC", program(anew, f"echo once >> {anew}/log; sleep 0.1; cp {built} $made"))
    with ThreadPoolExecutor(4) as pool:
        libraries = set(pool.map(lambda _: rasterizer._compiled_library(), range(4)))
    assert len(libraries) == 1
    assert (anew / "log").read_text() == "once\n"
    assert len(list(built.parent.glob("*.so"))) == 2


def test_a_game_draws_on_where_one_picture_is_left_to_pygame(anew: Path) -> None:
    """The car's corners are beyond what is drawn here when it is thrown far away."""
    drawn = []
    for compiled in (True, False):
        game = CarRacingGame(CarRacingRenderer(compiled))
        game.reset(seed=1)
        far = game.car.wheels[0]
        far.position = (100_000.0, 0.0)
        drawn.append(game._render("state_pixels"))
    assert np.array_equal(*drawn)
