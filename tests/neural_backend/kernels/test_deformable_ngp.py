# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU's kernels of a deformable field against autograd on plain torch in double precision."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from neural_backend.fields.deformable_ngp import DeformableNGPField, num_time_conditions
from neural_backend.fields.instant_ngp import InstantNGPField, view_harmonics
from neural_backend.kernels.deformable_ngp import DeformationSizes, FusedDeformableField
from neural_backend.kernels.hash_grid import hash_grid_layout
from neural_backend.kernels.instant_ngp import FusedField
from neural_backend.kernels.instant_ngp_types import AdamSettings, LossSettings, MovingRayTargets
from neural_backend.kernels.ray_marching import Guide, occupied_bits
from neural_backend.methods.deformable_ngp_autograd import AutogradDeformableField

RESOLUTION, TIME_OCTAVES = 8, 3
NO_STEP = AdamSettings(0.0, 0.0, 0.9, 0.99, 1e-15, 1)


def make_field(unbounded: bool, features: int = 4, bending: float = 1.0) -> DeformableNGPField:
    generator = torch.Generator().manual_seed(3)
    canonical = InstantNGPField(
        hash_grid_layout(3, features, 9, 3, 20),
        torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]),
        unbounded,
        width=16,
        color_layers=1,
        generator=generator,
        # Three levels and these together are a multiple of 4.
        more_features=features,
    )
    canonical.encoding.table.data *= 1e4
    sizes = DeformationSizes(2, num_time_conditions(TIME_OCTAVES), 12, features, reach=0.7)
    field = DeformableNGPField(canonical, sizes, TIME_OCTAVES, generator)
    field.weights.data += bending * (torch.rand(len(field.weights), generator=generator) - 0.5)
    return field


def copy_of(field: DeformableNGPField) -> DeformableNGPField:
    still = field.canonical
    canonical = InstantNGPField(
        still.encoding.layout,
        still.bounds,
        still.unbounded,
        still.sizes.width,
        still.sizes.color_layers,
        more_features=field.sizes.features,
    )
    copied = DeformableNGPField(canonical, field.sizes, field.time_octaves)
    canonical.sizes = still.sizes
    copied.load_state_dict(field.state_dict())
    return copied


def make_engines(
    field: DeformableNGPField,
) -> tuple[FusedDeformableField, AutogradDeformableField]:
    """The kernel and its twin, on copies of the same field; moments are fresh."""
    mine, exact = copy_of(field), copy_of(field).double()
    parts = (mine.canonical.encoding.table, mine.canonical.weights, mine.weights)
    moments = [torch.zeros_like(part.detach()) for part in parts for _ in range(2)]
    canonical = FusedField(
        mine.canonical.encoding.table,
        mine.canonical.weights,
        tuple(moments[:4]),
        mine.canonical.encoding.layout,
        mine.canonical.unbounded,
        mine.canonical.sizes,
    )
    fused = FusedDeformableField(canonical, mine.weights, tuple(moments[4:]), mine.sizes)
    twins = [moment.double().clone() for moment in moments]
    return fused, AutogradDeformableField(exact, tuple(twins[:4]), tuple(twins[4:]), 200)


def make_rays(count: int, seed: int = 0) -> MovingRayTargets:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    directions = F.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    times = random(count)
    return MovingRayTargets(
        origins=random(count, 3) - 0.5,
        directions=directions,
        nears=torch.full((count,), 0.05),
        fars=torch.full((count,), 1.5),
        jitters=random(count),
        harmonics=view_harmonics(directions),
        targets=random(count, 3),
        backgrounds=random(count, 3),
        gains=0.5 + random(count, 3),
        times=times,
        conditions=make_field(False).conditions(times),
    )


def make_guide(unbounded: bool, slices: int = 3, samples: int = 16) -> Guide:
    cascades = 2 if unbounded else 1
    generator = torch.Generator().manual_seed(1)
    density = torch.rand(slices * cascades * RESOLUTION**3, generator=generator)
    density = torch.where(density > 0.4, density, 0.0)
    cone = 1 / 16 if unbounded else 0.0
    full = occupied_bits(density)
    return Guide(density, full, RESOLUTION, 0.06, cone, 1.0, 0.01, 1e-3, samples, slices)


def double(rays: MovingRayTargets) -> MovingRayTargets:
    return MovingRayTargets(*(part.double() for part in rays))


def moments_of(engine: FusedDeformableField) -> list[torch.Tensor]:
    arrays = [*engine.canonical.moments, *engine.moments]
    return [torch.from_numpy(moment).double() for moment in arrays]


