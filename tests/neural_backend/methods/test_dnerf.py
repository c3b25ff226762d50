# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest
import torch

from neural_backend.geometry.rays import Rays
from neural_backend.methods.base import TrainingProgress, WarpingMethod
from neural_backend.methods.dnerf import PRESETS, DNeRF, DNeRFConfig
from neural_backend.methods.nerf import NeRF, NeRFConfig
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
TINY = DNeRFConfig(
    **SHARED,
    deformation_width=32,
    deformation_depth=3,
    deformation_frequencies=2,
    time_frequencies=2,
)
TIMES = tuple(rising_times(24))


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only lose by sharing their work, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_dnerf(config=TINY, times=TIMES, unbounded=False, seed=0) -> DNeRF:
    return DNeRF(config, BOUNDS, unbounded, len(TIMES), CPU, times=times, seed=seed)


def train(method, batches, first, last, total, generator=None) -> None:
    generator = generator or torch.Generator().manual_seed(0)
    for step in range(first, last):
        shown = method.train_step(batches, TrainingProgress(step, step / total), generator)
        assert not shown["loss"].requires_grad
        assert shown["loss"].isfinite()


def test_a_moving_ball_is_learned_where_a_static_field_sees_a_smear() -> None:
    """On views and times in between: 24 dB after 250 steps, NeRF 17 dB; nothing shows 12 dB."""
    batches = batches_at(list(TIMES))
    unseen = batches_at([time + 1 / 46 for time in TIMES[:-1]], turn=1.0)
    moving, still = make_dnerf(), NeRF(NeRFConfig(**SHARED), BOUNDS, False, len(TIMES), CPU)
    for method in (moving, still):
        train(method, batches, 0, 250, 250)
    assert unseen_psnr(moving, unseen) > 22
    assert unseen_psnr(moving, unseen) > unseen_psnr(still, unseen) + 5

    # The ball's middle at any time comes from where the ball was at time 0, and is dense.
    times = torch.tensor([0.0, 0.3, 0.62, 1.0])
    middles = centers_at(times)
    canonical = moving.to_canonical(middles, times)
    assert torch.equal(canonical[0], middles[0])
    assert (canonical - middles[0]).norm(dim=-1).max() < 0.25
    density = moving.density(middles, times)
    elsewhere = moving.density(middles, times.flip(0))
    assert (density[[0, 3]] > 5 * elsewhere[[0, 3]]).all()
    torch.testing.assert_close(moving.density(middles), moving.density(middles, 0 * times))


def test_a_scene_that_does_not_move_is_learned_as_nerf_would() -> None:
    """Without times there is no deformation: the same steps to the last bit."""
    batches = batches_at([0.5] * 24)
    as_nerf = NeRFConfig(**SHARED, one_network=True)
    still, dynamic = NeRF(as_nerf, BOUNDS, False, 24, CPU), make_dnerf(times=())
    train(still, batches, 0, 5, 5)
    train(dynamic, batches, 0, 5, 5)
    expected = still.state()
    assert expected.keys() == dynamic.state().keys()
    for name, tensor in dynamic.state().items():
        assert torch.equal(tensor, expected[name]), name
    points, times = torch.rand(9, 3), torch.rand(9)
    assert torch.equal(dynamic.density(points, times), dynamic.density(points))
    assert torch.equal(dynamic.to_canonical(points, times), points)


@pytest.mark.parametrize("one_network", [True, False])
def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(one_network) -> None:
    """Cut in the curriculum, which ends in between."""
    config = replace(TINY, one_network=one_network, curriculum=0.6)
    whole, generator = make_dnerf(config), torch.Generator().manual_seed(7)
    train(whole, batches_at(list(TIMES)), 0, 10, 10, generator)
    begun, generator = make_dnerf(config), torch.Generator().manual_seed(7)
    train(begun, batches_at(list(TIMES)), 0, 4, 10, generator)
    saved, random_state = begun.state(), generator.get_state()
    train(begun, batches_at(list(TIMES)), 4, 5, 10, generator)
    resumed = make_dnerf(config, seed=99)
    resumed.load_state(saved)
    generator = torch.Generator()
    generator.set_state(random_state)
    train(resumed, batches_at(list(TIMES)), 4, 10, 10, generator)
    expected = whole.state()
    for name, tensor in resumed.state().items():
        assert torch.equal(tensor, expected[name]), name
    assert set(resumed.fields) == ({"fine", "warp"} | (set() if one_network else {"coarse"}))


def test_the_curriculum_begins_with_the_earliest_views() -> None:
    method, batches = make_dnerf(replace(TINY, curriculum=0.5)), batches_at(list(TIMES))
    seen: list[float] = []
    errors = method._rays.errors

    def spy(batch, generator):
        seen.append(float(batch.rays.times.max()))
        return errors(batch, generator)

    method._rays.errors = spy
    for fraction in (0.0, 0.25, 0.6):
        method.train_step(batches, TrainingProgress(0, fraction), torch.Generator())
    assert seen == pytest.approx([TIMES[2], TIMES[11], TIMES[23]])


@pytest.mark.parametrize("unbounded", [False, True])
@pytest.mark.parametrize("hierarchical", [False, True])
def test_every_network_learns_and_pictures_are_whole(unbounded, hierarchical) -> None:
    method = make_dnerf(replace(TINY, hierarchical=hierarchical), unbounded=unbounded)
    batches, before = batches_at(list(TIMES), size=8), method.state()
    train(method, batches, 0, 3, 3)
    still = [
        name
        for name, tensor in method.state().items()
        if name.endswith("weight") and torch.equal(tensor, before[name])
    ]
    assert not still
    rays = batches.view_rays(7)
    shown = method.render_rays(rays, normals=True)
    assert shown.rgb.isfinite().all()
    assert shown.normals.isfinite().all()
    assert not shown.rgb.requires_grad
    colors = method.color(rays.origins, rays.directions, rays.times)
    assert ((colors >= 0) & (colors <= 1)).all()
    assert method.density(rays.origins[:0], rays.times[:0]).shape == (0,)


def test_rays_without_times_show_time_0() -> None:
    method, batches = make_dnerf(), batches_at(list(TIMES), size=8)
    train(method, batches, 0, 3, 3)
    rays = batches.view_rays(0)
    assert torch.equal(rays.times, torch.zeros(64))
    without = method.render_rays(Rays(rays.origins, rays.directions))
    assert torch.equal(without.rgb, method.render_rays(rays).rgb)


def test_it_keeps_the_contract_and_the_papers_values() -> None:
    assert isinstance(make_dnerf(), WarpingMethod)
    assert PRESETS["final"] == DNeRFConfig()
    paper = PRESETS["final"]
    assert (paper.steps, paper.rays, paper.coarse_samples) == (800_000, 4096, 64)
    assert (paper.learning_rate, paper.final_learning_rate) == (5e-4, 5e-5)
