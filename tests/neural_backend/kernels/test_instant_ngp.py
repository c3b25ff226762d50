# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU's kernels against autograd on plain torch in double precision."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from neural_backend.fields.instant_ngp import InstantNGPField, view_harmonics
from neural_backend.kernels.hash_grid import hash_grid_layout
from neural_backend.kernels.instant_ngp import FusedField
from neural_backend.kernels.instant_ngp_types import AdamSettings, LossSettings, RayTargets
from neural_backend.kernels.ray_marching import Guide, occupied_bits
from neural_backend.methods.instant_ngp_autograd import AutogradField

RESOLUTION = 8
NO_STEP = AdamSettings(0.0, 0.0, 0.9, 0.99, 1e-15, 1)


def make_field(unbounded: bool, color_layers: int, features: int, louder: float) -> InstantNGPField:
    field = InstantNGPField(
        hash_grid_layout(4, features, 9, 3, 40),
        torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]),
        unbounded,
        width=16,
        color_layers=color_layers,
        generator=torch.Generator().manual_seed(3),
    )
    field.encoding.table.data *= 1e4 * louder
    return field


def make_engines(
    field: InstantNGPField, bfloat16: bool = False
) -> tuple[FusedField, AutogradField]:
    """The kernel and its twin, on copies of the same field; moments are fresh."""
    table, weights = field.encoding.table.detach().clone(), field.weights.detach().clone()
    moments = [torch.zeros_like(part) for part in (table, table, weights, weights)]
    fused = FusedField(
        table,
        weights,
        tuple(moments),
        field.encoding.layout,
        field.unbounded,
        field.sizes,
        bfloat16,
    )
    exact = InstantNGPField(
        field.encoding.layout,
        field.bounds,
        field.unbounded,
        field.sizes.width,
        field.sizes.color_layers,
    )
    exact.load_state_dict(field.state_dict())
    exact = exact.double()
    twins = tuple(moment.double().clone() for moment in moments)
    return fused, AutogradField(exact, twins, most_steps=200)


def make_rays(count: int, seed: int = 0) -> RayTargets:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    directions = F.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return RayTargets(
        origins=random(count, 3) - 0.5,
        directions=directions,
        nears=torch.full((count,), 0.05),
        fars=torch.full((count,), 1.5),
        jitters=random(count),
        harmonics=view_harmonics(directions),
        targets=random(count, 3),
        backgrounds=random(count, 3),
        gains=0.5 + random(count, 3),
    )


def make_guide(unbounded: bool, samples: int = 16) -> Guide:
    cascades = 2 if unbounded else 1
    density = torch.full((cascades * RESOLUTION**3,), 0.5)
    cone = 1 / 16 if unbounded else 0.0
    full = occupied_bits(density)
    return Guide(density, full, RESOLUTION, 0.06, cone, 1.0, 0.01, 1e-3, samples)


def double(rays: RayTargets) -> RayTargets:
    return RayTargets(*(part.double() for part in rays))


@pytest.mark.parametrize("color_layers", [1, 2])
def test_in_bfloat16_views_and_gradients_are_those_of_the_twin_but_for_its_rounding(color_layers):
    rays, guide = make_rays(150), make_guide(unbounded=True)
    fused, twin = make_engines(make_field(True, color_layers, 4, 6.0), bfloat16=True)
    seen, expected = fused.render(rays, guide).double(), twin.render(double(rays), guide)
    off = (seen - expected).abs().max()
    assert 1e-5 < off < 0.02
    loss = LossSettings(0.1, 1e9, math.inf, 0.01)
    adam = AdamSettings(1e-3, 1e-3, 0.9, 0.99, 1e-15, 1)
    result = fused.step(rays, guide, loss, adam)
    exact = twin.step(double(rays), guide, loss, adam)
    assert result.loss == pytest.approx(float(exact.loss), rel=5e-3)
    for moment, exact_moment in zip(fused.moments[::2], twin.moments[::2], strict=True):
        slopes, exact_slopes = torch.from_numpy(moment).double(), exact_moment
        assert (slopes - exact_slopes).norm() < 0.05 * exact_slopes.norm()


