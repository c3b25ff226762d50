# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest
import torch

from neural_backend.geometry.jacobians import jacobians
from neural_backend.geometry.rays import Rays
from neural_backend.methods.base import TrainingProgress, WarpingMethod
from neural_backend.methods.nerf import NeRF, NeRFConfig
from neural_backend.methods.nerfies import PRESETS, Nerfies, NerfiesConfig
from neural_backend.training.deformation_losses import elastic_energy, geman_mcclure
from tests.moving_ball import BOUNDS, batches_at, centers_at, rising_times, unseen_psnr

CPU = torch.device("cpu")
SHARED = {
    "rays": 128,
    "coarse_samples": 12,
    "fine_samples": 12,
    "width": 32,
    "depth": 3,
    "position_frequencies": 3,
    "direction_frequencies": 1,
    "density_activation": "softplus",
    "background": "random",
    "learning_rate": 1e-2,
    "final_learning_rate": 1e-3,
}
TINY = NerfiesConfig(
    **SHARED,
    one_network=True,
    deformation_width=32,
    deformation_depth=3,
    deformation_frequencies=2,
    elastic_rays=32,
    background_points=32,
)
TIMES = tuple(rising_times(24))


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only lose by sharing their work, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_nerfies(config=TINY, times=TIMES, unbounded=False, seed=0, **given) -> Nerfies:
    return Nerfies(config, BOUNDS, unbounded, len(TIMES), CPU, times=times, seed=seed, **given)


def train(method, batches, first, last, total, generator=None) -> dict:
    generator = generator or torch.Generator().manual_seed(0)
    for step in range(first, last):
        shown = method.train_step(batches, TrainingProgress(step, step / total), generator)
        assert not any(value.requires_grad for value in shown.values())
        assert all(value.isfinite() for value in shown.values())
    return shown


def test_a_moving_ball_is_learned_where_a_static_field_sees_a_smear() -> None:
    """On views and times in between: 24 dB after 250 steps, NeRF 17 dB; nothing shows 12 dB."""
    batches = batches_at(list(TIMES))
    unseen = batches_at([time + 1 / 46 for time in TIMES[:-1]], turn=1.0)
    moving, still = make_nerfies(), NeRF(NeRFConfig(**SHARED), BOUNDS, False, len(TIMES), CPU)
    for method in (moving, still):
        train(method, batches, 0, 250, 250)
    assert unseen_psnr(moving, unseen) > 22
    assert unseen_psnr(moving, unseen) > unseen_psnr(still, unseen) + 5

    # The ball's middle comes from one place at all times, which the template is free to choose.
    times = torch.linspace(0, 1, 9)
    middles = centers_at(times)
    canonical = moving.to_canonical(middles, times)
    assert canonical.std(dim=0).norm() < 0.35 * middles.std(dim=0).norm()
    density = moving.density(middles, times)
    elsewhere = moving.density(middles, times.flip(0))
    assert (density[[0, 8]] > 5 * elsewhere[[0, 8]]).all()


def test_the_elastic_loss_keeps_the_warp_from_stretching() -> None:
    energies = []
    for weight in (1e-6, 1.0):
        config = replace(TINY, elastic_weight=weight, background_weight=0.0)
        shown = train(make_nerfies(config), batches_at(list(TIMES)), 0, 60, 60)
        assert "background" not in shown
        energies.append(float(shown["elastic"]))
    assert energies[1] < 0.25 * energies[0]


def test_one_sample_a_ray_estimates_the_elastic_loss_of_all_samples_by_their_weights() -> None:
    """The slow twin is the paper's sum, over every sample of the rays."""
    method, batches = make_nerfies(replace(TINY, elastic_rays=16)), batches_at(list(TIMES), size=8)
    train(method, batches, 0, 20, 20)
    rays = batches.draw(24, torch.Generator().manual_seed(1)).rays
    shown = method._rays.march(rays, torch.Generator().manual_seed(2))[0]
    points, codes = shown.points[:16].reshape(-1, 3), method._codes(rays.times[:16])
    codes = codes.repeat_interleave(shown.points.shape[1], dim=0)
    energy = elastic_energy(jacobians(lambda at: method._warp(at, codes), points))
    losses = shown.weights[:16] * geman_mcclure(energy).reshape(16, -1)
    expected = float(losses.sum(dim=-1).mean().detach())
    generator = torch.Generator().manual_seed(3)
    estimates = [float(method._elastic_loss(rays, shown, generator).detach()) for _ in range(100)]
    assert expected > 1e-3
    assert sum(estimates) / 100 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("size", [1.0, 50.0])
def test_the_background_loss_is_that_of_the_distance_in_half_sides(size) -> None:
    method = Nerfies(TINY, size * BOUNDS, False, len(TIMES), CPU, times=TIMES)
    with torch.no_grad():
        method._warp.to_velocity.bias.copy_(torch.tensor([0.01, 0.02, -0.02]))
    loss = method._background_loss(torch.Generator())
    torch.testing.assert_close(loss, geman_mcclure(torch.tensor(0.03**2)), rtol=1e-3, atol=0)


@pytest.mark.parametrize("unbounded", [False, True])
def test_the_background_loss_holds_what_stands_still(unbounded) -> None:
    """By default the faces of the bounds, or the shell around them in an unbounded scene."""
    moved = []
    reach = 1.5 if unbounded else 1.0
    points = reach * torch.tensor([[1.0, 0.3, -0.2], [0.1, -1.0, 0.6], [0.5, 0.5, 1.0]])
    for weight in (1e-6, 1.0):
        config = replace(TINY, elastic_weight=0.0, background_weight=weight)
        method = make_nerfies(config, unbounded=unbounded)
        train(method, batches_at(list(TIMES)), 0, 60, 60)
        there = method.to_canonical(points, torch.full((3,), 0.8))
        moved.append(float((there - points).norm(dim=-1).mean()))
    assert moved[1] < 0.3 * moved[0]


