# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
import torch

from neural_backend.meshing.density_blocks import DensityBlocks, OpacityLimits, sample_blocks

BOUNDS = torch.tensor([[-1.0, -0.5, -0.3], [1.0, 0.5, 0.45]])
LIMITS = OpacityLimits(0.001, 0.9999)


def density(points: torch.Tensor) -> torch.Tensor:
    return 30 * torch.exp(-20 * (points - 0.1).square().sum(dim=-1))


def color(points: torch.Tensor) -> torch.Tensor:
    return (points * 0.3 + 0.5).clamp(0, 1)


def sampled(density_fn=density, limits: OpacityLimits = LIMITS, resolution=40) -> DensityBlocks:
    steps = sample_blocks(density_fn, color, BOUNDS, resolution, limits)
    while True:
        try:
            done, total = next(steps)
            assert 0 <= done < total
        except StopIteration as finished:
            return finished.value


def test_blocks_hold_what_a_loop_over_all_voxels_finds() -> None:
    blocks = sampled()
    assert blocks.voxel == pytest.approx(0.05)
    assert blocks.shape == (40, 20, 15)
    dense, light = np.zeros((40, 24, 16)), np.zeros((40, 24, 16, 3))
    for corner, values, emitted in zip(
        blocks.corners, blocks.density, blocks.emission, strict=True
    ):
        assert (corner % 8 == 0).all()
        part = tuple(slice(start, start + 8) for start in corner)
        dense[part], light[part] = values, emitted
    least = -math.log(1 - 0.001) / 0.05
    for index in np.ndindex(40, 24, 16):
        place = BOUNDS[0] + (torch.tensor(index) + 0.5) * 0.05
        expected = float(density(place))
        if expected < least or any(i >= n for i, n in zip(index, blocks.shape, strict=True)):
            expected = 0.0
        assert dense[index] == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(light[index], expected * color(place).numpy(), rtol=1e-4)
    assert blocks.share_filled == pytest.approx(np.count_nonzero(dense) / (40 * 20 * 15))
    assert len(blocks.corners) < 5 * 3 * 2  # empty blocks are left out


def test_opacities_bound_the_density_whatever_the_field_says() -> None:
    limits = OpacityLimits(0.01, 0.99)
    given = torch.tensor([0.0, 1e-3, float("inf"), float("nan"), -5.0, 1e30, 2.0])
    most = -math.log(0.01) / 0.5
    expected = torch.tensor([0.0, 0.0, most, 0.0, 0.0, most, 2.0])
    torch.testing.assert_close(limits.applied(given, 0.5), expected)


def test_an_empty_field_has_no_blocks() -> None:
    blocks = sampled(lambda points: torch.zeros(len(points)))
    assert blocks.corners.shape == (0, 3)
    assert blocks.emission.shape == (0, 8, 8, 8, 3)
    assert blocks.share_filled == 0.0
