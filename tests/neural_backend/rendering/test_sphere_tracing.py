# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from neural_backend.geometry.rays import Rays
from neural_backend.rendering.sphere_tracing import (
    TracingOptions,
    shaded,
    trace,
    trace_view,
)

BOUNDS = torch.tensor([[-1.5, -1.5, -1.5], [1.5, 1.5, 1.5]])

TOLERANCE = 1e-4 * 3 * 3**0.5


def sphere(points: Tensor) -> Tensor:
    return (points * points).sum(dim=-1).sqrt() - 1


def two(points: Tensor) -> Tensor:
    """A small ball in front of a wall with a hole's worth of nothing around it."""
    near = (points - torch.tensor([0.3, -0.8, 0.2])).norm(dim=-1) - 0.3
    return torch.minimum(near, points[:, 1].neg() + 0.9).maximum(points[:, 1] - 1.2)


def random_rays(count: int = 3000) -> Rays:
    generator = torch.Generator().manual_seed(0)
    origins = 4 * normalize(torch.randn(count, 3, generator=generator), dim=-1)
    targets = 3 * torch.rand(count, 3, generator=generator) - 1.5
    return Rays(origins, normalize(targets - origins, dim=-1))


def view_rays(height: int, width: int) -> Rays:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    longest = max(height, width)
    directions = torch.stack(
        [
            (columns + 0.5 - width / 2) / longest,
            torch.full(rows.shape, 1.3),
            (height / 2 - rows - 0.5) / longest,
        ],
        dim=-1,
    ).reshape(-1, 3)
    origins = torch.tensor([0.0, -4.0, 0.0]).expand(len(directions), 3)
    return Rays(origins, normalize(directions, dim=-1))


def sphere_depth(rays: Rays) -> Tensor:
    along = -(rays.origins * rays.directions).sum(dim=-1)
    squared = 1 - (rays.origins.square().sum(dim=-1) - along**2)
    depth = along - squared.clamp(min=0).sqrt()
    return torch.where(squared > 0, depth, torch.inf)


def grazes(rays: Rays) -> Tensor:
    """Rays that pass the sphere's rim so closely that either answer is right."""
    along = (rays.origins * rays.directions).sum(dim=-1)
    miss = (rays.origins.square().sum(dim=-1) - along**2).sqrt()
    return (miss - 1).abs() < 2e-3


@pytest.mark.parametrize("bundle", [1, 7, 64])
def test_a_sphere_is_met_where_the_quadratic_equation_says(bundle: int) -> None:
    rays = random_rays()
    seen = trace(sphere, rays, BOUNDS, bundle=bundle)
    clear = ~grazes(rays)
    expected = sphere_depth(rays)
    assert torch.equal(seen.hit[clear], expected.isfinite()[clear])
    assert torch.equal(seen.hit, seen.depth.isfinite())
    both = clear & seen.hit
    assert int(both.sum()) > 500
    points = rays.origins + seen.depth[:, None] * rays.directions
    assert float(sphere(points[seen.hit]).abs().max()) < TOLERANCE
    # Where the surface is met at a slant, nearness to it says less of depth.
    steep = both & ((rays.directions * points).sum(dim=-1) < -0.3)
    torch.testing.assert_close(seen.depth[steep], expected[steep], atol=2e-4, rtol=0)
    torch.testing.assert_close(seen.normals[both], points[both], atol=5e-3, rtol=0)
    assert (seen.normals[~seen.hit] == 0).all()


def test_neighbors_that_begin_as_one_cone_see_what_each_sees_alone() -> None:
    size = (37, 53)
    rays = view_rays(*size)
    together, alone = trace_view(two, rays, size, BOUNDS), trace(two, rays, BOUNDS)
    assert 0.2 < float(alone.hit.float().mean()) < 1
    same = together.hit == alone.hit
    assert float(same.float().mean()) > 0.998
    both = together.hit & alone.hit
    close = (together.depth[both] - alone.depth[both]).abs() < 1e-3
    assert float(close.float().mean()) > 0.998


