# SPDX-License-Identifier: GPL-3.0-or-later
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import preferences, session
from neural_fields.addon.scene.captures import FINAL

from neural_backend.datasets.loading import load_capture
from tests.worker_python import WORKER_PYTHON

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def add_cube(bpy: ModuleType, name: str = "Cube", **placed: Any) -> Any:
    bpy.ops.mesh.primitive_cube_add(**placed)
    bpy.context.object.name = name
    return bpy.context.object


def cameras(bpy: ModuleType) -> list[Any]:
    return sorted(
        (item for item in bpy.data.objects if item.type == "CAMERA"), key=lambda item: item.name
    )


def select(bpy: ModuleType, *items: Any) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    for item in items:
        item.select_set(True)


@pytest.mark.parametrize("shape", ["HEMISPHERE", "SPHERE", "ORBIT", "SPIRAL"])
def test_every_camera_of_a_rig_has_the_whole_subject_in_sight(bpy: ModuleType, shape: str) -> None:
    from bpy_extras.object_utils import world_to_camera_view

    cube = add_cube(bpy, location=(5.0, 1.0, -2.0), scale=(1.0, 2.0, 0.5))
    bpy.ops.neural_fields.add_camera_rig(shape=shape, count=12)
    bpy.context.view_layer.update()
    assert len(cameras(bpy)) == 12
    corners = [cube.matrix_world @ vertex.co for vertex in cube.data.vertices]
    for camera in cameras(bpy):
        for corner in corners:
            view = world_to_camera_view(bpy.context.scene, camera, corner)
            assert 0 < view.x < 1
            assert 0 < view.y < 1
            assert camera.data.clip_start < view.z < camera.data.clip_end


def test_a_rig_stands_around_the_selection_at_the_distance_and_lens_that_were_asked(
    bpy: ModuleType,
) -> None:
    chosen = add_cube(bpy, location=(5.0, 0.0, 0.0))
    add_cube(bpy, "Other", location=(-50.0, 0.0, 0.0))
    select(bpy, chosen)
    stored = bpy.context.scene.neural_fields.rig
    stored.count, stored.lens = 4, 85.0
    bpy.ops.neural_fields.add_camera_rig(distance=7.0)
    positions = np.array([camera.location for camera in cameras(bpy)])
    np.testing.assert_allclose(np.linalg.norm(positions - (5, 0, 0), axis=-1), 7, rtol=1e-5)
    assert {camera.data.lens for camera in cameras(bpy)} == {85.0}
    assert set(stored.collection.objects) == set(cameras(bpy))


def test_a_rig_around_nothing_is_refused(bpy: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="nothing to put cameras around"):
        bpy.ops.neural_fields.add_camera_rig()
    assert not bpy.data.collections


@pytest.mark.parametrize(("source", "expected"), [("COLLECTION", 3), ("SELECTED", 1), ("SCENE", 4)])
def test_the_source_says_which_cameras_take_pictures(
    bpy: ModuleType, tmp_path: Path, source: str, expected: int
) -> None:
    add_cube(bpy)
    bpy.ops.object.camera_add(location=(0.0, -5.0, 0.0), rotation=(1.57, 0.0, 0.0))
    select(bpy)
    bpy.ops.neural_fields.add_camera_rig(count=3)
    select(bpy, bpy.data.objects["Camera"])
    bpy.ops.neural_fields.render_capture(source=source, folder=str(tmp_path / "capture"))
    assert len(load_capture(tmp_path / "capture").views) == expected
    training = bpy.context.scene.neural_fields.training
    assert Path(training.capture) == tmp_path / "capture"


def test_a_collection_may_be_named_and_must_exist(bpy: ModuleType, tmp_path: Path) -> None:
    add_cube(bpy)
    with pytest.raises(RuntimeError, match="no camera rig"):
        bpy.ops.neural_fields.render_capture(folder=str(tmp_path))
    bpy.ops.neural_fields.add_camera_rig(count=2)
    first = bpy.context.scene.neural_fields.rig.collection.name
    bpy.ops.neural_fields.add_camera_rig(count=3)
    with pytest.raises(RuntimeError, match="no collection 'Nothing'"):
        bpy.ops.neural_fields.render_capture(folder=str(tmp_path), collection="Nothing")
    bpy.ops.neural_fields.render_capture(folder=str(tmp_path), collection=first)
    assert len(load_capture(tmp_path).views) == 2


def test_new_captures_go_beside_the_saved_file_in_folders_of_their_own(
    bpy: ModuleType, tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "Stück 1.blend"))
    add_cube(bpy)
    bpy.ops.neural_fields.add_camera_rig(count=2)
    for number in (1, 2):
        bpy.ops.neural_fields.render_capture()
        folder = tmp_path / "Stück 1_neural_fields" / f"capture_{number:03d}"
        assert (folder / FINAL).is_file()
    stored = bpy.context.scene.neural_fields.training.capture
    assert stored == "//Stück 1_neural_fields/capture_002"
    assert preferences.new_folder("a/b").name == "a_b_001"


