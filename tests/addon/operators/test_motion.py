# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion on Blender's timeline, by a real worker with a field whose motion is known exactly."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import session
from neural_fields.addon.scene.ply import read_ply
from neural_fields.addon.worker.protocol import messages
from PIL import Image

from neural_backend.datasets.loading import load_capture
from tests.addon.analytic_runs import make_moving_run
from tests.addon.operators.real_runs import real_worker
from tests.rigid_motion import moved_rigidly

MOTION = {"turn": 2.0, "rise": 0.5, "scene": "box"}
FIRST, LAST = 11, 15

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_run(tmp_path_factory.mktemp("moving"), **MOTION)


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with real_worker():
        yield


@pytest.fixture
def field(bpy: ModuleType, run_folder: Path) -> Any:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = FIRST, LAST
    scene.render.resolution_x = scene.render.resolution_y = 32
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0.0, -4.0, 0.2), (1.5708, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    bpy.ops.neural_fields.add_field(run=str(run_folder))
    return bpy.context.object


def sent(kind: type) -> Any:
    return next(record.job for record in reversed(session.jobs()) if isinstance(record.job, kind))


def views(bpy: ModuleType, folder: Path) -> list[np.ndarray]:
    bpy.ops.neural_fields.render_views(output=str(folder))
    return [np.array(Image.open(file)).astype(int) for file in sorted(folder.glob("view_*.png"))]


def evaluated(bpy: ModuleType, item: Any, frame: int) -> np.ndarray:
    bpy.context.scene.frame_set(frame)
    mesh = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3)


def curves_of(item: Any) -> Any:
    """Its F-curves: since 5.0 an action holds those of several data-blocks, in slots."""
    action = item.animation_data.action
    if hasattr(action, "fcurves"):
        return action.fcurves
    return action.layers[0].strips[0].channelbag(item.animation_data.action_slot).fcurves


def middle(points: np.ndarray) -> float:
    """The middle of what stands upright, by its highest and lowest points."""
    return float(points[:, 2].min() + points[:, 2].max()) / 2


def height(picture: np.ndarray) -> float:
    """The row, counted upwards, of the middle of what is seen."""
    return -float(np.nonzero(picture[..., 3] > 128)[0].mean())


def test_a_field_brings_its_time_map_along(field: Any) -> None:
    settings = field.neural_field
    assert settings.moves
    assert (settings.frame_start, settings.frame_end) == (FIRST, LAST)


def test_a_field_of_a_capture_without_frames_takes_the_scenes_range(
    bpy: ModuleType, tmp_path: Path
) -> None:
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 5, 9
    run = make_moving_run(tmp_path, time_map=None, num_views=3)
    bpy.ops.neural_fields.add_field(run=str(run))
    settings = bpy.context.object.neural_field
    assert (settings.moves, settings.frame_start, settings.frame_end) == (True, 5, 9)