@pytest.mark.parametrize("color_layers", [1, 2])
def test_with_triton_views_and_gradients_are_those_of_the_twin_but_for_its_rounding(
    color_layers, triton
):
    _, twin = make_engines(make_field(True, color_layers, 4, 6.0))
    field = make_field(True, color_layers, 4, 6.0).to(triton)
    moments = tuple(moment.float().to(triton) for moment in twin.moments)
    engine = AutogradField(field, moments, twin.most_steps)
    rays, guide = make_rays(40), make_guide(unbounded=True)
    there = RayTargets(*(part.to(triton) for part in rays))
    known = guide._replace(density=guide.density.to(triton), occupied=guide.occupied.to(triton))
    seen, expected = engine.render(there, known).cpu().double(), twin.render(double(rays), guide)
    off = (seen - expected).abs().max()
    assert 1e-5 < off < 0.02
    loss = LossSettings(0.1, 1e9, math.inf, 0.01)
    adam = AdamSettings(1e-3, 1e-3, 0.9, 0.99, 1e-15, 1)
    result = engine.step(there, known, loss, adam)
    exact = twin.step(double(rays), guide, loss, adam)
    assert float(result.loss) == pytest.approx(float(exact.loss), rel=5e-3)
    for moment, exact_moment in zip(engine.moments[::2], twin.moments[::2], strict=True):
        assert (moment.cpu().double() - exact_moment).norm() < 0.05 * exact_moment.norm()


@pytest.mark.parametrize(
    ("unbounded", "color_layers", "features", "louder", "loss"),
    [
        (False, 1, 4, 1.0, LossSettings(0.0, 0.0, math.inf, 0.0)),
        (False, 2, 2, 1.0, LossSettings(0.1, 1 / 0.3, math.inf, 0.0)),
        (True, 1, 4, 1.0, LossSettings(0.1, 1 / 0.3, math.inf, 0.5)),
        (False, 1, 4, 1.0, LossSettings(0.0, 0.0, math.inf, 0.0, 1.0)),
        (True, 2, 4, 6.0, LossSettings(0.1, 1 / 0.3, math.inf, 0.2, 0.3)),
        (True, 2, 4, 6.0, LossSettings(0.1, 1e9, math.inf, 0.01)),
    ],
)
def test_a_step_has_the_gradients_of_its_twin(unbounded, color_layers, features, louder, loss):
    field = make_field(unbounded, color_layers, features, louder)
    loss = loss._replace(inverse_near=loss.inverse_near or 1e9)
    fused, twin = make_engines(field)
    rays, guide = make_rays(150), make_guide(unbounded)
    result = fused.step(rays, guide, loss, NO_STEP)
    expected = twin.step(double(rays), guide, loss, NO_STEP)
    assert result.loss == pytest.approx(float(expected.loss), rel=1e-4)
    assert result.squared_error == pytest.approx(float(expected.squared_error), rel=1e-4)
    torch.testing.assert_close(result.d_gains.double(), expected.d_gains, atol=2e-4, rtol=2e-3)
    seen = result.squared_errors.double()
    torch.testing.assert_close(seen, expected.squared_errors, atol=2e-4, rtol=2e-3)
    for got, wanted in zip(fused.moments, twin.moments, strict=True):
        got = torch.from_numpy(got).double()
        scale = float(wanted.abs().max())
        assert scale > 0
        torch.testing.assert_close(got / scale, wanted / scale, atol=2e-4, rtol=2e-3)


