# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import capture_problems, panel_state, session
from neural_fields.addon.scene.cameras import place
from PIL import Image, ImageFilter

from neural_backend.datasets.loading import load_capture
from tests.neural_backend.datasets.small_captures import ring_of_poses
from tests.neural_backend.jobs.test_check_capture import change, photo, write_photos
from tests.worker_python import WORKER_PYTHON

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def check(bpy: ModuleType, subject: str = "SCENE") -> dict[str, list[str]]:
    bpy.ops.neural_fields.check_capture(subject=subject)
    return {
        problem.kind: [one.name for one in problem.concerned]
        for problem in capture_problems.state().problems
    }


@pytest.fixture
def good_scene(bpy: ModuleType) -> Any:
    """A cube with a rig of cameras around it, and nothing to complain of."""
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.neural_fields.add_camera_rig(count=24)
    scene = bpy.context.scene
    scene.view_settings.view_transform = "Standard"
    bpy.context.view_layer.update()
    return scene


def test_a_good_scene_has_no_problems(bpy: ModuleType, good_scene: Any) -> None:
    assert check(bpy) == {}
    assert capture_problems.state().summary == "No problems found"


def test_settings_that_spoil_pictures_are_found_and_fixed(bpy: ModuleType, good_scene: Any) -> None:
    good_scene.render.use_motion_blur = True
    good_scene.view_settings.view_transform = "AgX"
    good_scene.neural_fields.capture.transparent = False
    soft = bpy.data.objects["Rig 003"]
    soft.data = soft.data.copy()
    soft.data.dof.use_dof = True
    found = check(bpy)
    assert set(found) == {"motion_blur", "film", "view_transform", "depth_of_field"}
    assert found["depth_of_field"] == ["Rig 003"]
    for kind in found:
        assert ("SCENE", kind) in capture_problems.FIXES
        bpy.ops.neural_fields.fix_problem(source="SCENE", kind=kind)
        assert capture_problems.find("SCENE", kind) is None
    assert not good_scene.render.use_motion_blur
    assert good_scene.neural_fields.capture.transparent
    assert not soft.data.dof.use_dof
    assert check(bpy) == {}


def test_cameras_inside_objects_or_looking_past_them_are_named(
    bpy: ModuleType, good_scene: Any
) -> None:
    inside = bpy.data.objects["Rig 001"]
    bpy.ops.mesh.primitive_uv_sphere_add(location=inside.location, radius=0.05)
    bpy.context.object.name = "Fly"
    bpy.context.object.hide_set(False)
    away = bpy.data.objects["Rig 005"]
    turned = np.array(away.matrix_world)
    turned[:3, [0, 2]] *= -1
    place(away, turned)
    box = [-1.1, -1.1, -1.1], [1.1, 1.1, 1.1]
    bpy.ops.object.select_all(action="DESELECT")
    bpy.data.objects["Cube"].select_set(True)
    bpy.ops.neural_fields.add_bounds()
    bpy.context.view_layer.update()
    found = check(bpy)
    assert found["inside_objects"] == ["Rig 001"]
    assert found["past_bounds"] == ["Rig 005"]
    assert found["sticks_out"] == []
    assert box is not None
    bpy.ops.neural_fields.fix_problem(source="SCENE", kind="sticks_out")
    assert "sticks_out" not in check(bpy)


def test_a_room_around_all_cameras_is_no_mistake(bpy: ModuleType, good_scene: Any) -> None:
    bpy.ops.mesh.primitive_cube_add(size=200)
    assert "inside_objects" not in check(bpy)


def test_a_scene_without_cameras_gets_a_rig(bpy: ModuleType) -> None:
    bpy.ops.mesh.primitive_cube_add()
    assert set(check(bpy)) == {"no_cameras"}
    bpy.ops.neural_fields.fix_problem(source="SCENE", kind="no_cameras")
    assert bpy.context.scene.neural_fields.rig.collection is not None
    with pytest.raises(RuntimeError, match="no such problem"):
        bpy.ops.neural_fields.fix_problem(source="SCENE", kind="no_cameras")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
    yield
    session.stop()


def test_pictures_are_checked_and_the_bad_ones_left_out(
    bpy: ModuleType, tmp_path: Path, worker: None
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    folder = write_photos(tmp_path / "photos")
    for number in (3, 7):
        photo(number).filter(ImageFilter.GaussianBlur(3)).save(
            folder / "images" / f"{number:02d}.png"
        )
    far = ring_of_poses(24)[20].copy()
    far[:3, 3] *= 4
    change(folder, 20, far)
    with pytest.raises(RuntimeError, match="no capture to check"):
        check(bpy, "CAPTURE")
    bpy.ops.neural_fields.import_capture(filepath=str(folder))
    found = check(bpy, "CAPTURE")
    assert {kind: [Path(name).stem for name in names] for kind, names in found.items()} == {
        "blurred": ["03", "07"],
        "outside_bounds": ["20"],
    }
    blurred = capture_problems.find("CAPTURE", "blurred").concerned[1]
    bpy.ops.neural_fields.go_to_camera(name=blurred.name, position=blurred.position)
    assert bpy.context.scene.camera.name == "07"
    bpy.ops.neural_fields.fix_problem(source="CAPTURE", kind="blurred")
    training = bpy.context.scene.neural_fields.training
    chosen = load_capture(bpy.path.abspath(training.capture))
    assert len(chosen.views) == 22
    assert [problem.kind for problem in capture_problems.state().problems] == ["outside_bounds"]
    bpy.ops.neural_fields.fix_problem(source="CAPTURE", kind="outside_bounds")
    widened = load_capture(bpy.path.abspath(training.capture))
    assert len(widened.views) == 22
    assert (widened.bounds[0] <= far[:3, 3]).all()
    assert (widened.bounds[1] >= far[:3, 3]).all()
    assert check(bpy, "CAPTURE") == {}
    with Image.open(folder / "images" / "03.png") as kept:
        assert kept.size == (48, 40)


def test_with_nothing_to_render_the_pictures_alone_are_checked(
    bpy: ModuleType, tmp_path: Path, good_scene: Any, worker: None
) -> None:
    folder = write_photos(tmp_path / "photos")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    assert "nothing" in check(bpy, "BOTH")
    bpy.ops.neural_fields.import_capture(filepath=str(folder))
    assert check(bpy, "BOTH") == {}
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.scene.render.use_motion_blur = True
    assert "motion_blur" in check(bpy, "BOTH")


def test_a_picture_without_a_camera_in_the_scene_is_said_so(bpy: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="Import the capture"):
        bpy.ops.neural_fields.go_to_camera(name="01", position=(0.0, 0.0, 0.0))


def test_photos_without_cameras_are_solved_or_it_is_said_what_is_missing(
    bpy: ModuleType, tmp_path: Path, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        photo(number).save(tmp_path / "photos" / f"{number}.jpg")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("NEURAL_FIELDS_COLMAP", raising=False)
    pytest.importorskip("PIL")
    with pytest.raises(RuntimeError, match=r"COLMAP.*not installed|COLMAP found no") as caught:
        bpy.ops.neural_fields.import_capture(filepath=str(tmp_path / "photos"))
    problem = panel_state.get().problems["capture"]
    if "not installed" in str(caught.value):
        assert "-m pip install pycolmap" in problem.remedy
        assert problem.fix is not None
        assert problem.fix.operator == "neural_fields.install_environment"
    assert not bpy.context.scene.neural_fields.training.capture