def test_cones_save_most_of_the_work_on_empty_sky() -> None:
    size = (64, 64)
    rays = view_rays(*size)
    counts = []
    for run in (
        lambda counted: trace_view(counted, rays, size, BOUNDS),
        lambda counted: trace(counted, rays, BOUNDS),
    ):
        asked = 0

        def counted(points: Tensor) -> Tensor:
            nonlocal asked
            asked += len(points)
            return (points - torch.tensor([0.0, 0.0, 5.0])).norm(dim=-1) - 1

        assert not run(counted).hit.any()
        counts.append(asked)
    assert counts[0] < 0.3 * counts[1]


@pytest.mark.parametrize("steepness", [0.3, 1.0, 1.6])
def test_distances_of_the_wrong_length_are_forgiven(steepness: float) -> None:
    """Too short ones cost steps; too long ones are put right by the crossing, or by short steps."""
    rays = random_rays()
    clear = ~grazes(rays)
    options = TracingOptions(step_scale=1 / max(1.0, steepness))
    seen = trace(lambda points: steepness * sphere(points), rays, BOUNDS, options)
    expected = sphere_depth(rays)
    both = clear & expected.isfinite()
    assert seen.hit[both].all()
    points = rays.origins + seen.depth[:, None] * rays.directions
    assert float(sphere(points[both]).abs().max()) < TOLERANCE / min(1.0, steepness)


def test_a_step_through_the_surface_is_put_right() -> None:
    """Straight at a wall, with distances twice too long and nothing done about it."""
    rays = Rays(torch.tensor([[0.0, 0.0, 1.4]]), torch.tensor([[0.0, 0.0, -1.0]]))
    seen = trace(lambda points: 2 * points[:, 2], rays, BOUNDS)
    assert float(seen.depth[0]) == pytest.approx(1.4, abs=1e-4)


def test_from_within_the_surface_is_met_from_within() -> None:
    origins = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    rays = Rays(origins, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    seen = trace(sphere, rays, BOUNDS)
    torch.testing.assert_close(seen.depth, torch.tensor([1.0, 0.5]), atol=1e-3, rtol=0)
    assert (shaded(seen, rays).rgb > 0).all()


def test_a_solid_is_cut_by_the_box() -> None:
    """Half a sphere: rays from above enter the box within it and meet it there."""
    half = torch.tensor([[-1.5, -1.5, -1.5], [1.5, 1.5, 0.25]])
    rays = Rays(torch.tensor([[0.0, 0.0, 4.0], [1.2, 0.0, 4.0]]), torch.tensor([[0.0, 0, -1]] * 2))
    seen = trace(sphere, rays, half)
    assert float(seen.depth[0]) == pytest.approx(3.75)
    assert not seen.hit[1]


def test_rays_past_the_box_or_away_from_it_and_no_rays_at_all_see_nothing() -> None:
    rays = Rays(torch.tensor([[0.0, 0.0, 4.0]] * 2), torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    assert not trace(sphere, rays, BOUNDS, bundle=64).hit.any()
    assert len(trace(sphere, rays[:0], BOUNDS).hit) == 0


def test_what_is_not_a_number_ends_without_one() -> None:
    seen = trace(lambda points: points[:, 0] * math.nan, random_rays(50), BOUNDS)
    assert not seen.hit.any()
    assert seen.normals.isfinite().all()


def test_light_from_above_is_brightest_on_top() -> None:
    size = (40, 40)
    rays = view_rays(*size)
    shown = shaded(trace_view(sphere, rays, size, BOUNDS), rays)
    picture = shown.rgb.reshape(*size, 3)[..., 0]
    assert float(picture[14, 18]) > 1.5 * float(picture[27, 22])
    empty = shown.accumulation == 0
    assert empty.any()
    assert (shown.rgb[empty] == 0).all()
    assert shown.depth[empty].isinf().all()