def test_points_that_are_known_to_be_static_can_be_given() -> None:
    """Only these are asked about, whatever the bounds."""
    static = torch.tensor([[0.0, 0.0, -0.7], [0.5, -0.5, -0.7]])
    method, asked = make_nerfies(static_points=static), []
    warp = method._warp.forward

    def spy(points, condition):
        asked.append(points.reshape(-1, 3))
        return warp(points, condition)

    method._warp.forward = spy
    train(method, batches_at(list(TIMES), size=8), 0, 1, 1)
    drawn = asked[-1]
    assert len(drawn) == TINY.background_points
    assert {tuple(point) for point in drawn.tolist()} == {tuple(p) for p in static.tolist()}


def test_waves_of_the_warp_ease_in_over_the_papers_share_of_the_budget() -> None:
    method, batches = make_nerfies(), batches_at(list(TIMES), size=8)
    alphas = []
    for fraction in (0.0, 0.2, 0.8, 1.0):
        method.train_step(batches, TrainingProgress(0, fraction), torch.Generator())
        alphas.append(float(method._warp.alpha))
    assert alphas == pytest.approx([0.0, 0.5, 2.0, 2.0])
    at_once = make_nerfies(replace(TINY, annealed_at=0.0))
    at_once.train_step(batches, TrainingProgress(0, 0.0), torch.Generator())
    assert float(at_once._warp.alpha) == 2.0


def test_a_training_view_has_its_own_appearance_and_new_cameras_the_mean() -> None:
    method, batches = make_nerfies(), batches_at(list(TIMES), size=8)
    train(method, batches, 0, 3, 3)
    with torch.no_grad():
        method._appearances.codes.normal_(generator=torch.Generator().manual_seed(0))
    rays = batches.view_rays(3)
    new = Rays(rays.origins, rays.directions, rays.times)
    own, mean = method.render_rays(rays), method.render_rays(new)
    assert torch.equal(own.accumulation, mean.accumulation)
    assert (own.rgb - mean.rgb).abs().max() > 1e-3
    with torch.no_grad():
        method._appearances.codes.copy_(method._appearances.codes.mean(dim=0).expand(24, -1))
    torch.testing.assert_close(method.render_rays(rays).rgb, mean.rgb)
    assert "appearances" not in make_nerfies(replace(TINY, appearance_dim=0)).fields


@pytest.mark.parametrize("one_network", [True, False])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(one_network) -> None:
    config, batches = replace(TINY, one_network=one_network), batches_at(list(TIMES), size=8)
    whole, generator = make_nerfies(config), torch.Generator().manual_seed(7)
    train(whole, batches, 0, 8, 8, generator)
    begun, generator = make_nerfies(config), torch.Generator().manual_seed(7)
    train(begun, batches, 0, 5, 8, generator)
    saved, random_state = begun.state(), generator.get_state()
    train(begun, batches, 5, 6, 8, generator)
    resumed = make_nerfies(config, seed=99)
    resumed.load_state(saved)
    rays = batches.view_rays(5)
    expected = make_nerfies(config)
    expected.load_state(saved)
    assert torch.equal(resumed.render_rays(rays).rgb, expected.render_rays(rays).rgb)
    generator = torch.Generator()
    generator.set_state(random_state)
    train(resumed, batches, 5, 8, 8, generator)
    for name, tensor in whole.state().items():
        assert torch.equal(resumed.state()[name], tensor), name


def test_a_scene_that_does_not_move_has_neither_warp_nor_its_losses() -> None:
    method = make_nerfies(times=())
    shown = train(method, batches_at([0.5] * 24, size=8), 0, 3, 3)
    assert set(shown) == {"loss", "mse"}
    assert set(method.fields) == {"fine", "appearances"}
    points, times = torch.rand(9, 3), torch.rand(9)
    assert torch.equal(method.density(points, times), method.density(points))
    assert torch.equal(method.to_canonical(points, times), points)


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("hierarchical", [False, True])
def test_every_network_and_code_learns_and_pictures_are_whole(unbounded, hierarchical) -> None:
    config = replace(TINY, hierarchical=hierarchical, one_network=False)
    method = make_nerfies(config, unbounded=unbounded)
    batches, before = batches_at(list(TIMES), size=8), method.state()
    train(method, batches, 0, 3, 3)
    learning = ("weight", "codes.codes", "appearances.codes")
    still = [
        name
        for name, tensor in method.state().items()
        if name.endswith(learning) and torch.equal(tensor, before[name])
    ]
    assert not still
    rays = batches.view_rays(7)
    shown = method.render_rays(rays, normals=True)
    assert shown.rgb.isfinite().all()
    assert shown.normals.isfinite().all()
    assert method.color(rays.origins, rays.directions, rays.times).shape == (64, 3)


def test_it_keeps_the_contract_and_the_papers_values() -> None:
    assert isinstance(make_nerfies(), WarpingMethod)
    assert PRESETS["final"] == NerfiesConfig()
    paper = PRESETS["final"]
    assert (paper.deformation_frequencies, paper.annealed_at, paper.robust_scale) == (6, 0.8, 0.03)
    assert (paper.elastic_weight, paper.background_weight) == (1e-3, 1e-3)
