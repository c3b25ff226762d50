# SPDX-License-Identifier: GPL-3.0-or-later
import math
from dataclasses import replace

import pytest
import torch

from neural_backend.datasets.ray_batches import RayBatch
from neural_backend.geometry.rays import Rays
from neural_backend.methods.base import TrainingProgress
from neural_backend.methods.nerf import PRESETS, NeRF, NeRFConfig

BOUNDS = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
TINY = NeRFConfig(
    rays=128,
    coarse_samples=12,
    fine_samples=12,
    width=32,
    depth=3,
    position_frequencies=3,
    direction_frequencies=1,
    density_activation="softplus",
    background="random",
    learning_rate=1e-2,
    final_learning_rate=1e-3,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only lose by sharing their work, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class BallRays:
    """Rays from all around at a ball of radius 0.7, whose color changes along x."""

    device = torch.device("cpu")

    def __init__(self, count: int = 4096, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        random = torch.randn(2, count, 3, generator=generator)
        origins = 3 * torch.nn.functional.normalize(random[0], dim=-1)
        directions = torch.nn.functional.normalize(0.6 * random[1] - origins, dim=-1)
        along = -(origins * directions).sum(dim=-1)
        closest = origins + along[:, None] * directions
        depth = (0.7**2 - closest.square().sum(dim=-1)).clamp(min=0).sqrt()
        hit = depth > 0
        points = closest - depth[:, None] * directions
        red = 0.5 + points[:, :1] / 1.4
        rgb = torch.cat([red, 1 - red, torch.full_like(red, 0.2)], dim=-1)
        views = torch.zeros(count, dtype=torch.long)
        self._rays = Rays(origins, directions, None, views)
        self.rgba = torch.cat([rgb, hit[:, None].float()], dim=-1)
        self.distances = torch.where(hit, along - depth, torch.inf)
        self.num_pixels, self.candidates = count, None

    def rays(self, pixels: torch.Tensor) -> RayBatch:
        return RayBatch(self._rays[pixels], self.rgba[pixels])

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        high = self.num_pixels if self.candidates is None else len(self.candidates)
        chosen = torch.randint(high, (count,), generator=generator)
        return self.rays(chosen if self.candidates is None else self.candidates[chosen])


def make_nerf(config: NeRFConfig = TINY, unbounded: bool = False) -> NeRF:
    return NeRF(config, bounds=BOUNDS, unbounded=unbounded, num_views=1, device=torch.device("cpu"))


def train(method: NeRF, batches: BallRays, first: int, last: int, total: int, generator) -> None:
    for step in range(first, last):
        shown = method.train_step(batches, TrainingProgress(step, step / total), generator)
        assert isinstance(shown["loss"], torch.Tensor)
        assert not shown["loss"].requires_grad


def test_a_tiny_nerf_learns_a_ball_in_a_few_seconds() -> None:
    """Untrained it shows 12 dB, and surfaces 0.4 away; samples are about 0.1 apart."""
    method = make_nerf()
    train(method, BallRays(), 0, 250, 250, torch.Generator().manual_seed(0))
    unseen = BallRays(2000, seed=1)
    shown = method.render_rays(unseen._rays)
    truth = unseen.rgba[:, :3] * unseen.rgba[:, 3:]
    psnr = -10 * math.log10(float((shown.rgb - truth).square().mean()))
    assert psnr > 24
    surely = (unseen.rgba[:, 3] > 0) & (shown.accumulation > 0.9)
    assert float((shown.depth - unseen.distances)[surely].abs().median()) < 0.2
    inside, outside = torch.zeros(1, 3), torch.tensor([[0.9, 0.9, 0.9]])
    surface = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1) * 0.65
    assert method.density(surface).mean() > 10 * method.density(outside).mean()
    assert method.density(inside).shape == (1,)
    normals = method.render_rays(unseen.rays(surely.nonzero()[:200, 0]).rays, normals=True).normals
    hits = unseen._rays[surely.nonzero()[:200, 0]]
    points = hits.origins + unseen.distances[surely][:200, None] * hits.directions
    assert ((normals * points / 0.7).sum(dim=-1) > 0.6).float().mean() > 0.9


@pytest.mark.parametrize("encoding", ["positional", "fourier"])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(encoding: str) -> None:
    config = replace(TINY, encoding=encoding, density_noise=0.1, fourier_features=16)
    whole, generator = make_nerf(config), torch.Generator().manual_seed(7)
    train(whole, BallRays(), 0, 8, 8, generator)

    begun, generator = make_nerf(config), torch.Generator().manual_seed(7)
    train(begun, BallRays(), 0, 5, 8, generator)
    saved, random_state = begun.state(), generator.get_state()
    train(begun, BallRays(), 5, 6, 8, generator)

    resumed = NeRF(config, bounds=BOUNDS, unbounded=False, num_views=1,
                   device=torch.device("cpu"), seed=99)  # fmt: skip
    resumed.load_state(saved)
    train(resumed, BallRays(), 5, 8, 8, torch.Generator().set_state(random_state))
    expected = whole.state()
    for name, tensor in resumed.state().items():
        assert torch.equal(tensor, expected[name]), name
    assert float(expected["adam.coarse.to_rgb.weight.step"]) == 8


def test_a_state_of_another_network_is_refused_and_changes_nothing() -> None:
    method = make_nerf()
    before = method.state()
    with pytest.raises(ValueError, match=r"adam\.fine"):
        method.load_state(make_nerf(replace(TINY, hierarchical=False)).state())
    with pytest.raises(ValueError, match="shape"):
        method.load_state(make_nerf(replace(TINY, width=16)).state())
    for name, tensor in method.state().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    "change",
    [
        {"hierarchical": False},
        {"encoding": "none"},
        {"encoding": "fourier"},
        {"view_dependence": False},
        {"density_activation": "relu"},
        {"density_noise": 1.0},
        {"background": "white"},
        {"background": "black"},
        {"bfloat16": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("unbounded", [False, True])
def test_each_part_can_be_switched(change: dict, unbounded: bool) -> None:
    method, batches = make_nerf(replace(TINY, **change), unbounded), BallRays(200)
    generator = torch.Generator().manual_seed(0)
    before = method.state()
    train(method, batches, 0, 2, 2, generator)
    moved = [
        name
        for name, tensor in method.state().items()
        if name.endswith("weight") and not torch.equal(tensor, before[name])
    ]
    assert len(moved) >= len(method.fields) * (TINY.depth + 2)
    shown = method.render_rays(batches._rays, normals=True)
    assert shown.rgb.isfinite().all()
    assert shown.normals.isfinite().all()
    assert (shown.accumulation <= 1 + 1e-5).all()
    assert not shown.rgb.requires_grad


def test_without_hierarchy_there_is_one_network() -> None:
    assert list(make_nerf(replace(TINY, hierarchical=False)).fields) == ["coarse"]
    assert list(make_nerf().fields) == ["coarse", "fine"]


def test_rays_that_miss_the_bounds_show_nothing_and_are_not_drawn() -> None:
    method, batches = make_nerf(), BallRays(500)
    batches._rays.directions[:100] *= -1
    shown = method.render_rays(batches._rays)
    assert not shown.accumulation[:100].any()
    assert shown.depth[:100].isinf().all()
    train(method, batches, 0, 1, 1, torch.Generator())
    assert int(batches.candidates.min()) >= 100


def test_rays_left_out_before_stay_left_out() -> None:
    method, batches = make_nerf(), BallRays(500)
    batches.candidates = torch.arange(50, 60)
    train(method, batches, 0, 1, 1, torch.Generator())
    assert set(batches.candidates.tolist()) <= set(range(50, 60))


def test_rendering_is_the_same_twice_and_in_any_portions(monkeypatch) -> None:
    method, rays = make_nerf(), BallRays(300)._rays
    whole = method.render_rays(rays)
    monkeypatch.setattr("neural_backend.methods.hierarchical_rays._POINTS_AT_ONCE", 500)
    again = method.render_rays(rays)
    torch.testing.assert_close(again.rgb, whole.rgb, atol=1e-5, rtol=1e-4)
    assert len(method.render_rays(rays[:0]).rgb) == 0


def test_density_is_zero_outside_the_bounds_and_passes_gradients_on() -> None:
    method = make_nerf()
    points = torch.tensor([[0.1, 0.2, 0.3], [1.5, 0.0, 0.0]], requires_grad=True)
    density = method.density(points)
    assert density[0] > 0
    assert density[1] == 0
    density.sum().backward()
    assert points.grad[0].any()
    assert not method.density(points.detach()).requires_grad
    assert method.density(torch.zeros(0, 3)).shape == (0,)
    assert method.color(points.detach(), points.detach()).shape == (2, 3)
    assert make_nerf(unbounded=True).density(points.detach())[1] > 0


def test_the_learning_rate_falls_as_the_paper_has_it() -> None:
    method = make_nerf(replace(TINY, learning_rate=5e-4, final_learning_rate=5e-5))
    rates = []
    for fraction in (0.0, 0.5, 1.0):
        method.train_step(BallRays(64), TrainingProgress(0, fraction), torch.Generator())
        rates.append(method._learner.optimizer.rates[0])
    assert rates == pytest.approx([5e-4, 5e-4 / math.sqrt(10), 5e-5])


def test_the_last_preset_is_the_paper() -> None:
    assert PRESETS["final"] == NeRFConfig()
    assert list(PRESETS) == ["draft", "standard", "final"]
    paper = PRESETS["final"]
    assert (paper.rays, paper.coarse_samples, paper.fine_samples) == (4096, 64, 128)
    assert (paper.width, paper.depth) == (256, 8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_step_on_a_gpu_never_waits_for_it() -> None:
    device = torch.device("cuda")
    method = NeRF(TINY, bounds=BOUNDS.to(device), unbounded=False, num_views=1, device=device)
    batches = BallRays(4096)
    batches._rays, batches.rgba, batches.device = (
        batches._rays.to(device),
        batches.rgba.to(device),
        device,
    )
    generator = torch.Generator().manual_seed(0)
    train(method, batches, 0, 3, 10, generator)
    batches.candidates = None
    batches.draw = lambda count, generator: batches.rays(slice(0, count))
    torch.cuda.set_sync_debug_mode("error")
    try:
        train(method, batches, 3, 10, 10, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
