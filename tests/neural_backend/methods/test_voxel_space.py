# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.fields.voxel_grid import grid_shape
from neural_backend.geometry.cameras import project
from neural_backend.kernels.voxel_grid import Space
from neural_backend.methods.voxel_space import corners_in_hull, corners_shown_by
from scripts.make_test_data import make_glossy_scene

ROOM = Space(
    center=(0.1, 0.0, -0.1), half=1.0, extent=(1.5, 1.5, 1.5), cells_per_unit=4.0, step=0.5,
    shell=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> RayBatches:
    folder = tmp_path_factory.mktemp("glossy")
    make_glossy_scene(folder, size=24, num_views=6)
    return RayBatches(load_images(load_capture(folder).split("train")))


def corners_of(space: Space) -> torch.Tensor:
    """Corners as (x, y, z, 3), in halves from the center, of a space without a shell."""
    axes = [
        torch.arange(size) / space.cells_per_unit - side
        for size, side in zip(grid_shape(space), space.extent, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def test_corners_about_a_ball_of_hull_cells_are_stored_and_no_others() -> None:
    cell, lower = 0.1, np.full(3, -1.0)
    middles = lower[0] + cell * (torch.arange(20) + 0.5)
    points = torch.stack(torch.meshgrid(middles, middles, middles, indexing="ij"), dim=-1)
    hull = points.norm(dim=-1) < 0.5
    space = replace(ROOM, center=(0.0, 0.0, 0.0), shell=0.0, cells_per_unit=9.0)
    stored = corners_in_hull(space, hull, lower, cell)
    distance = corners_of(space).norm(dim=-1)
    assert stored[distance < 0.5].all()
    # A hull cell's neighbours count: a corner may lie two cells' diagonals from a middle.
    assert not stored[distance > 0.5 + 2 * cell * 3**0.5].any()


def test_corners_that_fewer_pictures_show_are_left_out(batches) -> None:
    inner = corners_of(ROOM)
    inside = inner.abs().amax(dim=-1) <= 1
    points = (inner * ROOM.half + torch.tensor(ROOM.center)).reshape(-1, 3).double().numpy()
    count = np.zeros(len(points), dtype=int)
    for view in batches.views:
        local = (points - view.camera_to_world[:3, 3]) @ view.camera_to_world[:3, :3]
        at, lens = project(view.intrinsics, local), view.intrinsics
        seen = (at >= 0) & (at <= (lens.width, lens.height))
        count += np.nan_to_num(seen).all(axis=-1) & (local[:, 2] < 0)
    expected = torch.from_numpy(count).reshape(inside.shape)
    for least in (1, 3, batches.num_views):
        kept = corners_shown_by(batches, least, ROOM, ROOM)
        assert torch.equal(kept[inside], expected[inside] >= least)
    assert torch.equal(
        corners_shown_by(batches, 99, ROOM, ROOM),
        corners_shown_by(batches, batches.num_views, ROOM, ROOM),
    )


def test_a_finer_grid_keeps_the_corners_whose_nearest_coarse_one_is_kept(batches) -> None:
    fine = replace(ROOM, cells_per_unit=8.0)
    coarse_kept = corners_shown_by(batches, 4, ROOM, ROOM)
    kept = corners_shown_by(batches, 4, ROOM, fine)
    assert kept.shape == grid_shape(fine)
    assert torch.equal(kept[:-1:2, :-1:2, :-1:2], coarse_kept[:-1, :-1, :-1])
