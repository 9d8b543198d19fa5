"""The car of CarRacing-v3: gymnasium's physics and outlines, the same bits with less work.

What is asked of Box2D is asked once, scalars stay scalars instead of passing through numpy, and all corners are turned at
once. The arithmetic and its order are those of ``gymnasium.envs.box2d.car_dynamics``: every rounding is the same.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from gymnasium.envs.box2d import car_dynamics
from gymnasium.envs.box2d.car_dynamics import ENGINE_POWER, FRICTION_LIMIT, SIZE, WHEEL_MOMENT_OF_INERTIA
from numpy.typing import NDArray

from a3c_exp.envs.car_racing.camera import Camera

_BRAKE_FORCE = 15  # radians per second
_STIFFNESS = 205000 * SIZE * SIZE
_GRASS_FRICTION = FRICTION_LIMIT * 0.6


def set_controls(car: Any, steering: float, gas: float, brake: float) -> None:
    """Hold the controls: ``Car.steer``, ``Car.gas`` and ``Car.brake`` with what ``CarRacing.step`` gives them."""
    gas = min(max(gas, 0.0), 1.0)
    wheels = car.wheels
    wheels[0].steer = wheels[1].steer = -steering
    for wheel in wheels[2:4]:
        wheel.gas += min(gas - wheel.gas, 0.1)  # rises gradually, stops at once
    for wheel in wheels:
        wheel.brake = brake


def step_car(car: Any, dt: float) -> None:
    """Turn the wheels and push the car for ``dt`` seconds: ``Car.step``."""
    for w in car.wheels:
        joint = w.joint
        off = w.steer - joint.angle
        joint.motorSpeed = _sign(off) * min(50.0 * abs(off), 3.0)

        tiles = w.tiles
        grass = not tiles
        friction_limit = _GRASS_FRICTION
        for tile in tiles:
            friction_limit = max(friction_limit, FRICTION_LIMIT * tile.road_friction)

        forward = w.GetWorldVector((0, 1))
        forward_x, forward_y = forward.x, forward.y
        side_x, side_y = forward_y, -forward_x  # a right angle further: the same two numbers
        v = w.linearVelocity
        vx, vy = v.x, v.y
        vf = forward_x * vx + forward_y * vy
        vs = side_x * vx + side_y * vy

        omega = w.omega
        gas = w.gas
        omega += dt * ENGINE_POWER * gas / WHEEL_MOMENT_OF_INERTIA / (abs(omega) + 5.0)
        car.fuel_spent += dt * ENGINE_POWER * gas

        brake = w.brake
        if brake >= 0.9:
            omega = 0
        elif brake > 0:
            val = min(_BRAKE_FORCE * brake, abs(omega))
            omega += -_sign(omega) * val
        w.phase += omega * dt

        f_force = (-vf + omega * w.wheel_rad) * _STIFFNESS
        p_force = -vs * _STIFFNESS
        force = math.sqrt(f_force * f_force + p_force * p_force)

        if force > 2.0 * friction_limit:  # a tire mark
            particle = w.skid_particle
            if particle and particle.grass == grass and len(particle.poly) < 30:
                particle.poly.append((w.position[0], w.position[1]))
            elif w.skid_start is None:
                w.skid_start = w.position
            else:
                w.skid_particle = car._create_particle(w.skid_start, w.position, grass)
                w.skid_start = None
        else:
            w.skid_start = w.skid_particle = None

        if force > friction_limit:
            f_force = f_force / force * friction_limit
            p_force = p_force / force * friction_limit

        w.omega = omega - dt * f_force * w.wheel_rad / WHEEL_MOMENT_OF_INERTIA
        w.ApplyForceToCenter((p_force * side_x + f_force * forward_x, p_force * side_y + f_force * forward_y), True)


def _sign(x: float) -> float:
    return 1.0 if x > 0 else -1.0 if x < 0 else 0.0


class ScreenPolygons(NamedTuple):
    """Polygons of one color each, in drawing order.

    Attributes:
        parts: ``[P, 3]`` int32: a polygon's first corner, number of corners, and color as 0xBBGGRR.
        corners: ``[C, 2]``, on the screen.
    """

    parts: NDArray[np.int32]
    corners: NDArray[np.float64]


class CarOutline:
    """The polygons that make up a new ``car``, wheels first, as ``Car.draw`` has them.

    Box2D keeps corners in single precision and turns them with its bodies in single precision; the camera turns the result in
    double precision.
    """

    def __init__(self, car: Any) -> None:
        self._bodies = [*car.wheels, car.hull]
        tires = [wheel.fixtures[0].shape.vertices for wheel in car.wheels]
        shapes = [fixture.shape.vertices for fixture in car.hull.fixtures]
        stripes = [[(0.0, 0.0)] * 4] * 4
        corners: list[tuple[float, float]] = []
        bodies: list[int] = []
        parts: list[tuple[int, int, int]] = []
        hull_color = [int(c * 255) for c in car.hull.color]
        for body, part, (red, green, blue) in [
            *((k, tire, [int(c * 255) for c in car_dynamics.WHEEL_COLOR]) for k, tire in enumerate(tires)),
            *((4, shape, hull_color) for shape in shapes),
            *((k, stripe, list(car_dynamics.WHEEL_WHITE)) for k, stripe in enumerate(stripes)),
        ]:
            parts.append((len(corners), len(part), red | green << 8 | blue << 16))
            corners += part
            bodies += [body] * len(part)
        self._parts = np.array(parts, np.int32)
        self._x, self._y = np.array(corners, np.float32).T.copy()
        self._stripe_start = len(corners) - 16
        half = np.float32(car_dynamics.WHEEL_W * SIZE)
        self._x[self._stripe_start :] = np.tile(np.array([-half, half, half, -half]), 4)
        self._body = np.array(bodies)
        self._on_screen = np.empty((len(corners), 2))

    def polygons(self, camera: Camera) -> ScreenPolygons:
        """What is seen of it. The corners are overwritten by the next call."""
        zoom, shift_x, shift_y, c, s = camera
        placed = [(transform.q, transform.position) for transform in [body.transform for body in self._bodies]]
        transforms = [(q.c, q.s, p.x, p.y) for q, p in placed]
        stripes = [_stripe(wheel.phase) for wheel in self._bodies[:4]]
        ends = [stripe or (0.0, 0.0) for stripe in stripes]
        self._y[self._stripe_start :] = [y for first, last in ends for y in (first, first, last, last)]

        cos, sin, px, py = np.array(transforms, np.float32).T[:, self._body]
        x: NDArray[np.float64] = (cos * self._x - sin * self._y + px).astype(np.float64)
        y: NDArray[np.float64] = (sin * self._x + cos * self._y + py).astype(np.float64)
        self._on_screen[:, 0] = (c * x - s * y) * zoom + shift_x
        self._on_screen[:, 1] = (s * x + c * y) * zoom + shift_y
        count = len(self._parts)
        wheels = [part for k, stripe in enumerate(stripes) for part in ((k, count - 4 + k) if stripe else (k,))]
        return ScreenPolygons(self._parts[[*wheels, *range(4, count - 4)]], self._on_screen)


def _stripe(phase: float) -> tuple[float, float] | None:
    """From where to where along its wheel the white stripe is seen; ``None`` while it is below."""
    s1, s2 = math.sin(phase), math.sin(phase + 1.2)
    if s1 > 0 and s2 > 0:
        return None
    c1, c2 = math.cos(phase), math.cos(phase + 1.2)
    if s1 > 0:
        c1 = _sign(c1)
    if s2 > 0:
        c2 = _sign(c2)
    return car_dynamics.WHEEL_R * c1 * SIZE, car_dynamics.WHEEL_R * c2 * SIZE
