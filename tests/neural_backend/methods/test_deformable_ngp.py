# SPDX-License-Identifier: GPL-3.0-or-later
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_backend.datasets.capture import distinct_times
from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.rays import Rays
from neural_backend.methods.base import TrainingProgress, WarpingMethod
from neural_backend.methods.deformable_ngp import PRESETS, DeformableNGP
from tests.moving_capture import RADIUS, center_at, write_moving_capture
from tests.stays_on_device import encode_by_torch, step_on_the_device

CPU = torch.device("cpu")
SMALL = replace(
    PRESETS["draft"],
    levels=3,
    log2_entries=12,
    finest=48,
    deformation_width=32,
    samples_per_step=2**11,
    final_samples_per_step=2**12,
    occupancy_resolution=32,
    occupancy_every=4,
    slices=4,
    reach=1.0,
)
STEPS = 400


@pytest.fixture(scope="module")
def ball(tmp_path_factory) -> tuple[RayBatches, torch.Tensor]:
    capture = load_capture(write_moving_capture(tmp_path_factory.mktemp("ball") / "capture"))
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    return RayBatches(load_images(capture)), bounds


def make(ball, config=SMALL, unbounded: bool = False, seed: int = 0) -> DeformableNGP:
    batches, bounds = ball
    batches.candidates = None
    times = distinct_times(batches.views)
    method = DeformableNGP(config, bounds, unbounded, batches.num_views, CPU, times, seed)
    method.prepare(batches)
    return method


def go_on(method, batches, generator, first: int, last: int) -> list[float]:
    progress = [TrainingProgress(step, step / STEPS) for step in range(first, last)]
    return [float(method.train_step(batches, at, generator)["mse"]) for at in progress]


@pytest.fixture(scope="module")
def learned(ball) -> DeformableNGP:
    method = make(ball)
    go_on(method, ball[0], torch.Generator().manual_seed(0), 0, STEPS)
    return method


def psnr_of(method: DeformableNGP, batches: RayBatches, shift: float = 0.0) -> float:
    errors = []
    for view in range(batches.num_views):
        rays = batches.view_rays(view)
        assert rays.times is not None
        shown = method.render_rays(replace(rays, times=(rays.times + shift) % 1))
        seen = batches.view_image(view).reshape(-1, 4)
        target = seen[:, :3] * seen[:, 3:] + 1 - seen[:, 3:]
        errors.append((shown.rgb + 1 - shown.accumulation[:, None] - target).square().mean())
    return -10 * math.log10(float(torch.stack(errors).mean()))


def test_it_learns_a_rising_ball_and_when_it_is_where(learned, ball):
    batches, bounds = ball
    assert isinstance(learned, WarpingMethod)
    still = DeformableNGP(SMALL, bounds, False, batches.num_views, CPU, (), 0)
    go_on(still, batches, torch.Generator().manual_seed(0), 0, STEPS)
    found = psnr_of(learned, batches)
    assert found > 22
    assert found > psnr_of(still, batches) + 2
    assert psnr_of(learned, batches, shift=0.5) < 16


@pytest.mark.parametrize("time", [0.1, 0.5, 0.85])
def test_density_and_color_are_those_of_the_ball_at_the_time(learned, time):
    generator = torch.Generator().manual_seed(0)
    center = torch.from_numpy(center_at(time)).float()
    around = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=-1)
    times = torch.full((500,), time)
    assert (learned.density(center + 0.8 * RADIUS * around, times) > 1).float().mean() > 0.8
    assert (learned.density(center + 1.5 * RADIUS * around, times) < 1).float().mean() > 0.97
    colors = learned.color(center + 0.9 * RADIUS * around, -around, times)
    assert (colors[:, 0] > colors[:, 2]).float().mean() > 0.9
    depth = learned.render_rays(
        Rays(center[None] + torch.tensor([[3.0, 0, 0]]), torch.tensor([[-1.0, 0, 0]]), times[:1])
    ).depth
    assert float(depth) == pytest.approx(3 - RADIUS, abs=0.2)


