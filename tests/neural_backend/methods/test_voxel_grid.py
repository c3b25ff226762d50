# SPDX-License-Identifier: GPL-3.0-or-later
import math
from dataclasses import replace

import pytest
import torch

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.geometry.rays import Rays
from neural_backend.methods.base import TrainingProgress
from neural_backend.methods.voxel_grid import PRESETS, VoxelGrid
from scripts.make_test_data import make_glossy_scene

CPU = torch.device("cpu")
SMALL = replace(
    PRESETS["draft"], resolutions=(20, 40), rays=2048, update_rays=256, rays_per_voxel=0.0
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[RayBatches, RayBatches, torch.Tensor]:
    folder = tmp_path_factory.mktemp("glossy")
    make_glossy_scene(folder, size=40, num_views=24)
    capture = load_capture(folder)
    train, test = (RayBatches(load_images(capture.split(name))) for name in ("train", "test"))
    return train, test, torch.tensor(capture.bounds, dtype=torch.float32)


def trained(pictures, config=SMALL, steps: int = 40, unbounded: bool = False) -> VoxelGrid:
    train, _, bounds = pictures
    train.candidates = None
    method = VoxelGrid(config, bounds, unbounded, train.num_views, CPU)
    method.prepare(train)
    go_on(method, train, torch.Generator().manual_seed(0), 0, steps, steps)
    return method


def go_on(method, batches, generator, first: int, last: int, total: int) -> None:
    for step in range(first, last):
        method.train_step(batches, TrainingProgress(step, step / total), generator)


def psnr_of(method: VoxelGrid, batches: RayBatches) -> float:
    errors = []
    for view in range(batches.num_views):
        shown = method.render_rays(batches.view_rays(view))
        seen = batches.view_image(view).reshape(-1, 4)
        over_white = shown.rgb + 1 - shown.accumulation[:, None]
        errors.append((over_white - (seen[:, :3] * seen[:, 3:] + 1 - seen[:, 3:])).square().mean())
    return -10 * math.log10(float(torch.stack(errors).mean()))


def test_it_learns_a_scene(pictures) -> None:
    method = trained(pictures, steps=60)
    assert psnr_of(method, pictures[0]) > 21.5
    assert psnr_of(method, pictures[1]) > 17.5  # the shine moves with the eye
    assert method._field.space.cells_per_unit * 2 == 40  # refined on the way


def test_in_unbounded_scenes_what_few_pictures_show_is_left_empty(pictures) -> None:
    train, _, bounds = pictures
    config = replace(SMALL, resolutions_unbounded=(20,), fewest_views=5)
    method = VoxelGrid(config, bounds, True, train.num_views, CPU)
    whole = len(method._field.cells)
    method.prepare(train)
    assert 0 < len(method._field.cells) < whole
    middle = bounds.mean(dim=0)
    eyes = torch.stack([torch.tensor(v.camera_to_world[:3, 3]).float() for v in train.views])
    before_the_lens = middle + 0.99 * (eyes - middle)
    assert (method.density(before_the_lens) < 1e-6).all()
    assert (method.density(middle[None]) > 1e-3).all()


def test_what_is_meant_for_unbounded_scenes_takes_its_place_there(pictures) -> None:
    _, _, bounds = pictures
    config = replace(SMALL, color_rate=1.0, color_rate_unbounded=0.25)
    assert VoxelGrid(config, bounds, True, 1, CPU).config.color_rate == 0.25
    assert VoxelGrid(config, bounds, False, 1, CPU).config.color_rate == 1.0


def test_without_alpha_space_is_squeezed_and_learned_too(pictures) -> None:
    method = trained(pictures, steps=60, unbounded=True)
    assert psnr_of(method, pictures[0]) > 15
    far = method.render_rays(
        Rays(torch.zeros(4, 3), torch.nn.functional.normalize(torch.randn(4, 3), dim=-1))
    )
    assert far.rgb.isfinite().all()


def test_a_resumed_training_repeats_an_uninterrupted_one_bit_for_bit(pictures) -> None:
    train, _, bounds = pictures
    whole = trained(pictures, steps=12)
    train.candidates = None
    generator = torch.Generator().manual_seed(0)
    first = VoxelGrid(SMALL, bounds, False, train.num_views, CPU)
    first.prepare(train)
    go_on(first, train, generator, 0, 7, 12)
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    train.candidates = None
    second = VoxelGrid(SMALL, bounds, False, train.num_views, CPU)
    second.load_state(state)
    go_on(second, train, generator, 7, 12, 12)
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, second.state()[name]), name


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(pictures) -> None:
    method = trained(pictures, steps=2)
    before = {name: tensor.clone() for name, tensor in method.state().items()}
    with pytest.raises(ValueError, match="differing"):
        method.load_state({"adam.values": before["adam.values"]})
    with pytest.raises(ValueError, match="channels"):
        method.load_state({**before, "adam.values": before["adam.values"][:, :4]})
    assert all(torch.equal(value, method.state()[name]) for name, value in before.items())


def test_density_depth_and_normals_agree_on_where_the_surface_is(pictures) -> None:
    method = trained(pictures, steps=60)
    rays = pictures[1].view_rays(0)
    shown = method.render_rays(rays, normals=True)
    solid = shown.accumulation > 0.9
    assert solid.any()
    points = rays.origins[solid] + shown.depth[solid][:, None] * rays.directions[solid]
    in_front = rays.origins[solid] + (shown.depth[solid][:, None] - 0.5) * rays.directions[solid]
    assert method.density(points).median() > 10 * method.density(in_front).median() + 1
    facing = (shown.normals[solid] * rays.directions[solid]).sum(dim=-1)
    assert (facing < 0).float().mean() > 0.8
    assert (shown.depth[shown.accumulation < 1e-4] == torch.inf).all()


def test_pictures_without_anything_in_them_train_to_nothing(pictures) -> None:
    train = pictures[0]
    pixels = train.pixels.clone()
    train.pixels.zero_()
    try:
        method = trained(pictures, steps=3)
    finally:
        train.pixels.copy_(pixels)
    shown = method.render_rays(train.view_rays(0))
    assert shown.rgb.isfinite().all()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_built(preset: str) -> None:
    bounds = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    method = VoxelGrid(PRESETS[preset], bounds, False, 3, CPU)
    assert torch.equal(method.bounds, bounds)
