# SPDX-License-Identifier: GPL-3.0-or-later
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.rays import Rays
from neural_backend.kernels.instant_ngp import StepResult
from neural_backend.kernels.ray_budget import RayBudget
from neural_backend.methods.base import TrainingProgress
from neural_backend.methods.hash_grid_method import StepTime
from neural_backend.methods.instant_ngp import PRESETS, InstantNGP
from tests.stays_on_device import encode_by_torch, step_on_the_device
from tests.tiny_capture import RADIUS, write_tiny_capture

CPU = torch.device("cpu")
SMALL = replace(
    PRESETS["draft"],
    levels=4,
    log2_entries=13,
    finest=64,
    samples_per_step=2**12,
    final_samples_per_step=2**12,
    occupancy_resolution=32,
    occupancy_every=4,
)
STEPS = 150


@pytest.fixture(scope="module")
def ball(tmp_path_factory) -> tuple[RayBatches, torch.Tensor]:
    folder = write_tiny_capture(tmp_path_factory.mktemp("ball") / "capture", size=32)
    capture = load_capture(folder)
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    return RayBatches(load_images(capture)), bounds


def make(ball, config=SMALL, unbounded: bool = False) -> InstantNGP:
    batches, bounds = ball
    batches.candidates = None
    method = InstantNGP(config, bounds, unbounded, batches.num_views, CPU)
    method.prepare(batches)
    return method


def go_on(method, batches, generator, first: int, last: int) -> list[float]:
    progress = [TrainingProgress(step, step / STEPS) for step in range(first, last)]
    return [float(method.train_step(batches, at, generator)["mse"]) for at in progress]


@pytest.fixture(scope="module")
def learned(ball) -> InstantNGP:
    method = make(ball)
    go_on(method, ball[0], torch.Generator().manual_seed(0), 0, STEPS)
    return method


def psnr_of(method: InstantNGP, batches: RayBatches, background: float = 1.0) -> float:
    errors = []
    for view in range(batches.num_views):
        shown = method.render_rays(batches.view_rays(view))
        seen = batches.view_image(view).reshape(-1, 4)
        rest = background * (1 - shown.accumulation[:, None])
        target = seen[:, :3] * seen[:, 3:] + background * (1 - seen[:, 3:])
        errors.append((shown.rgb + rest - target).square().mean())
    return -10 * math.log10(float(torch.stack(errors).mean()))


def test_it_learns_a_ball_over_any_background(learned, ball):
    assert psnr_of(learned, ball[0]) > 24
    assert psnr_of(learned, ball[0], background=0.0) > 24


def test_depth_and_density_are_those_of_the_ball(learned, ball):
    rays = Rays(
        torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [2.0, 0.0, 2.0], [3.0, 0.0, 3.0]]),
        torch.tensor([[-1.0, 0, 0], [0, -1.0, 0], [-(0.5**0.5), 0, -(0.5**0.5)], [0, 0, 1.0]]),
    )
    shown = learned.render_rays(rays, normals=True)
    distances = torch.tensor([3.0, 3.0, 8**0.5]) - RADIUS
    # The inside of a ball of one color may be anything: pictures only tell where it begins. How far
    # in its depth lies is up to the random numbers: a quarter to two thirds of the radius.
    assert (shown.depth[:3] > distances - 0.1).all()
    assert (shown.depth[:3] < distances + RADIUS).all()
    assert (shown.depth[:3] - distances).mean() < 0.75 * RADIUS
    assert (shown.accumulation[:3] > 0.9).all()
    torch.testing.assert_close(shown.normals[:3].norm(dim=-1), torch.ones(3))
    assert shown.accumulation[3] == 0
    assert shown.depth[3] == math.inf
    assert not shown.normals[3].any()
    outside = torch.tensor([[0.9, 0.9, 0.9], [50.0, 0.0, 0.0]])
    assert learned.density(outside).max() < 1
    in_ball = torch.tensor([[0.7 * RADIUS, 0.0, 0.0], [0.0, 0.7 * RADIUS, 0.0]])
    assert learned.density(in_ball).min() > 1
    colors = learned.color(in_ball, -in_ball / RADIUS)
    assert (colors[:, 0] > colors[:, 2]).all()  # the ball is orange


def test_the_visual_hull_is_known_before_the_first_step(ball):
    method = make(ball)
    inside, outside = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.5 * RADIUS]])
    assert method.density(inside) > 0
    assert method.density(outside) == 0
    assert 0.02 < method.occupancy.allowed.float().mean() < 0.7


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_resumed_training_repeats_an_uninterrupted_one_bit_for_bit(ball, unbounded):
    batches, bounds = ball
    whole = make(ball, unbounded=unbounded)
    generator = torch.Generator().manual_seed(7)
    go_on(whole, batches, generator, 0, 9)
    saved, position = whole.state(), generator.get_state()
    go_on(whole, batches, generator, 9, 20)
    second = InstantNGP(SMALL, bounds, unbounded, batches.num_views, CPU, seed=99)
    second.load_state(saved)
    generator.set_state(position)
    go_on(second, batches, generator, 9, 20)
    for name, value in whole.state().items():
        assert torch.equal(value, second.state()[name]), name


