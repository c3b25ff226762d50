# SPDX-License-Identifier: GPL-3.0-or-later
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.compat import shader_nodes
from neural_fields.addon.scene import captures
from neural_fields.addon.scene.cameras import place
from neural_fields.addon.scene.captures import CaptureOptions, render_capture
from neural_fields.addon.scene.errors import SceneError
from neural_fields.addon.scene.rigs import Rig, look_at, rig_directions
from neural_fields.addon.scene.stations import (
    Station,
    stations_at,
    stations_in_turn,
    stations_of_animation,
)
from neural_fields.addon.scene.time_maps import TimeMap
from PIL import Image

from neural_backend.datasets.loading import load_capture
from neural_backend.geometry.cameras import project

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

CORNER = np.array([0.5, -0.3, 0.4])
COLOR = (0.8, 0.2, 0.1)


@pytest.fixture
def scene(bpy: ModuleType) -> Any:
    """A glowing box with one corner at CORNER, and three cameras, one with another lens."""
    bpy.ops.mesh.primitive_cube_add(size=1.0, location=tuple(CORNER - 0.5))
    material = bpy.data.materials.new("Glow")
    nodes = shader_nodes(material).nodes
    nodes.clear()
    emission = nodes.new("ShaderNodeEmission")
    linear = [
        value / 12.92 if value < 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in COLOR
    ]
    emission.inputs["Color"].default_value = (*linear, 1.0)
    output = nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], output.inputs[0])
    bpy.context.object.data.materials.append(material)
    directions = rig_directions(Rig(shape="HEMISPHERE", count=3))
    for number, direction in enumerate(directions):
        data = bpy.data.cameras.new(f"Camera {number}")
        data.lens, data.shift_x = (35.0, 0.1) if number == 1 else (50.0, 0.0)
        camera = bpy.data.objects.new(data.name, data)
        place(camera, look_at(CORNER - 0.5 + 4 * direction, CORNER - 0.5))
        bpy.context.scene.collection.objects.link(camera)
    return bpy.context.scene


def stations(scene: Any) -> list[Station]:
    cameras = sorted(
        (item for item in scene.objects if item.type == "CAMERA"), key=lambda item: item.name
    )
    return stations_at(cameras, scene.frame_current)


def take(scene: Any, folder: Path, **options: Any) -> list[captures.CaptureProgress]:
    return list(render_capture(scene, stations(scene), folder, CaptureOptions(**options)))


def take_one(pictures: Iterator[captures.CaptureProgress]) -> None:
    """Goes on until the first picture is there."""
    next(progress for progress in pictures if progress.done == 1)


def settings_of(scene: Any) -> dict[str, Any]:
    """Every plain setting that a capture could have left changed."""
    owners = (scene, scene.render, scene.view_settings, scene.render.image_settings, scene.cycles)
    return {
        f"{type(owner).__name__}.{name}": value
        for owner in owners
        for name, described in owner.bl_rna.properties.items()
        if not getattr(described, "is_deprecated", False)  # asking for those warns
        and isinstance(value := getattr(owner, name), (bool, int, float, str))
    } | {"camera": scene.camera}


