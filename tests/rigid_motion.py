# SPDX-License-Identifier: GPL-3.0-or-later
"""A turn about Z and a rise, both even in time: the motion of the analytic field that moves."""

import math

import numpy as np


def moved_rigidly(points: np.ndarray, time: float, turn: float, rise: float) -> np.ndarray:
    """Where points are at `time` that are at `points` at time 0."""
    cos, sin = math.cos(turn * time), math.sin(turn * time)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return points @ turned.T + np.array([0, 0, rise * time])
