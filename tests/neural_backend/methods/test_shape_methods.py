# SPDX-License-Identifier: GPL-3.0-or-later
"""That each method learns: simple shapes, in so many steps, to so much overlap."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_backend.datasets.shape_set import ShapeSet
from neural_backend.jobs.shape_family import principal_axes
from neural_backend.meshing.marching_cubes import marching_cubes
from neural_backend.methods import deep_sdf as deep_sdf_module
from neural_backend.methods.deep_sdf import DeepSDF, DeepSDFConfig
from neural_backend.methods.neural_sdf import NeuralSDF, NeuralSDFConfig
from neural_backend.methods.occupancy_network import OccupancyNetwork, OccupancyNetworkConfig
from neural_backend.methods.shape_base import Observation
from neural_backend.methods.structured_implicit import (
    StructuredImplicit,
    StructuredImplicitConfig,
    farthest_points,
)
from neural_backend.training.shape_losses import distance_slopes
from neural_backend.training.trainer import TrainingProgress
from tests.simple_shapes import ball, measured, overlap, torus
from tests.stays_on_device import StaysOnTheDevice

RADII = (0.35, 0.45, 0.55, 0.65, 0.75)


def learn(kind, config, shapes):
    """A method after all steps of its configuration."""
    batches = ShapeSet(shapes)
    method = kind(config, batches.bounds(), len(shapes), torch.device("cpu"))
    method.prepare(batches)
    generator = torch.Generator().manual_seed(0)
    for step in range(config.steps):
        method.train_step(batches, TrainingProgress(step, step / config.steps), generator)
    return method


def balls():
    return [measured(ball(radius), f"ball {radius}", 2000) for radius in RADII]


@pytest.fixture(scope="module")
def deep_sdf() -> DeepSDF:
    config = DeepSDFConfig(
        steps=250, latent_dim=8, width=32, depth=4, shapes=5, near=96, uniform=32,
        learning_rate=5e-3, final_learning_rate=5e-4, code_rate=1e-2, final_code_rate=1e-3,
        fit_steps=80, fit_points=256, fit_rate=2e-2,
    )  # fmt: skip
    return learn(DeepSDF, config, balls())


def test_a_hash_grid_learns_a_torus_and_its_slopes():
    config = NeuralSDFConfig(
        steps=300, first_levels=4.0, levels=4, log2_entries=12, finest=32, width=32, surface=512,
        near=384, uniform=128, slopes=64,
    )  # fmt: skip
    method = learn(NeuralSDF, config, [measured(torus(), count=8000)])
    assert overlap(method.isosurface(), torus()) > 0.95
    surface = measured(torus(), count=500, seed=5).surface
    with torch.no_grad():
        gradients, _ = distance_slopes(method.network, surface, 0.03)
    assert (gradients.norm(dim=-1) - 1).abs().mean() < 0.15


def test_levels_of_the_hash_grid_come_in_evenly():
    config = NeuralSDFConfig(levels=6, first_levels=2.0, fine_at=0.5)
    method = NeuralSDF(config, torch.tensor([[-1.0] * 3, [1.0] * 3]), 1, torch.device("cpu"))
    levels = [method.levels_at(fraction) for fraction in (0.0, 0.25, 0.5, 1.0)]
    assert levels == [2.0, 4.0, 6.0, 6.0]


def test_a_family_of_balls_is_learned_code_by_code(deep_sdf):
    for code, radius in zip(deep_sdf.codes(), RADII, strict=True):
        assert overlap(deep_sdf.isosurface(code), ball(radius)) > 0.85


def test_a_ball_between_those_that_were_learned_is_found(deep_sdf):
    sample = measured(ball(0.6), count=2000, seed=9)
    seen = Observation.of_samples(sample)
    code = deep_sdf.fit_latent(seen, torch.Generator().manual_seed(0))
    assert overlap(deep_sdf.isosurface(code), ball(0.6)) > 0.85
    again = deep_sdf.fit_latent(seen, torch.Generator().manual_seed(0))
    assert torch.equal(again, code)


def test_bent_variants_have_codes_of_their_own_and_are_not_shown():
    config = DeepSDFConfig(
        steps=60, latent_dim=4, width=16, depth=2, shapes=6, near=48, uniform=16, variants=3,
    )  # fmt: skip
    method = learn(DeepSDF, config, balls())
    assert len(method.network.codes) == 3 * len(RADII)
    assert torch.equal(method.codes(), method.network.codes[: len(RADII)])
    start = DeepSDF(config, method.network.field.bounds, len(RADII), torch.device("cpu"))
    assert (method.network.codes != start.network.codes).any(dim=1).all()


def test_a_variant_is_bent_and_the_shape_itself_is_not():
    config = DeepSDFConfig(latent_dim=4, width=16, depth=2, variants=2)
    method = DeepSDF(config, torch.tensor([[-1.0] * 3, [1.0] * 3]), 3, torch.device("cpu"))
    points = torch.rand(6, 50, 3) * 2 - 1
    moved = method._bends.move(points)
    torch.testing.assert_close(moved[:3], points[:3])
    assert ((moved[3:] - points[3:]).abs().amax(dim=(1, 2)) > 0.01).all()


def test_steps_towards_a_code_could_be_a_graph_on_cuda(deep_sdf, monkeypatch):
    class OnTheDevice:
        """In the place of `RepeatedStep`."""

        calls = 0

        def __init__(self, work, _) -> None:
            self.work = work

        def __call__(self) -> None:
            OnTheDevice.calls += 1
            with StaysOnTheDevice():
                self.work()

    seen = Observation.of_samples(measured(ball(0.6), count=200, seed=9))
    usual = deep_sdf.fit_latent(seen, torch.Generator().manual_seed(0), steps=5)
    monkeypatch.setattr(deep_sdf_module, "RepeatedStep", OnTheDevice)
    assert torch.equal(deep_sdf.fit_latent(seen, torch.Generator().manual_seed(0), steps=5), usual)
    assert OnTheDevice.calls == 5


def test_half_a_ball_is_completed(deep_sdf):
    sample = measured(ball(0.6), count=4000, seed=9)
    half = sample.surface[sample.surface[:, 0] > 0]
    code = deep_sdf.fit_latent(Observation.of_surface(half), torch.Generator().manual_seed(0))
    assert overlap(deep_sdf.isosurface(code), ball(0.6)) > 0.8


def test_free_space_keeps_the_shape_out(deep_sdf):
    """Points that may lie on a small or a large ball, and space that only a small one leaves."""
    few = 0.5 * torch.nn.functional.normalize(torch.randn(40, 3), dim=-1)
    generator = torch.Generator().manual_seed(1)
    shell = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=-1)
    free = 0.55 * shell
    far = Observation(few, few[:0], few[:0, 0], free, torch.full((500,), 0.2))
    code = deep_sdf.fit_latent(far, torch.Generator().manual_seed(0))
    assert (deep_sdf.isosurface(code).signed(free) < 0).float().mean() > 0.9


def test_the_mesh_of_a_learned_shape_misses_nothing(deep_sdf):
    """What is skipped because of the slope is what an evaluation that asks everywhere finds."""
    surface = deep_sdf.isosurface(deep_sdf.codes()[3])
    meshes = []
    for steepest in (0.0, surface.steepest):
        steps = marching_cubes(replace(surface, steepest=steepest), 40)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                meshes.append(done.value)
                break
    assert surface.steepest > 0
    assert np.array_equal(meshes[0][1], meshes[1][1])
    assert len(meshes[0][1]) > 1000


def test_what_lies_between_two_codes_lies_between_their_shapes(deep_sdf):
    codes = deep_sdf.codes()
    volumes = []
    axis = torch.linspace(-1, 1, 24)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    for share in (0.0, 0.5, 1.0):
        surface = deep_sdf.isosurface(torch.lerp(codes[0], codes[4], share))
        volumes.append(int((surface.signed(points) >= 0).sum()))
    assert volumes[0] < volumes[1] < volumes[2]


def test_the_longest_axis_of_a_family_of_balls_is_their_size(deep_sdf):
    codes = deep_sdf.codes()
    axes = principal_axes(codes)
    lengths = axes.norm(dim=1)
    assert (lengths[:-1] >= lengths[1:]).all()
    along = (codes - codes.mean(dim=0)) @ axes[0] / lengths[0] ** 2
    assert abs(float(torch.corrcoef(torch.stack([along, torch.tensor(RADII)]))[0, 1])) > 0.95
    torch.testing.assert_close(along.std(), torch.tensor(1.0), rtol=1e-3, atol=1e-3)


def test_nothing_seen_is_no_shape(deep_sdf):
    with pytest.raises(ValueError, match="got none"):
        deep_sdf.fit_latent(Observation.of_surface(torch.zeros(0, 3)), torch.Generator())


def test_an_occupancy_network_tells_balls_by_their_points():
    config = OccupancyNetworkConfig(
        steps=200, latent_dim=16, encoder_width=16, width=32, blocks=2, threshold=0.5, shapes=5,
        cloud=64, uniform=64, near=64, learning_rate=5e-3, final_learning_rate=5e-4,
    )  # fmt: skip
    method = learn(OccupancyNetwork, config, balls())
    assert overlap(method.isosurface(method.codes()[2]), ball(RADII[2])) > 0.8
    unseen = measured(ball(0.6), count=300, seed=7).surface
    code = method.fit_latent(Observation.of_surface(unseen), torch.Generator().manual_seed(0))
    assert overlap(method.isosurface(code), ball(0.6)) > 0.75
    with pytest.raises(ValueError, match="got none"):
        method.fit_latent(Observation.of_surface(unseen[:0]), torch.Generator())


@pytest.mark.parametrize("local_dim", [0, 4])
def test_gaussians_learn_a_torus(local_dim):
    config = StructuredImplicitConfig(
        steps=120, elements=12, local_dim=local_dim, local_width=8, uniform=512, near=512
    )
    method = learn(StructuredImplicit, config, [measured(torus())])
    assert overlap(method.isosurface(), torus()) > 0.85


def test_unturned_gaussians_stay_so():
    config = StructuredImplicitConfig(steps=5, elements=3, rotated=False, uniform=64, near=64)
    method = learn(StructuredImplicit, config, [measured(torus())])
    assert {one.rotation for one in method.network.elements()} == {(1.0, 0.0, 0.0, 0.0)}
    assert "network.quaternions" in method.state()
    method.load_state(method.state())


def test_farthest_points_are_found_one_after_another():
    points = torch.tensor([[0.1, 0, 0], [1.0, 0, 0], [0.9, 0, 0], [-2.0, 0, 0], [0.5, 0, 0]])
    assert farthest_points(points, 3).tolist() == [0, 3, 1]


@pytest.mark.parametrize("kind", [NeuralSDF, StructuredImplicit])
def test_a_single_shape_has_no_code(kind):
    configs = {NeuralSDF: NeuralSDFConfig(log2_entries=8), StructuredImplicit: None}
    config = configs[kind] or replace(StructuredImplicitConfig(), elements=2)
    method = kind(config, torch.tensor([[-1.0] * 3, [1.0] * 3]), 1, torch.device("cpu"))
    assert not len(method.codes())
    with pytest.raises(ValueError, match="single shape"):
        method.fit_latent(Observation.of_surface(torch.zeros(3, 3)), torch.Generator())
