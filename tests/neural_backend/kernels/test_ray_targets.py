# SPDX-License-Identifier: GPL-3.0-or-later
import copy

import pytest
import torch
import torch.nn.functional as F

from neural_backend.fields.instant_ngp import InstantNGPField
from neural_backend.geometry.rays import Rays
from neural_backend.kernels.hash_grid import hash_grid_layout
from neural_backend.methods.ray_targets import (
    PlacedRays,
    place_by_torch,
    place_rays,
    show_by_torch,
    show_pixels,
)

BOUNDS = torch.tensor([[-1.5, -3.0, 0.0], [2.5, 1.0, 4.0]])
"""A cube around (0.5, -1, 2), which becomes [-1, 1]³ without rounding."""
NEAREST = 0.05


def make_field(bounds: torch.Tensor, device: torch.device) -> InstantNGPField:
    return InstantNGPField(hash_grid_layout(1, 2, 6, 2, 2), bounds, unbounded=False).to(device)


def cube(half: float, device: torch.device) -> torch.Tensor:
    return torch.tensor([[-half] * 3, [half] * 3], device=device)


def check(rays: Rays, field: InstantNGPField, box: torch.Tensor) -> PlacedRays:
    """What Triton finds, once it was seen to be what the twin finds in double precision."""
    placed = place_rays(rays, field, box, NEAREST)
    exact = Rays(rays.origins.double(), rays.directions.double())
    expected = place_by_torch(exact, copy.deepcopy(field).double(), box.double(), NEAREST)
    for found, wanted in zip(placed, expected, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found.double(), wanted, rtol=2e-5, atol=2e-6)
    return placed


@pytest.mark.parametrize("half", [1.0, 16.0])
@pytest.mark.parametrize("count", [0, 1, 64, 500])
def test_triton_places_rays_where_the_twin_does(count, half, triton):
    generator = torch.Generator().manual_seed(count)
    origins = 8 * half * torch.randn(count, 3, generator=generator)
    directions = F.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    field = make_field(torch.tensor([[-0.3, -1.1, 0.2], [2.4, 3.3, 0.9]]), triton)
    placed = check(Rays(origins.to(triton), directions.to(triton)), field, cube(half, triton))
    if count == 500:
        assert (placed.fars == 0).any()
        assert (placed.fars > placed.nears).any()


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rays_along_an_axis_meet_the_box_or_miss_it(axis, sign, zero, triton):
    """From places inside, before, behind, beside and far away, and in faces, edges and corners."""
    steps = torch.tensor([-1000.0, -2.0, -1.0, -0.25, 0.0, 1.0, 1.5])
    unit = torch.cartesian_prod(steps, steps, steps)
    origins = (unit * 2 + BOUNDS.mean(dim=0)).to(triton)
    directions = torch.full((len(unit), 3), zero)
    directions[:, axis] = sign
    rays = Rays(origins, directions.to(triton))
    placed = check(rays, make_field(BOUNDS, triton), cube(1.0, triton))
    others = unit[:, [other for other in range(3) if other != axis]].abs().amax(dim=-1)
    along = sign * unit[:, axis]
    hit = ((others < 1) & (along < 1)).to(triton)
    assert torch.equal(placed.fars > 0, hit)
    inside = hit & (along.to(triton) >= -1)
    assert (placed.nears[inside] == NEAREST).all()


def test_a_ray_in_a_plane_of_two_axes_is_cut_by_the_other_faces(triton):
    origins = torch.tensor([[-3.0, -3.0, 2.0], [-3.0, -3.0, 9.0], [0.5, -1.0, 2.0]], device=triton)
    directions = F.normalize(torch.tensor([[1.0, 1.0, 0.0]] * 3, device=triton), dim=-1)
    placed = check(Rays(origins, directions), make_field(BOUNDS, triton), cube(1.0, triton))
    assert (placed.fars > placed.nears).tolist() == [True, False, True]


@pytest.mark.parametrize("columns", [4, 7])
@pytest.mark.parametrize("count", [0, 1, 64, 300])
def test_triton_shows_pixels_over_backgrounds_as_the_twin_does(count, columns, triton):
    generator = torch.Generator().manual_seed(count)
    rgba = torch.rand(count, 4, generator=generator)
    rgba[::3, 3], rgba[1::3, 3] = 0, 1
    random = torch.rand(count, columns, generator=generator)
    log_gains = torch.randn(5, 3, generator=generator).to(triton)
    views = torch.randint(5, (count,), generator=generator).to(triton)
    views[-1:] = 4
    rgba, random = rgba.to(triton), random.to(triton)
    found = show_pixels(rgba, random, views, log_gains)
    expected = show_by_torch(rgba.double(), random.double(), views, log_gains.double())
    for part, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(part.double(), wanted, rtol=1e-6, atol=1e-6)
    assert torch.equal(found.jitters, random[:, 3])
    assert torch.equal(found.backgrounds, random[:, :3])
    assert torch.equal(found.targets[1::3], rgba[1::3, :3])