def test_each_view_is_of_the_timelines_moment(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    seen = views(bpy, tmp_path)
    cameras = json.loads(Path(sent(messages.RenderViews).cameras).read_text())
    assert [frame["time"] for frame in cameras["frames"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    heights = [height(picture) for picture in seen]
    assert heights == sorted(heights)
    assert heights[-1] - heights[0] > 3


def test_the_time_map_can_be_edited(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    field.neural_field.frame_start, field.neural_field.frame_end = 13, 21
    views(bpy, tmp_path)
    cameras = json.loads(Path(sent(messages.RenderViews).cameras).read_text())
    assert [frame["time"] for frame in cameras["frames"]] == [0.0, 0.0, 0.0, 0.125, 0.25]


def test_a_time_map_of_no_length_is_refused_in_words(bpy: ModuleType, field: Any) -> None:
    field.neural_field.frame_start = field.neural_field.frame_end = 7
    for operator in ("render_views", "extract_mesh_sequence", "bake_motion", "extract_mesh"):
        with pytest.raises(RuntimeError, match="no length: it starts and ends at frame 7"):
            getattr(bpy.ops.neural_fields, operator)()


def test_freezing_the_time_gives_equal_pictures_to_a_camera_at_rest(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    field.neural_field.use_retime, field.neural_field.field_time = True, 0.5
    seen = views(bpy, tmp_path / "frozen")
    assert len(seen) == 5
    for picture in seen[1:]:
        np.testing.assert_array_equal(picture, seen[0])
    field.neural_field.use_retime = False
    playing = views(bpy, tmp_path / "playing")
    np.testing.assert_array_equal(seen[0], playing[2])
    assert not np.array_equal(playing[0], playing[2])


def test_a_key_each_way_reverses_time(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    forwards = views(bpy, tmp_path / "forwards")
    settings = field.neural_field
    settings.use_retime = True
    for frame, time in ((FIRST, 1.0), (LAST, 0.0)):
        settings.field_time = time
        field.keyframe_insert("neural_field.field_time", frame=frame)
    for point in curves_of(field)[0].keyframe_points:
        point.interpolation = "LINEAR"
    backwards = views(bpy, tmp_path / "backwards")
    for one, other in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(one, other)
    assert bpy.context.scene.frame_current == 1


def test_a_frozen_moment_can_be_walked_around(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    """Bullet time: the camera moves, the field does not."""
    field.neural_field.use_retime, field.neural_field.field_time = True, 1.0
    camera = bpy.context.scene.camera
    for frame, x in ((FIRST, -1.0), (LAST, 1.0)):
        camera.location.x = x
        camera.keyframe_insert("location", frame=frame)
    seen = views(bpy, tmp_path)
    heights = [height(picture) for picture in seen]
    assert max(heights) - min(heights) < 1
    columns = [np.nonzero(picture[..., 3] > 128)[1].mean() for picture in seen]
    assert columns[0] - columns[-1] > 5


def test_retiming_by_a_driver_is_seen_too(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    field.neural_field.use_retime = True
    curve = field.driver_add("neural_field.field_time")
    curve.driver.expression = "(frame - 11) / 8"
    views(bpy, tmp_path)
    cameras = json.loads(Path(sent(messages.RenderViews).cameras).read_text())
    times = [frame["time"] for frame in cameras["frames"]]
    np.testing.assert_allclose(times, [0.0, 0.125, 0.25, 0.375, 0.5], atol=1e-6)


def test_the_mesh_sequence_shows_at_each_frame_the_mesh_of_its_time(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    options = {"resolution": 16, "level": 50.0, "keep_unseen": True, "output": str(tmp_path)}
    bpy.ops.neural_fields.extract_mesh_sequence(**options)
    item = field.neural_field.sequence_object
    assert item.parent == field
    assert item["neural_field_level"] == 50.0
    for frame in range(FIRST, LAST + 1):
        expected = read_ply(tmp_path / f"mesh_{frame:04d}.ply")
        found = evaluated(bpy, item, frame)
        assert found.shape == expected.vertices.shape
        np.testing.assert_allclose(found, expected.vertices, atol=1e-5)
        assert middle(found) == pytest.approx(0.5 * (frame - FIRST) / 4, abs=0.02)
    field.neural_field.use_retime, field.neural_field.field_time = True, 0.5
    bpy.ops.neural_fields.extract_mesh_sequence(**options, frame_start=20, frame_end=21)
    assert field.neural_field.sequence_object == item
    assert middle(evaluated(bpy, item, 20)) == pytest.approx(0.25, abs=0.02)


def test_every_nth_frame_of_a_sequence_can_be_taken(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    stored = field.neural_field.mesh_sequence
    stored.frame_step, stored.resolution, stored.level, stored.keep_unseen = 2, 12, 50.0, True
    bpy.ops.neural_fields.extract_mesh_sequence(output=str(tmp_path))
    assert sent(messages.ExtractMeshSequence).frames == (11, 13, 15)
    assert sent(messages.ExtractMeshSequence).times == (0.0, 0.5, 1.0)


def test_a_single_mesh_is_that_of_the_current_frame(bpy: ModuleType, field: Any) -> None:
    bpy.context.scene.frame_set(14)
    bpy.ops.neural_fields.extract_mesh(resolution=12, level=50.0, keep_unseen=True)
    assert sent(messages.ExtractMesh).time == 0.75
    assert field.neural_field.mesh_object["neural_field_time"] == 0.75


def add_plane(bpy: ModuleType, field: Any) -> Any:
    """An edited mesh with UVs, a material and a transform of its own, as a child of the field."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=3, y_subdivisions=3, size=0.8)
    plane = bpy.context.object
    plane.parent = field
    plane.location, plane.scale = (0.1, 0.0, 0.2), (1.0, 2.0, 1.0)
    plane.data.materials.append(bpy.data.materials.new("Painted"))
    plane.modifiers.new("Subdivision", "SUBSURF").show_viewport = False
    bpy.context.view_layer.update()
    return plane


def test_baked_vertices_go_with_the_field_and_uvs_and_materials_stay(
    bpy: ModuleType, field: Any
) -> None:
    field.location, field.rotation_euler.z = (3.0, -1.0, 0.5), 0.7
    plane = add_plane(bpy, field)
    uvs = [tuple(one.uv) for one in plane.data.uv_layers[0].data]
    rest = np.array([vertex.co for vertex in plane.data.vertices])
    bpy.ops.neural_fields.bake_motion()
    assert field.neural_field.motion_object == plane
    assert [modifier.type for modifier in plane.modifiers] == ["MESH_CACHE", "SUBSURF"]
    assert [tuple(one.uv) for one in plane.data.uv_layers[0].data] == uvs
    assert plane.data.materials[0].name == "Painted"
    np.testing.assert_array_equal([vertex.co for vertex in plane.data.vertices], rest)
    placed = rest * (1, 2, 1) + (0.1, 0.0, 0.2)
    for frame in range(FIRST, LAST + 1):
        moved = moved_rigidly(placed, (frame - FIRST) / 4, MOTION["turn"], MOTION["rise"])
        expected = (moved - (0.1, 0.0, 0.2)) / (1, 2, 1)
        np.testing.assert_allclose(evaluated(bpy, plane, frame), expected, atol=2e-4)
    assert plane["neural_field_residual_max"] < 1e-3
    assert "miss their places by" in session.jobs()[-1].note


def test_without_a_mesh_the_fields_own_is_made_and_then_kept(bpy: ModuleType, field: Any) -> None:
    bpy.ops.neural_fields.bake_motion(resolution=12, level=50.0)
    moving = field.neural_field.motion_object
    assert moving.parent == field
    assert moving["neural_field_time"] == 0.0
    last = evaluated(bpy, moving, LAST)
    rise = last[:, 2] - evaluated(bpy, moving, FIRST)[:, 2]
    np.testing.assert_allclose(rise, 0.5, atol=1e-3)
    moving.data.uv_layers.new(name="Mine")
    bpy.ops.neural_fields.bake_motion(frame_start=11, frame_end=15, frame_step=2)
    assert field.neural_field.motion_object == moving
    assert moving.data.uv_layers[0].name == "Mine"
    assert moving.modifiers[0].frame_scale == 0.5
    np.testing.assert_allclose(evaluated(bpy, moving, LAST), last, atol=1e-3)
    assert len(moving.modifiers) == 1


def test_a_mesh_extracted_at_another_moment_is_baked_from_its_own_pose(
    bpy: ModuleType, field: Any
) -> None:
    bpy.context.scene.frame_set(13)
    bpy.ops.neural_fields.extract_mesh(resolution=12, level=50.0, keep_unseen=True)
    surface = field.neural_field.mesh_object
    rest = np.array([vertex.co for vertex in surface.data.vertices])
    bpy.ops.neural_fields.bake_motion(mesh_name=surface.name)
    assert sent(messages.BakeMotion).rest_time == 0.5
    np.testing.assert_allclose(evaluated(bpy, surface, 13), rest, atol=1e-4)
    assert evaluated(bpy, surface, 15)[:, 2].mean() - rest[:, 2].mean() == pytest.approx(
        0.25, abs=1e-3
    )


def test_a_mesh_that_was_edited_since_is_not_given_a_motion_that_does_not_fit(
    bpy: ModuleType, field: Any
) -> None:
    plane = add_plane(bpy, field)
    target = session.Target(bpy.context.scene.session_uid, field.session_uid)
    target = session.Target(target.scene, target.field, mesh=plane.session_uid)
    bpy.ops.neural_fields.bake_motion()
    job = sent(messages.BakeMotion)
    plane.data.clear_geometry()
    again = messages.BakeMotion(**{**vars(job), "job_id": "again"})
    record = session.submit(again, "Bake motion", target)
    session.wait("again", show_progress=False)
    assert "has 0 vertices, but its motion was baked for 16" in record.problem


def test_a_mesh_that_is_not_the_fields_is_left_alone(bpy: ModuleType, field: Any) -> None:
    bpy.ops.mesh.primitive_cube_add()
    stranger = bpy.context.object
    bpy.ops.neural_fields.bake_motion(resolution=12, level=50.0)
    assert not len(stranger.modifiers)
    assert field.neural_field.motion_object != stranger


def test_a_mesh_that_is_not_there_is_named(bpy: ModuleType, field: Any) -> None:
    with pytest.raises(RuntimeError, match="no mesh 'Nothing'"):
        bpy.ops.neural_fields.bake_motion(mesh_name="Nothing")


def test_an_animated_scene_is_captured_with_the_map_of_its_times(
    bpy: ModuleType, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    for frame, x in ((3, -1.0), (9, 1.0)):
        cube.location.x = x
        cube.keyframe_insert("location", frame=frame)
    bpy.ops.neural_fields.add_camera_rig(count=2)
    scene.camera = scene.neural_fields.rig.collection.objects[0]
    for frame, height in ((3, 6.0), (9, 8.0)):
        scene.camera.location.z = height
        scene.camera.keyframe_insert("location", frame=frame)
    scene.frame_start, scene.frame_end = 3, 9
    for name, options, frames in (
        ("turns", {}, [3, 4, 5, 6, 7, 8, 9]),
        ("step", {"frame_step": 3}, [3, 6, 9]),
        ("all", {"frame_step": 3, "every_camera": True}, [3, 3, 6, 6, 9, 9]),
        ("camera", {"frame_step": 2, "source": "ANIMATION"}, [3, 5, 7, 9]),
    ):
        bpy.ops.neural_fields.render_capture(
            folder=str(tmp_path / name), moving_scene=True, hold_out=0, **options
        )
        capture = load_capture(tmp_path / name, hold_out=0)
        assert [view.frame for view in capture.views] == frames
        assert [view.time for view in capture.views] == [(frame - 3) / 6 for frame in frames]
        assert capture.time_map is not None
        assert (capture.time_map.frame_start, capture.time_map.frame_end) == (3, 9)
        assert capture.bounds[0, 0] < -1.9
        assert capture.bounds[1, 0] > 1.9


def test_a_captures_time_map_may_differ_from_the_scenes_range(
    bpy: ModuleType, tmp_path: Path
) -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.neural_fields.add_camera_rig(count=2)
    stored = bpy.context.scene.neural_fields.capture
    stored.use_scene_range, stored.frame_start, stored.frame_end = False, 20, 24
    stored.moving_scene = True
    bpy.ops.neural_fields.render_capture(folder=str(tmp_path / "a"), frame_step=2, hold_out=0)
    capture = load_capture(tmp_path / "a", hold_out=0)
    assert [(view.frame, view.time) for view in capture.views] == [(20, 0), (22, 0.5), (24, 1)]
    stored.frame_end = 20
    with pytest.raises(RuntimeError, match="no length: it starts and ends at frame 20"):
        bpy.ops.neural_fields.render_capture(folder=str(tmp_path / "b"))
    assert not (tmp_path / "b").exists()
