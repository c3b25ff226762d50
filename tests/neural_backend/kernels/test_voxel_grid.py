# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of Numba and Triton against their plain-torch twin."""

import math
from dataclasses import replace

import pytest
import torch

from neural_backend.encodings.spherical_harmonics import spherical_harmonics
from neural_backend.fields.voxel_grid import VoxelGridField, grid_shape
from neural_backend.kernels import voxel_grid as kernels
from neural_backend.kernels import voxel_grid_reference as reference
from neural_backend.kernels.voxel_grid import GridRays, Space

RESOLUTION = 12
CPU = torch.device("cpu")


def make_field(
    degree: int, shell: float, seed: int, density: float = 1.0, device: torch.device = CPU
) -> VoxelGridField:
    generator = torch.Generator().manual_seed(seed)
    space = Space(
        center=(0.3, -0.2, 0.1),
        half=0.8,
        extent=(1 + shell, 1 + shell, 1 + shell) if shell else (1.0, 0.7, 0.9),
        cells_per_unit=RESOLUTION / 2,
        step=0.7,
        shell=shell,
        near=0.05 if shell else 0.0,
        fade=2.2 if shell else 0.0,
        density_scale=3.0 * density,
    )
    stored = torch.rand(grid_shape(space), generator=generator) < 0.9
    field = VoxelGridField(space, stored.to(device), degree, 0.0)
    field.rows.copy_(torch.randn(field.rows.shape, generator=generator))
    field.rows[:, 1 + 3 * field.num_basis :] = 0
    field.refresh_skip(-0.3)
    return field


def make_rays(count: int, seed: int, device: torch.device = CPU) -> GridRays:
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    targets = (uniform(count, 3) - 0.5) * 1.2
    parts = (
        origins * 2.5,
        torch.nn.functional.normalize(targets - origins * 2.5, dim=-1),
        uniform(count, 4),
        uniform(count, 3),
        uniform(count),
        0.5 + uniform(count, 3),
    )
    return GridRays(*(part.to(device) for part in parts))


@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("shell", [0.0, 0.5])
def test_each_twin_renders_as_the_reference(degree, shell, twin, device) -> None:
    rays = make_rays(200 if twin == "numba" else 48, 7, device)
    field = make_field(degree, shell, seed=degree, device=device)
    fast = kernels.render(field.grid, rays.origins, rays.directions)
    slow = reference.render(field.grid, rays.origins, rays.directions)
    assert (fast[:, 3] < 0.9).float().mean() > 0.3  # most rays meet something
    torch.testing.assert_close(fast, slow, atol=2e-3, rtol=2e-3)


def check_gradients(
    degree: int,
    shell: float,
    density: float,
    distortion: float,
    surface: float,
    device: torch.device,
) -> None:
    field, rays = make_field(degree, shell, 3, density, device), make_rays(64, 4, device)
    results = []
    for learn in (kernels.learn, _reference_learn):
        gradients = torch.zeros(2, *field.rows.shape, device=device)
        touched = torch.zeros(len(field.rows), dtype=torch.uint8, device=device)
        gains = torch.zeros(64, 3, device=device)
        error, _ = learn(field.grid, rays, gradients, touched, gains, distortion, surface)
        results.append((float(error), gradients.sum(dim=0), gains, touched))
    (fast_error, fast, fast_gains, touched), (slow_error, slow, slow_gains, _) = results
    assert fast_error == pytest.approx(slow_error, rel=2e-3)
    scale = float(slow.abs().max())
    torch.testing.assert_close(fast / scale, slow / scale, atol=2e-3, rtol=1e-2)
    torch.testing.assert_close(fast_gains, slow_gains, atol=2e-3, rtol=1e-2)
    assert fast.isfinite().all()
    assert not fast[touched == 0].any()


@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("shell", [0.0, 0.5])
@pytest.mark.parametrize("density", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    ("distortion", "surface"), [(0.0, 0.0), (0.7, 0.0), (0.0, 1.0), (0.7, 0.3)]
)
def test_the_cpus_gradients_are_those_of_automatic_differentiation_in_all_combinations(
    degree: int, shell: float, density: float, distortion: float, surface: float
) -> None:
    check_gradients(degree, shell, density, distortion, surface, CPU)


@pytest.mark.parametrize(
    ("degree", "shell", "density", "distortion", "surface"),
    [
        (0, 0.0, 1e-3, 0.7, 0.0),
        (1, 0.0, 1e3, 0.0, 0.0),
        (1, 0.5, 1.0, 0.7, 0.3),
        (2, 0.5, 1e3, 0.7, 0.0),
        (0, 0.0, 1.0, 0.0, 1.0),
    ],
)
def test_each_twins_gradients_are_those_of_automatic_differentiation(
    degree, shell, density, distortion, surface, device
) -> None:
    check_gradients(degree, shell, density, distortion, surface, device)


def test_a_right_color_that_many_samples_mix_is_no_error_but_each_alone_misses_it() -> None:
    field, rays = make_field(0, 0.0, 2, 1.0), make_rays(64, 4)
    seen = kernels.render(field.grid, rays.origins, rays.directions)
    shown = seen[:, :3] + seen[:, 3:4] * rays.backgrounds
    right = replace(
        rays, rgba=torch.cat([shown, torch.ones(64, 1)], dim=1), jitters=torch.full((64,), 0.5),
        gains=torch.ones(64, 3),
    )  # fmt: skip
    found = []
    for surface in (0.0, 1.0):
        gradients = torch.zeros(1, *field.rows.shape)
        touched, gains = torch.zeros(len(field.rows), dtype=torch.uint8), torch.zeros(64, 3)
        kernels.learn(field.grid, right, gradients, touched, gains, 0.0, surface)
        found.append(float(gradients.abs().max()))
    assert found[0] < 1e-3 * found[1]


