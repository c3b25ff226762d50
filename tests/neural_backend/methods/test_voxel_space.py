# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from neural_backend.datasets.images import load_images
from neural_backend.datasets.loading import load_capture
from neural_backend.datasets.ray_batches import RayBatches
from neural_backend.fields.voxel_grid import VoxelGridField, grid_shape
from neural_backend.kernels.voxel_grid import Space
from neural_backend.methods.voxel_space import rays_of_rows
from neural_backend.training.sparse_adam import SparseAdam
from scripts.make_test_data import make_glossy_scene

ROOM = Space(
    center=(0.0, 0.0, 0.0), half=1.0, extent=(1.5, 1.5, 1.5), cells_per_unit=8.0, step=0.5,
    shell=0.5,
)  # fmt: skip
CLEAR, SOLID = -20.0, 10.0


@pytest.fixture(scope="module")
def batches(tmp_path_factory) -> RayBatches:
    folder = tmp_path_factory.mktemp("glossy")
    make_glossy_scene(folder, size=24, num_views=6)
    return RayBatches(load_images(load_capture(folder).split("train")))


def shown_by(field: VoxelGridField, batches: RayBatches, looks: int = 1) -> torch.Tensor:
    adam = SparseAdam(field.rows, parts=2)
    field.rows = adam.values
    shown = rays_of_rows(field, adam, batches, looks, torch.Generator().manual_seed(0))
    assert not adam.gradients.any()
    assert not adam.touched.any()
    return shown


def room(raw_density: float) -> VoxelGridField:
    stored = torch.ones(grid_shape(ROOM), dtype=torch.bool)
    return VoxelGridField(ROOM, stored, 1, raw_density)


def test_rays_that_end_in_gray_show_one_ray_each(batches) -> None:
    shown = shown_by(room(SOLID), batches, looks=2)
    assert float(shown.sum()) == pytest.approx(2 * 8192, rel=1e-3)


def test_nothing_clear_and_nothing_behind_what_is_solid_is_seen(batches) -> None:
    field = room(CLEAR)
    assert float(shown_by(field, batches).sum()) < 1
    places = field._corner_places() / ROOM.cells_per_unit - 1.5
    distance = places.abs().amax(dim=-1)
    field.rows[:, 0] = torch.where(distance < 0.5, SOLID, CLEAR)
    shown = shown_by(field, batches)
    assert float(shown[distance < 0.2].sum()) == 0
    surface = (distance > 0.2) & (distance < 0.7)
    assert float(shown[surface].sum()) == pytest.approx(float(shown.sum()), rel=1e-3)
    assert float(shown.sum()) > 500
    field.refine(ROOM.cells_per_unit, 0.03, shown > 0.1)
    places = field._corner_places() / ROOM.cells_per_unit - 1.5
    assert float(places.abs().amax(dim=-1).min()) > 0.2
    assert float(places.abs().amax(dim=-1).max()) < 0.8