def test_states_that_do_not_fit_are_refused_and_change_nothing(ball):
    method = make(ball)
    before = method.state()
    without = {name: value for name, value in before.items() if name != "weights"}
    larger = {**before, "table": torch.zeros(3, 4)}
    for wrong in (without, larger):
        with pytest.raises(ValueError, match=r"weights|table"):
            method.load_state(wrong)
    assert all(torch.equal(value, before[name]) for name, value in method.state().items())


@pytest.mark.parametrize("room", [1, 1 / 4])
def test_the_plain_torch_path_learns_too_from_as_many_rays_as_have_room(ball, room, monkeypatch):
    """What runs on CUDA, here on the CPU."""
    batches, _ = ball
    monkeypatch.setattr(InstantNGP, "_budget", lambda _: RayBudget(room, CPU))
    method = make(ball, replace(SMALL, samples_per_step=round(2**12 / room), levels=3))
    method._engine = method._learner = method._autograd_field()
    looked_at = []
    step = method._engine.step

    def watched(*given) -> StepResult:
        result = step(*given)
        looked_at.append((int(result.looked_at.sum()), int(result.samples)))
        return result

    method._engine.step = watched
    errors = go_on(method, batches, torch.Generator().manual_seed(0), 0, 60)
    assert sum(errors[-5:]) < 0.4 * sum(errors[:5])
    assert psnr_of(method, batches) > 17
    if room < 1:
        # Rays come to see less before something hides the rest, so that more have room.
        assert looked_at[-1][0] > 1.2 * looked_at[0][0]
        assert 0.85 * 2**12 < looked_at[-1][1] <= 2**12


def test_exposures_of_photos_are_learned_and_their_mean_stays(tmp_path):
    capture = load_capture(write_tiny_capture(tmp_path / "capture", size=24))
    batches = RayBatches(load_images(capture))
    alpha = batches.pixels[:, 3:].float() / 255
    photos = batches.pixels[:, :3].float() * alpha + 80 * (1 - alpha)
    dark = batches.view_of(torch.arange(batches.num_pixels)) % 2 == 0
    photos[dark] *= 0.7
    batches.pixels = torch.cat([photos, torch.full_like(alpha, 255)], dim=-1).to(torch.uint8)
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    config = replace(SMALL, exposure_rate=0.02)
    method = InstantNGP(config, bounds, True, batches.num_views, CPU)
    method.prepare(batches)
    go_on(method, batches, torch.Generator().manual_seed(0), 0, 120)
    gains = method._log_gains
    torch.testing.assert_close(gains.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    difference = gains[1::2].mean() - gains[0::2].mean()
    assert difference == pytest.approx(-math.log(0.7), abs=0.15)


def test_photos_in_the_wild_are_learned(shared_data: Path):
    """A few seconds on a real capture: far from done, but well on the way."""
    capture = load_capture(shared_data / "fox")
    train = RayBatches(load_images(capture.split("train"), 68))
    config = replace(PRESETS["draft"], samples_per_step=2**12, final_samples_per_step=2**12)
    bounds = torch.tensor(capture.bounds, dtype=torch.float32)
    method = InstantNGP(config, bounds, True, train.num_views, CPU)
    errors = go_on(method, train, torch.Generator().manual_seed(0), 0, STEPS)
    assert -10 * math.log10(sum(errors[-10:]) / 10) > 18.5


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_step_for_cuda_neither_waits_for_the_device_nor_sends_to_it(ball, unbounded, monkeypatch):
    encode_by_torch(monkeypatch)
    monkeypatch.setattr(InstantNGP, "_budget", lambda _: RayBudget(1 / 4, CPU))
    batches, _ = ball
    method = make(ball, replace(SMALL, hard_pixels=2), unbounded)
    method._learner = method._autograd_field()
    generator = torch.Generator().manual_seed(0)
    go_on(method, batches, generator, 0, 1)
    assert float(step_on_the_device(method, batches, generator)) > 0


def test_a_repeated_step_heeds_the_number_of_the_step_and_its_rate(ball):
    """As CUDA's graphs are told of them: by tensors that are filled anew."""
    batches, _ = ball
    states = []
    for repeated in (False, True):
        method = make(ball, unbounded=True)
        method._learner = method._autograd_field()
        generator = torch.Generator().manual_seed(0)
        method._take_up(batches)
        for step in range(4):
            now = StepTime(0.01 / (1 + step), step + 1, step / 4)
            learn = method._repeat if repeated else method._draw_and_learn
            learn(batches, 64, now, generator)
        states.append(method.state())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert states[0]["log_gains"].abs().max() > 0
