# SPDX-License-Identifier: GPL-3.0-or-later
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.scene.cameras import (
    Lens,
    Pose,
    add_camera,
    bounds_of,
    lens_of,
    place,
    pose_of,
    poses_in_space_of,
    render_size,
    rigid,
)
from neural_fields.addon.scene.errors import SceneError

from neural_backend.geometry.cameras import Intrinsics, project

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

POINTS = np.array([[0.0, 0.0, 0.0], [0.7, -0.4, 0.3], [-0.5, 0.6, -0.8], [0.2, 0.9, 0.5]])


def new_camera(bpy: ModuleType, **settings: Any) -> Any:
    data = bpy.data.cameras.new("Camera")
    for name, value in settings.items():
        setattr(data, name, value)
    camera = bpy.data.objects.new("Camera", data)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = (3.0, -4.0, 2.5)
    camera.rotation_euler = (1.1, 0.1, 0.62)
    return camera


def add_box(bpy: ModuleType, half_sizes: tuple[float, float, float], name: str = "Box") -> Any:
    mesh = bpy.data.meshes.new(name)
    corners = (2 * np.array(list(np.ndindex(2, 2, 2))) - 1) * half_sizes
    mesh.from_pydata(corners.tolist(), [], [(0, 1, 3, 2)])
    box = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(box)
    return box


def as_intrinsics(lens: Lens) -> Intrinsics:
    return Intrinsics(
        width=lens.width,
        height=lens.height,
        focal_x_px=lens.focal_x_px,
        focal_y_px=lens.focal_y_px,
        center_x_px=lens.center_x_px,
        center_y_px=lens.center_y_px,
    )


def seen_at(pose: Pose) -> np.ndarray:
    """Where the backend says that the points are in the picture."""
    inside = np.linalg.inv(pose.camera_to_world)
    return project(as_intrinsics(pose.lens), POINTS @ inside[:3, :3].T + inside[:3, 3])


def blender_says(bpy: ModuleType, camera: Any) -> np.ndarray:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    scene = bpy.context.scene
    width, height = render_size(scene.render)
    views = [world_to_camera_view(scene, camera, Vector(point)) for point in POINTS]
    return np.array([[view.x * width, (1 - view.y) * height] for view in views])


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (1000, 1000)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.21, -0.13)])
@pytest.mark.parametrize("aspect", [(1.0, 1.0), (1.0, 1.5), (2.0, 1.0)])
def test_intrinsics_are_blenders_own_to_a_hundredth_of_a_pixel(
    bpy: ModuleType,
    fit: str,
    size: tuple[int, int],
    shift: tuple[float, float],
    aspect: tuple[float, float],
) -> None:
    scene = bpy.context.scene
    for percentage in (100, 50):
        scene.render.resolution_x, scene.render.resolution_y = size
        scene.render.resolution_percentage = percentage
        scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
        camera = new_camera(
            bpy, sensor_fit=fit, lens=37.0, sensor_height=19.0, shift_x=shift[0], shift_y=shift[1]
        )
        camera.scale = (2.0, 0.5, 3.0)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        error = np.abs(seen_at(pose_of(camera, depsgraph, scene)) - blender_says(bpy, camera))
        assert error.max() < 0.01


def test_animated_lens_and_constraints_count_at_each_frame(bpy: ModuleType) -> None:
    scene = bpy.context.scene
    camera = new_camera(bpy)
    target = bpy.data.objects.new("Target", None)
    scene.collection.objects.link(target)
    camera.constraints.new("TRACK_TO").target = target
    for frame, lens in ((1, 30.0), (11, 80.0)):
        camera.data.lens = lens
        camera.data.keyframe_insert("lens", frame=frame)
    focal = []
    for frame in (1, 11):
        scene.frame_set(frame)
        pose = pose_of(camera, bpy.context.evaluated_depsgraph_get(), scene)
        np.testing.assert_allclose(seen_at(pose)[0], [24.0, 16.0], atol=1e-3)
        focal.append(pose.lens.focal_x_px)
    np.testing.assert_allclose(focal[1] / focal[0], 80 / 30, rtol=1e-5)


def test_a_percentage_is_rounded_as_blender_rounds_it(bpy: ModuleType) -> None:
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = 101, 57, 33
    assert render_size(render) == (33, 18)