def test_no_times_are_time_zero(learned):
    points = torch.rand(200, 3) - 0.5
    still = torch.zeros(200)
    assert torch.equal(learned.density(points), learned.density(points, still))
    away = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    assert torch.equal(learned.color(points, away), learned.color(points, away, still))


@pytest.mark.parametrize("unbounded", [False, True])
def test_an_untrained_deformation_moves_nothing_and_a_trained_one_does(ball, learned, unbounded):
    fresh = make(ball, unbounded=unbounded)
    points = (torch.rand(300, 3) * 2 - 1) * (20 if unbounded else 0.7)
    times = torch.rand(300)
    torch.testing.assert_close(fresh.to_canonical(points, times), points, atol=1e-3, rtol=1e-3)
    inside = torch.from_numpy(np.stack([center_at(time) for time in (0.2, 0.8)])).float()
    moved = learned.to_canonical(inside, torch.tensor([0.2, 0.8]))
    assert ((moved[1] - moved[0]) - (inside[1] - inside[0])).norm() > 0.1


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_resumed_training_repeats_an_uninterrupted_one_bit_for_bit(ball, unbounded):
    batches, _ = ball
    config = replace(SMALL, time_noise=0.05, rest=0.1, hard_pixels=3)
    whole = make(ball, config, unbounded)
    generator = torch.Generator().manual_seed(7)
    go_on(whole, batches, generator, 0, 9)
    saved, position = whole.state(), generator.get_state()
    go_on(whole, batches, generator, 9, 20)
    second = make(ball, config, unbounded, seed=99)
    second.load_state(saved)
    generator.set_state(position)
    go_on(second, batches, generator, 9, 20)
    for name, value in whole.state().items():
        assert torch.equal(value, second.state()[name]), name


def test_the_plain_torch_path_learns_too(ball):
    """What runs on CUDA, here on the CPU."""
    batches, _ = ball
    method = make(ball, replace(SMALL, cuda_samples_per_step=2**11))
    method._engine = method._autograd_field()
    errors = go_on(method, batches, torch.Generator().manual_seed(0), 0, 60)
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])
    assert method.moving.weights.isfinite().all()
    last_layer = method.moving.weights[-method.moving.sizes.num_outputs * 32 :]
    assert last_layer.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("views", "handed_on", "slices"), [(5, 0, 4), (9, 0, 4), (10, 3, 5), (40, 3, 5)]
)
def test_moments_seen_from_several_sides_are_learned_each_as_it_is(ball, views, handed_on, slices):
    config = replace(SMALL, handed_on_many_sided=3)
    times = tuple(time / 4 for time in range(5))
    method = DeformableNGP(config, ball[1], False, views, CPU, times)
    assert method.moving.sizes.features == handed_on
    assert method.occupancy.slices == slices


@pytest.mark.parametrize(
    ("views", "moments", "learned"), [(5, 5, False), (10, 5, True), (5, 0, True)]
)
def test_the_exposure_of_a_moments_only_picture_is_left_to_the_field(ball, views, moments, learned):
    times = tuple(time / 4 for time in range(moments))
    assert DeformableNGP(SMALL, ball[1], True, views, CPU, times).config.exposure == learned


def test_many_moments_share_slices(ball):
    config = replace(SMALL, slices_many_sided=6)
    times = tuple(time / 99 for time in range(100))
    assert DeformableNGP(config, ball[1], False, 400, CPU, times).occupancy.slices == 6


def test_a_scene_without_times_is_learned_as_one_that_rests(ball):
    batches, bounds = ball
    method = DeformableNGP(SMALL, bounds, False, batches.num_views, CPU)
    assert method.occupancy.slices == 1
    rays = batches.view_rays(0)
    shown = method.render_rays(Rays(rays.origins, rays.directions))
    assert shown.rgb.isfinite().all()


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_step_for_cuda_neither_waits_for_the_device_nor_sends_to_it(ball, unbounded, monkeypatch):
    encode_by_torch(monkeypatch)
    batches, _ = ball
    method = make(ball, unbounded=unbounded)
    method._engine = method._autograd_field()
    generator = torch.Generator().manual_seed(0)
    go_on(method, batches, generator, 0, 1)
    assert float(step_on_the_device(method, batches, generator)) > 0