def test_adam_leaves_values_without_a_gradient_alone_and_moves_the_others_like_its_twin():
    field = make_field(False, 1, 4, 1.0)
    fused, twin = make_engines(field)
    rays, guide = make_rays(3), make_guide(False, samples=4)
    loss = LossSettings(0.0, 1e9, math.inf, 0.0)
    for step in (1, 2, 3):
        adam = AdamSettings(1e-2, 1e-3, 0.9, 0.99, 1e-15, step)
        fused.step(rays, guide, loss, adam)
        twin.step(double(rays), guide, loss, adam)
    before, after = field.encoding.table.detach(), torch.from_numpy(fused.hashed.table)
    untouched = twin.moments[1] == 0
    assert 0.3 < untouched.double().mean() < 0.99
    assert torch.equal(after[untouched], before[untouched])
    moved = (after - before).abs()[~untouched]
    assert (moved > 1e-3).double().mean() > 0.9
    wanted = twin.field.encoding.table.detach()
    # Where a gradient is next to nothing its sign is rounding: a few values may go the other way.
    close = ((after.double() - wanted).abs() < 1e-3).double().mean()
    assert close > 0.99


@pytest.mark.parametrize("unbounded", [False, True])
def test_rendering_and_queries_equal_the_twins(unbounded):
    fused, twin = make_engines(make_field(unbounded, 2, 4, 1.0))
    rays, guide = make_rays(700), make_guide(unbounded)
    seen, expected = fused.render(rays, guide), twin.render(double(rays), guide)
    torch.testing.assert_close(seen.double(), expected, atol=2e-3, rtol=1e-3)
    points = (torch.rand(3000, 3) * 2 - 1) * (3 if unbounded else 1)
    torch.testing.assert_close(
        fused.density(points).double(), twin.density(points.double()), atol=1e-4, rtol=1e-3
    )
    harmonics = view_harmonics(F.normalize(torch.randn(3000, 3), dim=-1))
    torch.testing.assert_close(
        fused.color(points, harmonics).double(),
        twin.color(points.double(), harmonics.double()),
        atol=1e-4,
        rtol=1e-3,
    )


@pytest.mark.parametrize("shift", [-60.0, 40.0])
def test_vanishing_and_huge_density_keep_everything_finite(shift):
    field = make_field(False, 1, 4, 1.0)
    field.sizes = replace(field.sizes, density_shift=shift)
    fused, _ = make_engines(field)
    loss = LossSettings(0.1, 1e9, 9.2, 0.01)
    result = fused.step(make_rays(100), make_guide(False), loss, NO_STEP._replace(table_rate=0.01))
    assert math.isfinite(result.loss)
    seen = fused.render(make_rays(100), make_guide(False))
    assert seen.isfinite().all()
    opacity = seen[:, 3][make_rays(100).jitters >= 0].max()
    assert opacity == pytest.approx(1.0 if shift > 0 else 0.0, abs=1e-3)
    assert torch.from_numpy(fused.hashed.table).isfinite().all()


def test_no_rays_and_no_points_are_fine():
    fused, twin = make_engines(make_field(True, 1, 4, 1.0))
    for engine, rays in ((fused, make_rays(0)), (twin, double(make_rays(0)))):
        assert engine.render(rays, make_guide(True)).shape == (0, 5)
        assert engine.density(rays.origins).shape == (0,)
        assert engine.color(rays.origins, rays.harmonics).shape == (0, 3)


def test_a_step_does_not_depend_on_the_number_of_threads(monkeypatch):
    tables = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NEURAL_FIELDS_THREADS", threads)
        fused, _ = make_engines(make_field(True, 1, 4, 1.0))
        for step in (1, 2, 3):
            adam = AdamSettings(1e-2, 1e-2, 0.9, 0.99, 1e-15, step)
            loss = LossSettings(0.1, 2.0, 9.2, 0.01)
            fused.step(make_rays(900, step), make_guide(True), loss, adam)
        tables.append((fused.hashed.table.copy(), fused.weights.copy()))
    assert (tables[0][0] == tables[1][0]).all()
    assert (tables[0][1] == tables[1][1]).all()