def test_the_progress_bar_is_all_that_a_capture_prints(bpy: ModuleType, tmp_path: Path) -> None:
    """In a process of its own, whose stdout Blender's C code writes to."""
    import subprocess

    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import bpy, headless_blender\n"
        "headless_blender.load_extension().register()\n"
        "bpy.context.scene.render.engine = 'CYCLES'\n"
        "bpy.context.scene.cycles.samples = 1\n"
        "bpy.context.scene.render.resolution_x = bpy.context.scene.render.resolution_y = 8\n"
        "bpy.ops.neural_fields.add_camera_rig(count=2)\n"
        "bpy.ops.neural_fields.render_capture(folder=sys.argv[2])\n"
        "print('the end', flush=True)\n"
        "import os; os._exit(0)\n"  # the module of Blender 4.2 dies where it ends by itself
    )
    scripts = Path(__file__).resolve().parents[3] / "scripts"
    done = subprocess.run(
        [sys.executable, "-c", program, str(scripts), str(tmp_path / "capture")],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "2/2 pictures" in done.stdout
    assert "the end" in done.stdout
    assert "Fra:" not in done.stdout


def test_own_captures_come_back_as_the_cameras_that_took_them(
    bpy: ModuleType, tmp_path: Path
) -> None:
    add_cube(bpy)
    bpy.ops.neural_fields.add_camera_rig(count=3)
    originals = {camera.name: np.array(camera.matrix_world) for camera in cameras(bpy)}
    bpy.ops.neural_fields.render_capture(folder=str(tmp_path))
    bpy.context.scene.render.resolution_x = 999
    bpy.ops.neural_fields.import_capture(filepath=str(tmp_path))
    bpy.context.view_layer.update()
    imported = [camera for camera in cameras(bpy) if camera.name not in originals]
    for camera, matrix in zip(imported, originals.values(), strict=True):
        np.testing.assert_allclose(np.array(camera.matrix_world), matrix, atol=1e-5)
        assert camera.data.lens == pytest.approx(50.0, abs=1e-3)
        picture = Path(camera.data.background_images[0].image.filepath)
        assert picture.name == f"{camera.name}.png"
    assert bpy.context.scene.render.resolution_x == 48


def test_a_capture_with_an_angle_of_view_alone_takes_its_size_from_the_pictures(
    bpy: ModuleType, tmp_path: Path
) -> None:
    """The dialect of the NeRF paper: no extension, no size, splits in files of their own."""
    import json
    import math

    from PIL import Image

    (tmp_path / "train").mkdir()
    Image.new("RGBA", (40, 30)).save(tmp_path / "train" / "r_0.png")
    frames = [{"file_path": "./train/r_0", "transform_matrix": np.eye(4).tolist()}]
    values = {"camera_angle_x": 2 * math.atan(0.5), "frames": frames}
    for split in ("train", "test"):
        (tmp_path / f"transforms_{split}.json").write_text(json.dumps(values), encoding="utf-8")
    bpy.ops.neural_fields.import_capture(filepath=str(tmp_path))
    assert len(cameras(bpy)) == 2
    assert cameras(bpy)[0].data.lens == pytest.approx(36.0)
    assert bpy.context.scene.render.resolution_y == 30


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "no complete JSON"), ("[]", "no JSON object"), ('{"frames": []}', "no frames")],
)
def test_a_damaged_capture_is_named_with_what_is_wrong(
    bpy: ModuleType, tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "transforms.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.neural_fields.import_capture(filepath=str(file))
    with pytest.raises(RuntimeError, match="no capture at"):
        bpy.ops.neural_fields.import_capture(filepath=str(tmp_path / "nowhere"))
    assert not cameras(bpy)


def test_a_colmap_model_comes_in_by_way_of_the_worker(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setenv("NEURAL_FIELDS_PYTHON", str(WORKER_PYTHON))
    capture = tmp_path / "statue"
    sparse = capture / "sparse" / "0"
    sparse.mkdir(parents=True)
    (capture / "images").mkdir()
    sparse.joinpath("cameras.txt").write_text("1 SIMPLE_PINHOLE 40 30 36 20 15\n")
    lines = []
    for number in range(3):
        Image.new("RGB", (40, 30)).save(capture / "images" / f"{number}.png")
        lines.append(f"{number + 1} 1 0 0 0 {-number} 0 0 1 {number}.png\n\n")
    sparse.joinpath("images.txt").write_text("".join(lines))
    sparse.joinpath("points3D.txt").write_text("1 0 0 5 9 9 9 0.1 1 0 2 0\n")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    try:
        bpy.ops.neural_fields.import_capture(filepath=str(capture))
    finally:
        session.stop()
    bpy.context.view_layer.update()
    found = cameras(bpy)
    assert [tuple(camera.location) for camera in found] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    forward = -np.array(found[0].matrix_world)[:3, 2]
    np.testing.assert_allclose(forward, [0, 0, 1], atol=1e-6)
    assert found[0].data.lens == pytest.approx(36 * 36 / 40)
    assert bpy.context.scene.neural_fields.training.capture == "//statue"
