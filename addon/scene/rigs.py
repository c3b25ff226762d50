# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras of a rig stand, as plain arrays."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A generated set of cameras. Angles in radians; heights are angles above the horizon.

    `seed` turns the whole rig around the vertical, so that two rigs do not take the same pictures.
    """

    shape: str
    count: int
    lowest_angle: float = math.radians(5)
    orbit_angle: float = math.radians(20)
    turns: float = 4.0
    seed: int = 0


def rig_directions(rig: Rig) -> NDArray[np.float64]:
    """Unit vectors (count, 3) from the subject's centre to the cameras.

    Equal steps in height and golden-angle turns spread points evenly over a sphere (a Fibonacci
    lattice).

    Raises:
        ValueError: for an unknown shape or fewer than one camera.
    """
    if rig.count < 1:
        raise ValueError(f"a rig needs at least one camera, got {rig.count}")
    order = np.arange(rig.count)
    # Below the pole, where a camera that looks straight down could stand at any turn.
    lowest, highest = math.sin(rig.lowest_angle), math.sin(math.radians(89))
    between = (order + 0.5) / rig.count
    if rig.shape == "SPHERE":
        height, turn = 2 * between - 1, order * GOLDEN_ANGLE
    elif rig.shape == "HEMISPHERE":
        height, turn = lowest + (1 - lowest) * between, order * GOLDEN_ANGLE
    elif rig.shape == "ORBIT":
        height = np.full(rig.count, math.sin(rig.orbit_angle))
        turn = order * 2 * math.pi / rig.count
    elif rig.shape == "SPIRAL":
        height = lowest + (highest - lowest) * order / max(rig.count - 1, 1)
        turn = order * 2 * math.pi * rig.turns / max(rig.count - 1, 1)
    else:
        raise ValueError(f"expected HEMISPHERE, SPHERE, ORBIT or SPIRAL, got {rig.shape!r}")
    turn = turn + np.random.default_rng(rig.seed).uniform(0, 2 * math.pi) if rig.seed else turn
    radius = np.sqrt(np.maximum(0.0, 1 - height**2))
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1)


def framing_distance(bounds: NDArray[np.floating], half_angle: float) -> float:
    """How far off a camera, whose narrower field of view is twice `half_angle`, sees the whole box.

    It fits the sphere around the box, so that it does for every direction; a tenth is added as a
    margin.
    """
    radius = float(np.linalg.norm(bounds[1] - bounds[0])) / 2
    return 1.1 * max(radius, 1e-3) / math.sin(half_angle)


def look_at(position: NDArray[np.floating], center: NDArray[np.floating]) -> NDArray[np.float64]:
    """The camera-to-world matrix of a camera that looks at `center` with the world's Z upwards."""
    backward = np.asarray(position, dtype=np.float64) - center
    backward /= np.linalg.norm(backward)
    right = np.cross((0.0, 0.0, 1.0), backward)
    length = np.linalg.norm(right)
    # Straight above or below every heading is as good as any other.
    right = right if length > 1e-6 else np.array([1.0, 0.0, 0.0]) - backward[0] * backward
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = right, np.cross(backward, right)
    matrix[:3, 2], matrix[:3, 3] = backward, position
    return matrix
