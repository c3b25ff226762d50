# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes by the operator: a real worker samples, Blender writes, Cycles integrates."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat, session
from neural_fields.addon.operators import volume as volume_operator
from neural_fields.addon.scene import volumes
from neural_fields.addon.worker.protocol import messages

from tests.addon.analytic_runs import make_moving_run, make_run
from tests.addon.operators.real_runs import (
    add_camera,
    add_field,
    real_worker,
    sent,
)

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]

PEAK, SOFTNESS, RADIUS, PIXELS = 3.0, 0.15, 0.7, 8


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture(scope="module")
def fog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball of fog that light gets through."""
    return make_run(tmp_path_factory.mktemp("fog"), peak=PEAK, softness=SOFTNESS)


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_run(tmp_path_factory.mktemp("moving"), turn=0.0, rise=0.5, scene="box")


@pytest.fixture
def vdb() -> Any:
    module = compat.vdb_module()
    if module is None:
        pytest.skip("this Blender cannot write OpenVDB")
    return module


def rendered(bpy: ModuleType, path: Path) -> np.ndarray:
    """Linear RGBA by Cycles, rows from below."""
    scene = bpy.context.scene
    scene.render.film_transparent = True
    scene.cycles.samples, scene.cycles.filter_width = 32, 0.01
    image = scene.render.image_settings
    image.file_format, image.color_mode, image.color_depth = "OPEN_EXR", "RGBA", "32"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    shown = bpy.data.images.load(str(path))
    pixels = np.array(shown.pixels[:]).reshape(*reversed(shown.size), 4)
    bpy.data.images.remove(shown)
    return pixels


def middle_of(vdb: Any, file: str) -> float:
    """The height of what a volume's densities weigh most."""
    grid = vdb.read(file, "density")
    lower, upper = (np.array(corner) for corner in grid.evalActiveVoxelBoundingBox())
    density = np.zeros(upper - lower + 1, np.float32)
    grid.copyToArray(density, ijk=lower.tolist())
    heights = [
        grid.transform.indexToWorld((0, 0, int(lower[2]) + layer))[2]
        for layer in range(density.shape[2])
    ]
    return float(np.average(heights, weights=density.sum(axis=(0, 1))))


def to_linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def integral(bpy: ModuleType, place: np.ndarray, size: float) -> np.ndarray:
    """What the fog shows through the scene's camera, added up in small steps; rows from below."""
    camera = bpy.context.scene.camera
    found = np.zeros((PIXELS, PIXELS, 4))
    matrix = np.array(camera.matrix_world)
    reach = camera.data.sensor_width / camera.data.lens
    t_edges = np.linspace(2.0, 6.0, 2001)
    t_mids, step = (t_edges[1:] + t_edges[:-1]) / 2, t_edges[1] - t_edges[0]
    for row, column in np.ndindex(PIXELS, PIXELS):
        x, y = ((np.array([column, row]) + 0.5) / PIXELS - 0.5) * reach
        direction = matrix[:3, :3] @ np.array([x, y, -1.0])
        direction /= np.linalg.norm(direction)
        points = (matrix[:3, 3] + t_mids[:, None] * direction - place) / size
        distance = np.linalg.norm(points, axis=-1) - RADIUS
        optical_depth = PEAK / (1 + np.exp(distance / SOFTNESS)) * step / size
        optical_depth *= (np.abs(points) < 1).all(axis=-1)
        before = np.exp(-np.concatenate([[0], np.cumsum(optical_depth)[:-1]]))
        weights = before * -np.expm1(-optical_depth)
        color = to_linear(np.clip(points * 0.5 + 0.5, 0, 1))
        found[row, column] = [*(weights @ color), weights.sum()]
    return found


@pytest.mark.slow
def test_cycles_shows_what_the_field_shows_wherever_it_was_moved(
    bpy: ModuleType, vdb: Any, fog: Path, tmp_path: Path
) -> None:
    add_camera(bpy, size=PIXELS)
    field = add_field(bpy, fog)
    bpy.ops.neural_fields.extract_volume(resolution=96, output=str(tmp_path / "still"))
    shown = field.neural_field.volume_object
    assert shown.parent == field
    assert [item.name for item in shown.users_collection] == ["Scene Collection"]
    assert sorted(path.name for path in (tmp_path / "still").iterdir()) == ["volume_0003.vdb"]
    assert not shown.data.is_sequence
    for number, (place, size) in enumerate(((np.zeros(3), 1.0), (np.array([0.2, 0.3, 0.1]), 0.8))):
        field.location, field.scale = place, (size,) * 3
        bpy.context.view_layer.update()
        seen = rendered(bpy, tmp_path / f"{number}.exr")
        expected = integral(bpy, place, size)
        assert expected[..., 3].max() > 0.8
        np.testing.assert_allclose(seen, expected, rtol=0.02, atol=0.004)


