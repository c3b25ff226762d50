# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernels of instant-ngp are given. Arrays for the CPU's, tensors for their twins."""

from typing import Any, NamedTuple

HARMONICS = 16
GEOMETRY = 16
LARGEST_EXPONENT = 11.0
"""The logarithm of the density goes no higher."""


class Networks(NamedTuple):
    """Weights of the two networks, or their gradients; the last matrix has 4 rows, one unused."""

    density_hidden: Any
    density_out: Any
    color_geometry: Any
    color_direction: Any
    color_hidden: Any
    color_out: Any


class HashTable(NamedTuple):
    """The hash grid; `contracted` says that its cube holds all of space.

    `shift` is added to the logarithm of the density.
    """

    table: Any
    resolutions: Any
    offsets: Any
    contracted: bool
    shift: float


class RayTargets(NamedTuple):
    """Rays in the unit frame, one row each, and what should be seen along them.

    Arrays here, tensors in the twins. The last three are empty where nothing is learned.
    """

    origins: Any
    directions: Any
    nears: Any
    fars: Any
    jitters: Any
    harmonics: Any
    targets: Any
    backgrounds: Any
    gains: Any


class MovingRayTargets(NamedTuple):
    """`RayTargets` of rays that have a time; `conditions` is what the deformation is told of it."""

    origins: Any
    directions: Any
    nears: Any
    fars: Any
    jitters: Any
    harmonics: Any
    targets: Any
    backgrounds: Any
    gains: Any
    times: Any
    conditions: Any


class Deformation(NamedTuple):
    """Weights of the network that bends space, or their gradients.

    The last matrix gives the displacement in the cube, to be multiplied by `reach`, and then
    features that are handed on.
    """

    from_position: Any
    from_condition: Any
    hidden: Any
    out: Any
    reach: float


class LossSettings(NamedTuple):
    """`huber` 0 is the squared error. Closer than 1 / `inverse_near` gradients fade away.

    Samples behind an optical depth of `opaque_depth` teach nothing. `distortion` weighs how far
    apart along a ray the things are that it sees. The share `surface` of the error is what each
    sample would miss if it were all that is seen, by their weights (Zhang et al. 2025, "Radiance
    surfaces").
    """

    huber: float
    inverse_near: float
    opaque_depth: float
    distortion: float
    surface: float = 0.0


class AdamSettings(NamedTuple):
    """`step` counts from 1. It and the rates are tensors where a graph of CUDA's is recorded.

    Averages of what is learned, where there are any, keep the share `keep` of themselves.
    """

    table_rate: Any
    weight_rate: Any
    beta1: float
    beta2: float
    epsilon: float
    step: Any
    keep: float = 0.0