def test_what_was_captured_is_what_the_backend_reads(scene: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Aufnahme für später"
    progress = take(scene, folder, hold_out=3)
    assert [(step.done, step.total) for step in progress][-4:] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    capture = load_capture(folder)
    assert [view.split for view in capture.views] == ["test", "train", "train"]
    assert [view.frame for view in capture.views] == [1, 1, 1]
    assert not capture.unbounded
    assert not capture.is_dynamic
    assert not capture.warnings
    np.testing.assert_allclose(capture.bounds, [CORNER - 1.01, CORNER + 0.01], atol=1e-6)
    poses = [pose for pose, _ in captures.poses_along(stations(scene), scene)]
    for view, pose in zip(capture.views, poses, strict=True):
        np.testing.assert_allclose(view.camera_to_world, pose.camera_to_world, atol=1e-9)
        for name in ("width", "height", "focal_x_px", "focal_y_px", "center_x_px", "center_y_px"):
            assert getattr(view.intrinsics, name) == pytest.approx(getattr(pose.lens, name))
    focal = {round(view.intrinsics.focal_x_px, 2) for view in capture.views}
    assert len(focal) == 2


def test_a_rendered_corner_is_where_the_cameras_say_and_has_the_colour_that_was_set(
    scene: Any, tmp_path: Path
) -> None:
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    take(scene, tmp_path)
    for view in load_capture(tmp_path).views:
        assert view.image is not None
        picture = np.array(Image.open(view.image), dtype=np.float64) / 255
        inside = np.linalg.inv(view.camera_to_world)
        corners = CORNER - 1 + np.array(list(np.ndindex(2, 2, 2)))
        seen = project(view.intrinsics, corners @ inside[:3, :3].T + inside[:3, 3])
        rows, columns = np.nonzero(picture[..., 3] > 0.5)
        drawn = [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]
        expected = [*np.sort(seen[:, 0])[[0, -1]], *np.sort(seen[:, 1])[[0, -1]]]
        np.testing.assert_allclose(drawn, expected, atol=1.6)
        opaque = picture[picture[..., 3] == 1]
        np.testing.assert_allclose(opaque[:, :3], np.tile(COLOR, (len(opaque), 1)), atol=0.01)
        assert picture[0, 0, 3] == 0


def test_every_setting_is_put_back_whatever_happens(scene: Any, tmp_path: Path) -> None:
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.exposure = 0.5
    scene.render.use_border = True
    scene.render.use_motion_blur = True
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.frame_set(7)
    before = settings_of(scene)
    take(scene, tmp_path / "whole")
    assert settings_of(scene) == before
    interrupted = render_capture(scene, stations(scene), tmp_path / "part", CaptureOptions())
    next(interrupted)
    assert settings_of(scene) != before
    interrupted.close()
    assert settings_of(scene) == before
    scene.objects["Camera 2"].data.type = "ORTHO"
    with pytest.raises(SceneError, match="Camera 2"):
        take(scene, tmp_path / "failed")
    assert settings_of(scene) == before
    assert not (tmp_path / "failed").exists()


def test_an_interrupted_capture_goes_on_where_it_stopped(scene: Any, tmp_path: Path) -> None:
    first = render_capture(scene, stations(scene), tmp_path, CaptureOptions())
    take_one(first)
    first.close()
    assert not (tmp_path / captures.FINAL).exists()
    kept = (tmp_path / "images" / "0001.png").stat().st_mtime_ns
    assert [step.rendered for step in take(scene, tmp_path)][-3:] == [0, 1, 2]
    assert (tmp_path / "images" / "0001.png").stat().st_mtime_ns == kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", captures.FINAL]


def test_other_pictures_are_never_mixed_with_or_replaced_unasked(
    scene: Any, tmp_path: Path
) -> None:
    first = render_capture(scene, stations(scene), tmp_path, CaptureOptions())
    take_one(first)
    first.close()
    own = tmp_path / "images" / "holiday.png"
    own.write_bytes(b"mine")
    place(scene.objects["Camera 0"], look_at(np.array([3.0, 3.0, 3.0]), CORNER))
    with pytest.raises(SceneError, match="other pictures"):
        take(scene, tmp_path)
    assert [step.rendered for step in take(scene, tmp_path, overwrite=True)][-3:] == [1, 2, 3]
    with pytest.raises(SceneError, match="already a capture"):
        take(scene, tmp_path)
    assert own.read_bytes() == b"mine"


def test_an_animated_camera_gives_a_view_for_every_nth_frame(scene: Any, tmp_path: Path) -> None:
    scene.camera = scene.objects["Camera 0"]
    scene.frame_start, scene.frame_end = 11, 19
    for frame, lens in ((11, 40.0), (19, 60.0)):
        scene.camera.data.lens = lens
        scene.camera.data.keyframe_insert("lens", frame=frame)
        scene.camera.location.x += 0.5
        scene.camera.keyframe_insert("location", frame=frame)
    along = stations_of_animation(scene, range(11, 20, 4))
    options = CaptureOptions(time_map=TimeMap(11, 19), hold_out=0)
    list(render_capture(scene, along, tmp_path, options))
    capture = load_capture(tmp_path, hold_out=0)
    assert [view.frame for view in capture.views] == [11, 15, 19]
    assert [view.time for view in capture.views] == [0.0, 0.5, 1.0]
    focal = [view.intrinsics.focal_x_px for view in capture.views]
    assert focal[2] / focal[0] == pytest.approx(1.5, rel=1e-4)
    assert scene.frame_current == 1


def test_the_cameras_of_a_rig_take_turns_where_the_scene_moves(scene: Any) -> None:
    cameras = [item for item in scene.objects if item.type == "CAMERA"]
    taken = stations_in_turn(cameras, (1, 21))
    assert [station.frame for station in taken] == [1, 1, 21]


def test_photos_with_a_background_are_said_to_be_unbounded(scene: Any, tmp_path: Path) -> None:
    take(scene, tmp_path, transparent=False)
    assert load_capture(tmp_path).unbounded
    with Image.open(tmp_path / "images" / "0001.png") as picture:
        assert picture.mode == "RGB"


def test_the_file_has_the_keys_that_instant_ngp_reads(scene: Any, tmp_path: Path) -> None:
    scene.objects["Cube"].scale *= 7
    take(scene, tmp_path)
    values = json.loads((tmp_path / captures.FINAL).read_text(encoding="utf-8"))
    keys = {"camera_angle_x", "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "p2", "aabb_scale"}
    assert keys <= values.keys()
    assert values["aabb_scale"] == 4
    assert values["frames"][1]["fl_x"] != values["frames"][0]["fl_x"]


def test_a_scene_without_objects_or_cameras_is_refused(scene: Any, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no cameras"):
        list(render_capture(scene, [], tmp_path, CaptureOptions()))
    scene.objects["Cube"].hide_render = True
    with pytest.raises(SceneError, match="Nothing in the scene renders"):
        take(scene, tmp_path)


def test_what_makes_worse_pictures_is_warned_about(bpy: ModuleType, scene: Any) -> None:
    assert captures.warnings_about(stations(scene) * 10, scene) == []
    if hasattr(scene, "compositing_node_group"):
        scene.compositing_node_group = bpy.data.node_groups.new("Mine", "CompositorNodeTree")
    else:
        scene.use_nodes = True
    scene.render.use_motion_blur = True
    scene.objects["Camera 1"].data.dof.use_dof = True
    words = " ".join(captures.warnings_about(stations(scene), scene))
    assert "Motion blur" in words
    assert "Camera 1" in words
    assert "compositor" in words
    assert "3 pictures are few" in words


@pytest.mark.skipif("os.geteuid() == 0", reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(scene: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SceneError, match="cannot be written"):
        take(scene, tmp_path / "capture")


def test_a_file_in_the_way_of_the_folder_is_named(scene: Any, tmp_path: Path) -> None:
    (tmp_path / "capture").write_text("", encoding="utf-8")
    with pytest.raises(SceneError, match="cannot be written"):
        take(scene, tmp_path / "capture")


def test_f12_writes_no_file_after_a_capture(bpy: ModuleType, tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.render.resolution_x = scene.render.resolution_y = 4
    scene.render.filepath = str(tmp_path / "picture.png")
    last = bpy.context.window_manager.operator_properties_last("render.render")
    last.write_still = True
    list(captures.render_at_once(scene))
    assert (tmp_path / "picture.png").is_file()
    assert not last.write_still