def test_a_moving_field_plays_along_the_timeline_and_is_renewed_in_place(
    bpy: ModuleType, vdb: Any, moving: Path
) -> None:
    add_camera(bpy, (11, 15))
    field = add_field(bpy, moving)
    bpy.ops.neural_fields.extract_volume(resolution=16)
    assert sent(messages.ExtractVolume).frames == (11, 12, 13, 14, 15)
    shown = field.neural_field.volume_object
    middles = []
    for frame in range(11, 16):
        bpy.context.scene.frame_set(frame)
        seen = shown.evaluated_get(bpy.context.evaluated_depsgraph_get())
        assert seen.data.grids.load()
        assert Path(seen.data.grids.frame_filepath).name == f"volume_{frame:04d}.vdb"
        middles.append(middle_of(vdb, seen.data.grids.frame_filepath))
    # Its faces are where a voxel begins.
    np.testing.assert_allclose(np.diff(middles), 0.125, atol=0.06)
    material, modifier = shown.data.materials[0], shown.modifiers.new("Mine", "VOLUME_DISPLACE")
    shown.location.x = 3.0
    bpy.ops.neural_fields.extract_volume(resolution=12, animated=False)
    assert field.neural_field.volume_object == shown
    assert (shown.location.x, shown.modifiers[0]) == (3.0, modifier)
    assert list(shown.data.materials) == [material]
    assert not shown.data.is_sequence
    assert len(bpy.data.volumes) == 1
    assert shown["neural_field_resolution"] == 12


def test_a_volume_that_was_deleted_is_made_anew(
    bpy: ModuleType, vdb: Any, fog: Path, tmp_path: Path
) -> None:
    field = add_field(bpy, fog)
    bpy.ops.neural_fields.extract_volume(resolution=12, output=str(tmp_path))
    first = field.neural_field.volume_object
    bpy.ops.object.select_all(action="DESELECT")
    first.select_set(True)
    bpy.ops.object.delete()
    bpy.ops.neural_fields.extract_volume(resolution=12, output=str(tmp_path))
    again = field.neural_field.volume_object
    assert again != first
    assert again.name in bpy.context.scene.objects


def test_cycles_is_told_once_to_add_up_by_steps(
    bpy: ModuleType, vdb: Any, fog: Path, tmp_path: Path
) -> None:
    cycles = bpy.context.scene.cycles
    has_choice = hasattr(cycles, "volume_biased")
    add_field(bpy, fog)
    bpy.ops.neural_fields.extract_volume(resolution=12, output=str(tmp_path))
    note = session.jobs()[-1].note
    assert "of the box is filled" in note
    assert ("by steps" in note) == has_choice
    assert getattr(cycles, "volume_biased", True)
    if has_choice:
        cycles.volume_biased = False
        bpy.ops.neural_fields.extract_volume(resolution=12, output=str(tmp_path))
        assert not cycles.volume_biased


def test_gaps_emptiness_and_a_missing_module_are_refused_in_words(
    bpy: ModuleType, vdb: Any, moving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_camera(bpy, (11, 15))
    field = add_field(bpy, moving)
    with pytest.raises(RuntimeError, match="without gaps"):
        bpy.ops.neural_fields.extract_volume(frame_step=2)
    stored = field.neural_field.volume
    stored.use_crop, stored.crop_min, stored.crop_max = True, (0.8, 0.8, 0.8), (0.9, 0.9, 0.9)
    with pytest.raises(RuntimeError, match="stops no light within the box"):
        bpy.ops.neural_fields.extract_volume(resolution=12, output=str(tmp_path))
    assert field.neural_field.volume_object is None
    monkeypatch.setattr(volume_operator, "vdb_module", lambda: None)
    with pytest.raises(RuntimeError, match=r"no OpenVDB module.*4\.4 or later"):
        bpy.ops.neural_fields.extract_volume()


def test_grids_that_are_damaged_leave_the_file_as_it_was(
    bpy: ModuleType, vdb: Any, fog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = add_field(bpy, fog)
    real = volumes.read_blocks

    def damaged(path: Path) -> volumes.VolumeBlocks:
        path.write_bytes(path.read_bytes()[:100])
        return real(path)

    monkeypatch.setattr(volume_operator, "read_blocks", damaged)
    with pytest.raises(RuntimeError, match="is no volume"):
        bpy.ops.neural_fields.extract_volume(resolution=12, output=str(tmp_path))
    assert field.neural_field.volume_object is None
