# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles renders of a volume, against the integral that a field is rendered by."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat
from neural_fields.addon.scene import volumes
from neural_fields.addon.scene.errors import SceneError

from tests.worker_python import run_with_backend

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300), pytest.mark.slow]

SIDE, PIXELS, REACH = 64, 6, 1.4
VOXEL = 2 / SIDE
WRITE = """
import sys
from pathlib import Path
import bpy
sys.path.insert(0, "scripts")
import headless_blender
headless_blender.load_extension()
from neural_fields.addon import compat
from neural_fields.addon.scene import volumes

blocks = volumes.read_blocks(Path(sys.argv[1]))
volumes.write_vdb(compat.vdb_module(), blocks, Path(sys.argv[2]))
"""


@pytest.fixture
def vdb(bpy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Blender's module. Where it has none, files are written by the Blender beside the worker: 4.5,
    which fills the same place with a voxel as 4.2, the only version without a module.
    """
    module = compat.vdb_module()
    if module is None:
        monkeypatch.setattr(volumes, "write_vdb", written_elsewhere)
    return module


def written_elsewhere(_vdb: None, given: volumes.VolumeBlocks, path: Path) -> None:
    np.savez(path.with_suffix(".npz"), **vars(given))
    run_with_backend(WRITE, path.with_suffix(".npz"), path)


@pytest.fixture
def camera(bpy: ModuleType) -> Any:
    """Looks down at the volume, orthographically."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = PIXELS
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "32"
    scene.cycles.samples = 64
    # A ray a pixel's middle: by default pixels blend into each other, and few are coarse.
    scene.cycles.filter_width = 0.01
    compat.march_volumes(scene)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    camera.location.z = 5
    camera.data.type, camera.data.ortho_scale = "ORTHO", REACH
    scene.camera = camera
    return camera


@pytest.fixture
def field(bpy: ModuleType) -> Any:
    field = bpy.data.objects.new("Neural Field", None)
    bpy.context.scene.collection.objects.link(field)
    return field


def places() -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1)
    return -1 + (index + 0.5) * VOXEL


def blocks(density: np.ndarray, color: np.ndarray) -> volumes.VolumeBlocks:
    starts = [(i, j, k) for i in range(0, SIDE, 8) for j in range(0, SIDE, 8)
              for k in range(0, SIDE, 8)]  # fmt: skip
    emission = density[..., None] * color
    cut = [tuple(slice(one, one + 8) for one in start) for start in starts]
    return volumes.VolumeBlocks(
        np.full(3, -1.0),
        VOXEL,
        np.array(starts, np.int32),
        np.array([density[part] for part in cut], np.float32),
        np.array([emission[part] for part in cut], np.float32),
    )


def rendered(bpy: ModuleType, path: Path) -> np.ndarray:
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.array(image.pixels[:]).reshape(PIXELS, PIXELS, 4)
    bpy.data.images.remove(image)
    return pixels


def test_a_constant_field_is_rendered_as_its_integral_and_so_when_it_is_scaled(
    bpy: ModuleType, vdb: Any, camera: Any, field: Any, tmp_path: Path
) -> None:
    color = np.array([0.8, 0.4, 0.1])
    volumes.write_vdb(vdb, blocks(np.ones((SIDE,) * 3), color), tmp_path / "constant.vdb")
    shown = volumes.put_volume(field, None, [tmp_path / "constant.vdb"], [1])
    assert shown.parent == field
    opacity = 1 - np.exp(-2.0)
    expected = np.array([*(opacity * color), opacity])
    middle = rendered(bpy, tmp_path / "a.exr")[1:-1, 1:-1]
    np.testing.assert_allclose(middle, np.broadcast_to(expected, middle.shape), rtol=0.01)
    field.scale = (0.5, 0.5, 0.5)
    camera.data.ortho_scale = REACH / 2
    smaller = rendered(bpy, tmp_path / "b.exr")[1:-1, 1:-1]
    np.testing.assert_allclose(smaller, np.broadcast_to(expected, middle.shape), rtol=0.01)


def test_a_varying_field_is_rendered_as_its_integral_in_its_place(
    bpy: ModuleType, vdb: Any, camera: Any, field: Any, tmp_path: Path
) -> None:
    """Off the middle, so that a shift by half a voxel would show."""
    center = np.array([0.2, -0.1, 0.0])

    def density_at(points: np.ndarray) -> np.ndarray:
        return 3 * np.exp(-3 * ((points - center) ** 2).sum(axis=-1))

    def color_at(points: np.ndarray) -> np.ndarray:
        z = points[..., 2]
        return np.stack([0.5 + 0.4 * z, 0.5 - 0.4 * z, np.full_like(z, 0.3)], axis=-1)

    grid = blocks(density_at(places()), color_at(places()))
    volumes.write_vdb(vdb, grid, tmp_path / "varying.vdb")
    volumes.put_volume(field, None, [tmp_path / "varying.vdb"], [1])
    found = rendered(bpy, tmp_path / "a.exr")
    depths = np.linspace(1, -1, 1001)
    middles, step = (depths[1:] + depths[:-1]) / 2, 2 / 1000
    expected = np.zeros_like(found)
    for row, column in np.ndindex(PIXELS, PIXELS):
        x, y = (np.array([column, row]) + 0.5) / PIXELS * REACH - REACH / 2
        points = np.stack([np.full(1000, x), np.full(1000, y), middles], axis=-1)
        density = density_at(points) * step
        before = np.exp(-np.concatenate([[0], np.cumsum(density)[:-1]]))
        weights = before * (1 - np.exp(-density))
        expected[row, column, :3] = weights @ color_at(points)
        expected[row, column, 3] = weights.sum()
    np.testing.assert_allclose(found, expected, rtol=0.01)
    # Shifted by half a voxel the gradient across the picture would show in the difference.
    across = (found - expected)[..., 3]
    assert abs(across[:, 3:].mean() - across[:, :3].mean()) < 0.002
    assert abs(across[3:].mean() - across[:3].mean()) < 0.002


def test_files_play_at_their_frames_and_gaps_are_refused(
    bpy: ModuleType, vdb: Any, field: Any, tmp_path: Path
) -> None:
    files = []
    for frame in (11, 12, 13):
        files.append(tmp_path / f"volume_{frame:04d}.vdb")
        volumes.write_vdb(vdb, blocks(np.full((SIDE,) * 3, frame), np.ones(3)), files[-1])
    shown = volumes.put_volume(field, None, files, [11, 12, 13])
    assert shown.data.is_sequence
    scene = bpy.context.scene
    for frame, number in ((5, 11), (12, 12), (13, 13), (20, 13)):
        scene.frame_set(frame)
        seen = shown.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        seen.grids.load()  # says in 4.2 that it failed where it had nothing to do
        assert seen.grids.is_loaded
        assert {grid.name for grid in seen.grids} == {volumes.DENSITY, volumes.EMISSION}
        assert Path(seen.grids.frame_filepath).name == f"volume_{number:04d}.vdb"
    again = volumes.put_volume(field, shown, files[:1], [11])
    assert again == shown
    assert not shown.data.is_sequence
    with pytest.raises(SceneError, match="gaps"):
        volumes.put_volume(field, shown, files, [11, 13, 15])


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(SceneError, match="is no volume"):
        volumes.read_blocks(tmp_path / "a.npz")