@pytest.mark.parametrize(
    ("unbounded", "features", "bending", "rest", "loss"),
    [
        (False, 4, 0.0, 0.0, LossSettings(0.0, 1e9, math.inf, 0.0)),
        (False, 4, 1.0, 0.3, LossSettings(0.1, 1 / 0.3, math.inf, 0.0)),
        (True, 4, 1.0, 0.0, LossSettings(0.1, 1 / 0.3, math.inf, 0.5)),
        (True, 2, 0.3, 5.0, LossSettings(0.1, 1e9, math.inf, 0.01)),
    ],
)
def test_a_step_has_the_gradients_of_its_twin(unbounded, features, bending, rest, loss):
    fused, twin = make_engines(make_field(unbounded, features, bending))
    rays, guide = make_rays(150), make_guide(unbounded)
    result = fused.step(rays, guide, loss, NO_STEP, 0.0, rest)
    expected = twin.step(double(rays), guide, loss, NO_STEP, 0.0, rest)
    assert result.loss == pytest.approx(float(expected.loss), rel=1e-4)
    assert result.squared_error == pytest.approx(float(expected.squared_error), rel=1e-4)
    torch.testing.assert_close(result.d_gains.double(), expected.d_gains, atol=2e-4, rtol=2e-3)
    seen = result.squared_errors.double()
    torch.testing.assert_close(seen, expected.squared_errors, atol=2e-4, rtol=2e-3)
    wanted = [*twin.canonical.moments, *twin.moments]
    for got, exact in zip(moments_of(fused), wanted, strict=True):
        scale = float(exact.abs().max())
        assert scale > 0
        torch.testing.assert_close(got / scale, exact / scale, atol=1e-3, rtol=5e-3)


def test_samples_hidden_behind_others_teach_the_deformation_nothing():
    """What is left of a tile after dropping them must still belong together."""
    field = make_field(False)
    field.canonical.sizes = replace(field.canonical.sizes, density_shift=3.5)
    fused, twin = make_engines(field)
    rays, guide = make_rays(150), make_guide(False, samples=32)
    loss = LossSettings(0.1, 1e9, 9.2, 0.0)
    result = fused.step(rays, guide, loss, NO_STEP, 0.0, 0.1)
    assert result.samples < 0.9 * 32 * 150
    twin.step(double(rays), guide, loss, NO_STEP, 0.0, 0.1)
    for got, exact in zip(moments_of(fused)[4:], twin.moments, strict=True):
        scale = float(exact.abs().max())
        torch.testing.assert_close(got / scale, exact / scale, atol=5e-3, rtol=2e-2)


@pytest.mark.parametrize("unbounded", [False, True])
def test_rendering_and_queries_equal_the_twins(unbounded):
    fused, twin = make_engines(make_field(unbounded))
    rays, guide = make_rays(700), make_guide(unbounded)
    seen, expected = fused.render(rays, guide), twin.render(double(rays), guide)
    torch.testing.assert_close(seen.double(), expected, atol=2e-3, rtol=1e-3)
    points = (torch.rand(3000, 3) * 2 - 1) * (3 if unbounded else 1)
    told = twin.field.conditions(torch.rand(3000)).float()
    exact = points.double(), told.double()
    density = fused.density(points, told)
    torch.testing.assert_close(density.double(), twin.density(*exact), atol=1e-3, rtol=1e-3)
    harmonics = view_harmonics(F.normalize(torch.randn(3000, 3), dim=-1))
    color = fused.color(points, told, harmonics)
    expected = twin.color(*exact, harmonics.double())
    torch.testing.assert_close(color.double(), expected, atol=1e-3, rtol=1e-3)
    cube, expected = fused.canonical_cube(points, told), twin.canonical_cube(*exact)
    torch.testing.assert_close(cube.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bending", [0.0, 1e3])
def test_no_and_absurd_deformations_keep_everything_finite(bending):
    fused, _ = make_engines(make_field(True, bending=bending))
    rays, guide = make_rays(100), make_guide(True)
    adam = AdamSettings(0.01, 0.01, 0.9, 0.99, 1e-15, 1)
    result = fused.step(rays, guide, LossSettings(0.1, 1e9, 9.2, 0.01), adam, 0.01, 0.1)
    assert math.isfinite(result.loss)
    assert fused.render(rays, guide).isfinite().all()
    assert torch.from_numpy(fused.weights).isfinite().all()


def test_no_rays_and_no_points_are_fine():
    fused, twin = make_engines(make_field(True))
    for engine, rays in ((fused, make_rays(0)), (twin, double(make_rays(0)))):
        assert engine.render(rays, make_guide(True)).shape == (0, 5)
        assert engine.density(rays.origins, rays.conditions).shape == (0,)
        assert engine.color(rays.origins, rays.conditions, rays.harmonics).shape == (0, 3)
        assert engine.canonical_cube(rays.origins, rays.conditions).shape == (0, 3)


def test_a_step_does_not_depend_on_the_number_of_threads(monkeypatch):
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NEURAL_FIELDS_THREADS", threads)
        fused, _ = make_engines(make_field(True))
        for step in (1, 2, 3):
            adam = AdamSettings(1e-2, 1e-2, 0.9, 0.99, 1e-15, step)
            loss = LossSettings(0.1, 2.0, 9.2, 0.01)
            fused.step(make_rays(900, step), make_guide(True), loss, adam, 1e-3, 0.1)
        found.append((fused.canonical.hashed.table.copy(), fused.weights.copy()))
    assert (found[0][0] == found[1][0]).all()
    assert (found[0][1] == found[1][1]).all()
