# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions on the sphere of directions, from smooth to fine."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_ROOT = 1 / math.sqrt(math.pi)

CONSTANTS: tuple[tuple[float, ...], ...] = (
    (_ROOT / 2,),
    (-math.sqrt(3) * _ROOT / 2, math.sqrt(3) * _ROOT / 2, -math.sqrt(3) * _ROOT / 2),
    (
        math.sqrt(15) * _ROOT / 2,
        -math.sqrt(15) * _ROOT / 2,
        math.sqrt(5) * _ROOT / 4,
        -math.sqrt(15) * _ROOT / 2,
        math.sqrt(15) * _ROOT / 4,
    ),
    (
        -math.sqrt(35 / 2) * _ROOT / 4,
        math.sqrt(105) * _ROOT / 2,
        -math.sqrt(21 / 2) * _ROOT / 4,
        math.sqrt(7) * _ROOT / 4,
        -math.sqrt(21 / 2) * _ROOT / 4,
        math.sqrt(105) * _ROOT / 4,
        -math.sqrt(35 / 2) * _ROOT / 4,
    ),
    (
        math.sqrt(35) * _ROOT * 3 / 4,
        -math.sqrt(35 / 2) * _ROOT * 3 / 4,
        math.sqrt(5) * _ROOT * 3 / 4,
        -math.sqrt(5 / 2) * _ROOT * 3 / 4,
        _ROOT * 3 / 16,
        -math.sqrt(5 / 2) * _ROOT * 3 / 4,
        math.sqrt(5) * _ROOT * 3 / 8,
        -math.sqrt(35 / 2) * _ROOT * 3 / 4,
        math.sqrt(35) * _ROOT * 3 / 16,
    ),
)
"""`CONSTANTS[degree][order + degree]` is the factor before the polynomial of each function."""

MAX_DEGREE = len(CONSTANTS) - 1


def spherical_harmonics(
    directions: Float[Tensor, "*batch 3"], degree: int
) -> Float[Tensor, "*batch functions"]:
    """The (degree + 1)² real spherical harmonics of degree 0 … `degree` at unit `directions`.

    Ordered by degree, then order -degree … degree, with the Condon-Shortley phase, as Plenoxels and
    instant-ngp do (instant-ngp calls the 16 functions of `degree` 3 "degree 4"). They are
    orthonormal over the sphere.

    Source: Sloan 2008, "Stupid spherical harmonics (SH) tricks", appendix A2.

    Raises:
        ValueError: if `degree` is not in 0 … 4.
    """
    if not 0 <= degree <= MAX_DEGREE:
        raise ValueError(f"degree must be in 0 … {MAX_DEGREE}, got {degree}")
    x, y, z = directions.unbind(dim=-1)
    xx, yy, zz = x * x, y * y, z * z
    polynomials = [
        (torch.ones_like(x),),
        (y, z, x),
        (x * y, y * z, 3 * zz - 1, x * z, xx - yy),
        (
            y * (3 * xx - yy),
            x * y * z,
            y * (5 * zz - 1),
            z * (5 * zz - 3),
            x * (5 * zz - 1),
            z * (xx - yy),
            x * (xx - 3 * yy),
        ),
        (
            x * y * (xx - yy),
            y * z * (3 * xx - yy),
            x * y * (7 * zz - 1),
            y * z * (7 * zz - 3),
            zz * (35 * zz - 30) + 3,
            x * z * (7 * zz - 3),
            (xx - yy) * (7 * zz - 1),
            x * z * (xx - 3 * yy),
            xx * (xx - 3 * yy) - yy * (3 * xx - yy),
        ),
    ]
    values = [
        constant * polynomial
        for constants, band in zip(CONSTANTS[: degree + 1], polynomials, strict=False)
        for constant, polynomial in zip(constants, band, strict=True)
    ]
    return torch.stack(values, dim=-1)
