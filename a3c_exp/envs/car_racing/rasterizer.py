"""Our own drawing of CarRacing's small picture: ``rasterizer.c``, compiled when it is first needed.

It draws the same bytes as pygame or is not used: without a C compiler, without a place for what is compiled, or if a byte of a
few trial pictures is another one (another pygame, or another processor for which pygame shrinks otherwise), pygame draws, which
takes longer.
"""

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from a3c_exp.envs.car_racing.camera import Camera
from a3c_exp.envs.car_racing.canvas import FIELD, Canvas, ShrunkScreen, all_is_field, visible_bounds
from a3c_exp.envs.car_racing.scenery import Scenery
from a3c_exp.envs.car_racing.vehicle import ScreenPolygons
from a3c_exp.system.machine import processor_lines
from a3c_exp.system.process_setup import user_folder
from a3c_exp.system.signals import scratch_folders

_SOURCE = Path(__file__).with_suffix(".c")
# Without fused multiply-add, which rounds once where pygame and numpy round twice.
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")
_TIMEOUT = 300.0  # seconds, for a compilation or for another process that compiles; a busy machine can be slow
_SIZE = 96
_logger = logging.getLogger(__name__)


_Camera = ctypes.c_double * len(Camera._fields)
_Bounds = ctypes.c_double * 4


class _Scenery(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("corners", "low", "high", "colors")),
    ]


class Rasterizer:
    """Draws pictures by a compiled ``library``. The buffers are its own."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._draw = library.draw_picture
        address, number = ctypes.c_void_p, ctypes.c_int
        self._draw.argtypes = [address, address, address, address, number, address, number, address, address, address]
        self._draw.restype = number
        self._field = np.array(FIELD, np.float64).T.copy()
        self._known: WeakKeyDictionary[Scenery, _Scenery] = WeakKeyDictionary()
        self.bar = np.zeros((100, _SIZE), np.uint32)
        """The status bar, already shortened, as the next picture will have it."""
        self._pixels = np.zeros((_SIZE, _SIZE, 4), np.uint8)
        self._bar_address, self._pixels_address = self.bar.ctypes.data, self._pixels.ctypes.data

    def draw(self, scenery: Scenery, camera: Camera, car: ScreenPolygons) -> NDArray[np.uint8] | None:
        """``[96, 96, 4]``, overwritten by the next call; ``None`` where there is too much to draw, or too large."""
        known = self._known.get(scenery)
        if known is None:
            known = self._known[scenery] = _describe(scenery)
        bounds = visible_bounds(camera)
        c_camera, c_bounds = _Camera(*camera), _Bounds(*bounds)
        red, green, blue = scenery.background_color
        drawn = self._draw(
            ctypes.addressof(known),
            ctypes.addressof(c_camera),
            ctypes.addressof(c_bounds),
            None if all_is_field(bounds) else self._field.ctypes.data,
            red | green << 8 | blue << 16,
            car.parts.ctypes.data,
            len(car.parts),
            car.corners.ctypes.data,
            self._bar_address,
            self._pixels_address,
        )
        return self._pixels if drawn else None


def _describe(scenery: Scenery) -> _Scenery:
    arrays = (scenery.corners, scenery.low, scenery.high, scenery.colors)
    assert all(array.dtype == np.float64 and array.flags.c_contiguous for array in arrays)
    return _Scenery(scenery.corners.shape[2], *(array.ctypes.data for array in arrays))


def load_rasterizer() -> Rasterizer | None:
    """One with buffers of its own; ``None`` if it cannot be had, so that pygame has to draw."""
    library = _load_library()
    return None if library is None else Rasterizer(library)


@cache
def _load_library() -> ctypes.PyDLL | None:
    """Once in a process."""
    try:
        # Its calls are short: they keep the interpreter's lock, as pygame's do.
        library = ctypes.PyDLL(str(_compiled_library()))
        if draws_like_pygame(Rasterizer(library)):
            return library
        reason = "the compiled code draws another picture"
    except Exception as error:  # of a compiler, a linker or a full disk
        reason = f"{type(error).__name__}: {error}"
    _logger.debug("pygame draws CarRacing's pictures: %s", reason)
    return None


def _compiled_library() -> Path:
    """Compiled now, by another process meanwhile, or before."""
    source = _SOURCE.read_bytes()
    compiler = shlex.split(os.environ.get("CC", "")) or [next(filter(shutil.which, ("cc", "gcc", "clang")), "cc")]
    program = Path(shutil.which(compiler[0]) or compiler[0]).resolve()
    status = program.stat()
    parts = [*compiler, str(program), str(status.st_size), str(status.st_mtime_ns), *_FLAGS, *processor_lines()]
    key = hashlib.sha256(source + "\n".join(parts).encode()).hexdigest()[:32]
    library = user_folder("XDG_CACHE_HOME", "~/.cache") / "compiled" / f"rasterizer_{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(library.with_suffix(".lock"), timeout=_TIMEOUT):
            if not library.exists():
                _compile(compiler, library)
    return library


def _compile(compiler: list[str], library: Path) -> None:
    # Made in the same folder, so that it is moved into place whole or not at all.
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="building_") as scratch:
        scratch_folders.add(scratch)
        made = Path(scratch) / library.name
        command = [*compiler, *_FLAGS, "-o", str(made), str(_SOURCE)]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT)
        with made.open("rb") as file:
            os.fsync(file.fileno())  # loading half a file ends the process, so none must be found after a power failure
        made.replace(library)


def draws_like_pygame(rasterizer: Rasterizer) -> bool:
    """Whether two pictures of anything are the same: one full of lines and corners everywhere, one at the edge of the field."""
    generator = np.random.default_rng(0)
    canvas, screen = Canvas(), ShrunkScreen(_SIZE, _SIZE)
    for camera in (Camera(16.2, 500.0, 200.0, 0.8, 0.6), Camera(16.2, -7060.0, 1530.0, 0.6, -0.8)):
        scenery, car = _trial_scene(generator, camera)
        rasterizer.bar[:] = screen.bar[:] = generator.integers(0, 1 << 24, screen.bar.shape)
        canvas.draw_scenery(scenery, camera)
        canvas.draw_polygons(car)
        expected = screen.shrink_with_bar(canvas.visible)
        drawn = rasterizer.draw(scenery, camera, car)
        if drawn is None or not np.array_equal(drawn, expected):
            return False
    return True


def _trial_scene(generator: np.random.Generator, camera: Camera) -> tuple[Scenery, ScreenPolygons]:
    """Quadrilaterals of all sizes about the screen, and polygons of four to eight corners on it."""
    sizes = generator.choice([30.0, 150.0, 500.0], (40, 1, 1))
    x, y = (generator.uniform(-100, (1100, 900), (40, 1, 2)) + sizes * generator.normal(size=(40, 4, 2))).T
    u, v = (x - camera.shift_x) / camera.zoom, (y - camera.shift_y) / camera.zoom
    corners = np.array([camera.c * u + camera.s * v, camera.c * v - camera.s * u]).T
    colors: NDArray[Any] = generator.integers(0, 256, (40, 3)).astype(np.float64)
    counts = np.array([4, 8, 5, 4])
    parts = np.array([np.cumsum(counts) - counts, counts, generator.integers(0, 1 << 24, 4)], np.int32).T.copy()
    on_screen = generator.uniform(300, 600, (counts.sum(), 2))
    return Scenery(corners, colors, [102, 204, 102]), ScreenPolygons(parts, on_screen)
