# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest
import torch

from neural_backend.geometry.rays import Rays
from neural_backend.meshing.level import choose_level, random_rays_into
from tests.analytic import sphere

CUBE = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def chosen(density_fn) -> float:
    found = choose_level(density_fn, random_rays_into(CUBE, 600), CUBE)
    assert found is not None
    return found.level


def radius_at(level: float, density_fn) -> float:
    radii = torch.linspace(0, 1, 10001)
    points = torch.stack([radii, torch.zeros(10001), torch.zeros(10001)], dim=-1)
    return float(radii[density_fn(points) >= level].max())


@pytest.mark.parametrize("peak", [30.0, 300.0, 30000.0])
def test_the_surface_lies_where_half_of_the_light_is_gone(peak: float) -> None:
    """Soft solids of very different density, whose levels differ as much."""

    def density(points):
        return peak * torch.sigmoid(-sphere()(points) / 0.02)

    # Along a ray to the centre, the depth where the optical depth reaches ln 2.
    radii = torch.linspace(1, 0, 100001)
    line = torch.stack([radii, torch.zeros(100001), torch.zeros(100001)], dim=-1)
    optical_depth = density(line).cumsum(0) * 1e-5
    median = float(radii[optical_depth >= 0.6931].max())
    # Rays that graze the solid end nearer to its skin than those towards the centre.
    assert median - 0.005 < radius_at(chosen(density), density) < 0.7 + 0.02 * math.log(2 * peak)


def test_fog_and_floaters_around_a_solid_lie_below_the_level() -> None:
    def density(points):
        fog = 0.15 + 0.1 * torch.sin(9 * points).prod(dim=-1)
        floater = 3.0 * (sphere(0.08, (0.0, 0.0, 0.9))(points) < 0)
        return fog + floater + 150.0 * (sphere(0.5)(points) < 0)

    assert 3.0 < chosen(density) < 150.0


def test_noise_within_a_solid_does_not_matter() -> None:
    """Inside, where no light comes from, trained density is anything; the level is the skin's."""

    def density(points):
        noise = 10.0 ** (3 + torch.sin(40 * points).sum(dim=-1))
        depth = -sphere()(points)
        return torch.where(depth > 0.1, noise, 60.0 * (depth > 0))

    level = chosen(density)
    assert 0.5 < level <= 60.0


def test_empty_space_has_no_level() -> None:
    rays = random_rays_into(CUBE, 50)
    assert choose_level(lambda points: torch.zeros(len(points)), rays, CUBE) is None
    assert choose_level(lambda points: torch.full((len(points),), 0.01), rays, CUBE) is None
    away = Rays(rays.origins, -rays.directions)
    assert choose_level(lambda points: torch.full((len(points),), 9.0), away, CUBE) is None


def test_random_rays_meet_the_box_from_outside() -> None:
    bounds = torch.tensor([[3.0, 0.0, -1.0], [4.0, 5.0, 0.0]])
    rays = random_rays_into(bounds, 200)
    outside = (rays.origins < bounds[0]) | (rays.origins > bounds[1])
    assert outside.any(dim=-1).all()
    found = choose_level(lambda points: torch.full((len(points),), 50.0), rays, bounds)
    assert found is not None