def _reference_learn(grid, rays, gradients, touched, gains, distortion, surface):
    return reference.learn(grid, rays, gradients[0], touched, gains, distortion, surface)


def test_distortion_is_the_mean_distance_of_all_pairs_by_their_weights() -> None:
    """The linear sum against the double one, over what rays meet in a field of fog."""
    field, rays = make_field(0, 0.0, seed=1), make_rays(20, seed=2)
    grid, jitters = field.grid, torch.zeros(20)
    found = reference.trace(grid, grid.rows, rays.origins, rays.directions, jitters).distortion
    t, kept = reference._march(grid, rays.origins, rays.directions, jitters)
    for ray in range(20):
        weights, places, left = [], [], 1.0
        for distance in t[ray][kept[ray]].tolist():
            point = rays.origins[ray] + distance * rays.directions[ray]
            length = grid.space.sample_length * grid.space.half
            opacity = 1 - math.exp(-float(field.density(point[None])) * length)
            weights.append(left * opacity)
            places.append(distance / grid.space.half)
            left *= 1 - opacity
        pairs = sum(
            a * b * abs(x - y)
            for a, x in zip(weights, places, strict=True)
            for b, y in zip(weights, places, strict=True)
        )
        assert found[ray].item() == pytest.approx(pairs, rel=1e-3, abs=1e-6)


def test_a_ray_that_meets_nothing_sees_nothing_and_teaches_nothing(device: torch.device) -> None:
    field = make_field(1, 0.0, seed=0, device=device)
    parts = (
        torch.tensor([[9.0, 9.0, 9.0]]), torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 4),
        torch.zeros(1, 3), torch.zeros(1), torch.ones(1, 3),
    )  # fmt: skip
    away = GridRays(*(part.to(device) for part in parts))
    shown = kernels.render(field.grid, away.origins, away.directions)
    assert shown.tolist() == [[0, 0, 0, 1, 0]]
    gradients = torch.zeros(1, *field.rows.shape, device=device)
    touched = torch.zeros(len(field.rows), dtype=torch.uint8, device=device)
    gains = torch.zeros(1, 3, device=device)
    error, samples = kernels.learn(field.grid, away, gradients, touched, gains)
    assert float(error) == 3.0
    assert samples in (0, -1)  # −1 where counting would wait for the device
    assert not gradients.any()
    assert not touched.any()


def test_no_rays_and_no_points_are_fine(device: torch.device) -> None:
    field, nothing = make_field(1, 0.0, seed=0, device=device), torch.zeros(0, 3, device=device)
    assert kernels.render(field.grid, nothing, nothing).shape == (0, 5)
    assert kernels.lookup(field.grid, nothing, 4).shape == (0, 4)


def test_uniform_fog_hides_as_the_exponential_of_its_thickness() -> None:
    """Density σ over a length L leaves exp(−σ L) of the light."""
    space = Space(
        center=(0.0, 0.0, 0.0), half=2.0, extent=(1.0, 1.0, 1.0), cells_per_unit=16, step=0.5
    )
    stored = torch.ones(grid_shape(space), dtype=torch.bool)
    field = VoxelGridField(space, stored, 1, -3.0)
    density = float(field.density(torch.zeros(1, 3)))
    out = kernels.render(
        field.grid, torch.tensor([[0.03, 0.05, -9.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    )
    inside = 2 * 2.0 * (32 - 1.5) / 32  # the border cell and the last half cell are not stored
    cells = 2 * 2.0 / 32
    expected = math.exp(-density * inside)
    assert out[0, 3].item() == pytest.approx(expected, rel=density * cells)


@pytest.mark.parametrize("partial", [False, True])
def test_lookups_equal_the_reference(partial: bool) -> None:
    field = make_field(1, 0.0, seed=5)
    places = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * (RESOLUTION + 6) - 3
    fast = kernels.lookup(field.grid, places, 16, partial)
    slow = reference.lookup(field.grid, places, 16, partial)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)
    assert (fast[:, 0] == reference.NOTHING).any()
    assert (fast[:, 0] != reference.NOTHING).any()


def test_harmonics_are_those_of_the_encoding() -> None:
    directions = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    torch.testing.assert_close(
        reference.harmonics(directions, 9), spherical_harmonics(directions, 2)
    )


def test_the_fast_exponential_is_accurate() -> None:
    numba = pytest.importorskip("numba")
    import numpy as np

    from neural_backend.kernels.voxel_grid_numba import exponential

    @numba.njit
    def of(x):
        return exponential(x)

    for x in np.linspace(-80, 80, 401).astype(np.float32):
        assert of(x) == pytest.approx(math.exp(x), rel=3e-5)
    assert of(np.float32(-1e9)) < 1e-37


@pytest.mark.parametrize("shell", [0.0, 0.5, 1.0])
def test_unsqueezing_leads_back(shell: float) -> None:
    generator = torch.Generator()
    generator.seed()
    space = make_field(0, shell, 0).space
    far = 30.0 if shell else 0.9
    points = (2 * torch.rand(500, 3, generator=generator, dtype=torch.float64) - 1) * far
    points = points * space.half + torch.tensor(space.center, dtype=torch.float64)
    places, _ = reference.squeeze(space, points)
    torch.testing.assert_close(reference.unsqueeze(space, places), points, rtol=1e-6, atol=1e-6)


def test_the_outer_border_of_squeezed_space_is_endless() -> None:
    space = make_field(0, 0.5, 0).space
    border = torch.tensor([[0.0, 0.75, 0.75]]) * space.cells_per_unit
    assert reference.unsqueeze(space, border)[0, 0] == -torch.inf