@pytest.mark.parametrize("kind", ["ORTHO", "PANO"])
def test_a_camera_without_perspective_is_refused_by_name(bpy: ModuleType, kind: str) -> None:
    camera = new_camera(bpy, type=kind)
    with pytest.raises(SceneError, match=r"'Camera' is (ortho|pano)"):
        lens_of(camera, bpy.context.evaluated_depsgraph_get(), bpy.context.scene.render)


def test_a_flat_or_mirrored_camera_is_refused() -> None:
    for scale in (0.0, -1.0, math.nan):
        with pytest.raises(SceneError, match="scale"):
            rigid(np.diag([1.0, 1.0, scale, 1.0]))


def test_a_camera_made_from_numbers_has_those_numbers(bpy: ModuleType) -> None:
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 640, 480
    lens = Lens(640, 480, 700.0, 700.0, 301.5, 260.25)
    original = pose_of(new_camera(bpy), bpy.context.evaluated_depsgraph_get(), scene)
    camera = add_camera("made", lens, original.camera_to_world)
    scene.collection.objects.link(camera)
    made = pose_of(camera, bpy.context.evaluated_depsgraph_get(), scene)
    np.testing.assert_allclose(made.camera_to_world, original.camera_to_world, atol=1e-6)
    for name in ("focal_x_px", "focal_y_px", "center_x_px", "center_y_px"):
        assert getattr(made.lens, name) == pytest.approx(getattr(lens, name), abs=2e-3)


def test_bounds_hold_what_renders_with_modifiers_and_instances(bpy: ModuleType) -> None:
    box = add_box(bpy, (1.0, 2.0, 0.5))
    array = box.modifiers.new("Array", "ARRAY")
    array.count, array.relative_offset_displace = 2, (1.0, 0.0, 0.0)
    hidden = add_box(bpy, (9.0, 9.0, 9.0), "Hidden")
    hidden.hide_render = True
    group = bpy.data.collections.new("Group")
    group.objects.link(add_box(bpy, (0.1, 0.1, 0.1), "Small"))
    instancer = bpy.data.objects.new("Instancer", None)
    instancer.instance_type, instancer.instance_collection = "COLLECTION", group
    instancer.location = (0.0, 0.0, 7.0)
    bpy.context.scene.collection.objects.link(instancer)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    np.testing.assert_allclose(bounds_of(depsgraph), [[-1, -2, -0.5], [3, 2, 7.1]], atol=1e-5)
    only = bounds_of(depsgraph, frozenset({"Instancer"}))
    np.testing.assert_allclose(only, [[-0.1, -0.1, 6.9], [0.1, 0.1, 7.1]], atol=1e-5)


def test_bounds_of_nothing_are_none(bpy: ModuleType) -> None:
    new_camera(bpy)
    assert bounds_of(bpy.context.evaluated_depsgraph_get()) is None


def test_a_moved_turned_and_scaled_field_looks_as_if_the_camera_had_moved(bpy: ModuleType) -> None:
    scene = bpy.context.scene
    parent = np.eye(4)
    turn, scale = 0.7, 2.5
    parent[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    parent[:3, :3] *= scale
    parent[:3, 3] = (0.3, -0.2, 0.1)
    camera = new_camera(bpy)
    camera.location = (9.0, -12.0, 7.5)
    pose = pose_of(camera, bpy.context.evaluated_depsgraph_get(), scene)
    moved_points = POINTS @ parent[:3, :3].T + parent[:3, 3]
    inside = np.linalg.inv(pose.camera_to_world)
    expected = project(as_intrinsics(pose.lens), moved_points @ inside[:3, :3].T + inside[:3, 3])
    np.testing.assert_allclose(seen_at(poses_in_space_of(parent, pose)), expected, atol=1e-6)
    with pytest.raises(SceneError, match="scaled differently"):
        poses_in_space_of(np.diag([1.0, 2.0, 1.0, 1.0]), pose)


def test_placing_an_object_gives_it_the_matrix_row_by_row(bpy: ModuleType) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = (1.0, 2.0, 3.0)
    camera = new_camera(bpy)
    place(camera, matrix)
    assert tuple(camera.location) == (1.0, 2.0, 3.0)
