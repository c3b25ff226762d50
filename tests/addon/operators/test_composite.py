# SPDX-License-Identifier: GPL-3.0-or-later
"""A scene in front of and behind a field: real nodes, a real engine for both."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat
from neural_fields.addon.scene import compositing

from tests.addon.analytic_runs import make_run
from tests.addon.engine_scene import add_camera, analytic_workers

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]

GREEN = (0.0, 1.0, 0.0)


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with analytic_workers():
        yield


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("field"))


@pytest.fixture
def field(bpy: ModuleType, run_path: Path) -> Any:
    """A ball of radius 0.7 about the origin, and a tilted green plane that cuts it in halves: its
    left half is nearer to the camera than the ball's middle.
    """
    scene = bpy.context.scene
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.render.filter_size = 0.01
    scene.view_settings.view_transform = "Standard"
    camera = add_camera(bpy, (0.0, -4.0, 0.0), (np.pi / 2, 0.0, 0.0))
    camera.data.lens = 40.0
    bpy.ops.mesh.primitive_plane_add(size=1.0, location=(0.0, 0.0, 0.0))
    plane = bpy.context.object
    plane.name = "Plane"
    plane.rotation_euler = (np.pi / 2, 0.0, np.pi / 4)
    plane.scale = (3.0, 0.5, 1.0)
    material = bpy.data.materials.new("Green")
    tree = compat.shader_nodes(material)
    tree.nodes.clear()
    light = tree.nodes.new("ShaderNodeEmission")
    light.inputs["Color"].default_value = (*GREEN, 1.0)
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(light.outputs[0], output.inputs["Surface"])
    plane.data.materials.append(material)
    bpy.ops.neural_fields.add_field(run=str(run_path))
    return bpy.context.object


def shot(bpy: ModuleType, file: Path, animation: bool = False) -> np.ndarray:
    """Linear RGBA, rows from the top."""
    from neural_backend.jobs.view_files import read_exr

    render = bpy.context.scene.render
    render.image_settings.file_format = "OPEN_EXR"
    render.image_settings.color_depth = "32"
    render.image_settings.color_mode = "RGBA"
    render.filepath = str(file)
    bpy.ops.render.render(write_still=not animation, animation=animation)
    return read_exr(file)["RGBA"] if not animation else np.zeros(0)


def is_green(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 1] > 0.9) & (pixels[..., 0] < 0.05) & (pixels[..., 2] < 0.05)


def test_the_scene_is_in_front_of_the_field_and_behind_it_by_depth(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.render.film_transparent = True
    assert bpy.ops.neural_fields.composite() == {"FINISHED"}
    assert bpy.context.scene == scene
    both = shot(bpy, tmp_path / "both.exr")
    bpy.ops.neural_fields.remove_composite()
    cg = shot(bpy, tmp_path / "cg.exr")
    scene.render.engine = "NEURAL_FIELD"
    alone = shot(bpy, tmp_path / "field.exr")
    plane, ball = is_green(cg), alone[..., 3] == 1
    rows, columns = np.nonzero(plane & ball)
    assert len(rows) > 40
    # The plane lies on y = x: the camera sees its left half in front of the ball, if it is outside
    # of it there, and the ball in front of the right half.
    left, right = columns < 20, columns > 27
    assert left.any()
    assert right.any()
    assert not is_green(both)[rows[right], columns[right]].any()
    np.testing.assert_allclose(
        both[rows[right], columns[right]], alone[rows[right], columns[right]], atol=1e-5
    )
    only_ball, only_plane = ball & ~(cg[..., 3] > 0), plane & (alone[..., 3] == 0)
    np.testing.assert_allclose(both[only_ball], alone[only_ball], atol=1e-5)
    assert only_plane.any()
    assert is_green(both)[only_plane].all()
    nothing = (cg[..., 3] == 0) & (alone[..., 3] == 0)
    assert (both[nothing] == 0).all()


def test_what_is_wholly_in_front_hides_the_field(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    bpy.context.scene.render.film_transparent = True
    bpy.data.objects["Plane"].location.y = -2.0
    bpy.data.objects["Plane"].rotation_euler.z = 0.0
    bpy.ops.neural_fields.composite()
    both = shot(bpy, tmp_path / "front.exr")
    assert is_green(both[16, 24])
    bpy.data.objects["Plane"].location.y = 2.0
    behind = shot(bpy, tmp_path / "behind.exr")
    assert not is_green(behind[16, 24])
    assert behind[16, 24, 3] == 1


def test_building_again_renews_and_removing_gives_all_back(bpy: ModuleType, field: Any) -> None:
    scene = bpy.context.scene
    tree = compat.compositor_tree(scene)
    for node in list(tree.nodes):
        tree.nodes.remove(node)
    output = compat.composite_output(tree)
    layer = compat.compositor_node(tree, "CompositorNodeRLayers")
    blur = compat.compositor_node(tree, "CompositorNodeBlur")
    tree.links.new(layer.outputs["Image"], blur.inputs[0])
    tree.links.new(blur.outputs[0], output.inputs[0])
    before = {node.name for node in tree.nodes}
    bpy.ops.neural_fields.composite()
    built = {node.name for node in tree.nodes}
    assert len(built - before) == 6
    over = next(node for node in tree.nodes if node.label == "Field over Scene")
    assert compositing.image_inputs(over)[0].links[0].from_node == blur
    bpy.ops.neural_fields.composite()
    assert len(tree.nodes) == len(built)
    assert len(bpy.data.scenes) == 2
    bpy.ops.neural_fields.remove_composite()
    assert {node.name for node in tree.nodes} == before
    assert output.inputs[0].links[0].from_node == blur
    assert list(bpy.data.scenes) == [scene]
    assert not bpy.ops.neural_fields.remove_composite.poll()


def test_an_animation_composites_each_frame(bpy: ModuleType, field: Any, tmp_path: Path) -> None:
    from neural_backend.jobs.view_files import read_exr

    scene = bpy.context.scene
    scene.render.film_transparent = True
    scene.frame_start, scene.frame_end = 1, 2
    bpy.data.objects["Plane"].hide_render = True
    for frame, x in ((1, -1.0), (2, 1.0)):
        field.location.x = x
        field.keyframe_insert("location", index=0, frame=frame)
    bpy.ops.neural_fields.composite()
    shot(bpy, tmp_path / "many_####.exr", animation=True)
    middles = []
    for frame in (1, 2):
        alpha = read_exr(tmp_path / f"many_{frame:04d}.exr")["RGBA"][..., 3]
        middles.append(np.nonzero(alpha > 0.5)[1].mean())
    assert middles[0] < 20 < 28 < middles[1]


def test_without_fields_camera_or_another_engine_it_says_so(bpy: ModuleType, field: Any) -> None:
    scene = bpy.context.scene
    scene.camera = None
    with pytest.raises(RuntimeError, match="no active camera"):
        bpy.ops.neural_fields.composite()
    assert list(bpy.data.scenes) == [scene]
    scene.render.engine = "NEURAL_FIELD"
    assert not bpy.ops.neural_fields.composite.poll()
    scene.render.engine = "CYCLES"
    bpy.data.objects.remove(field)
    assert not bpy.ops.neural_fields.composite.poll()


def test_the_fields_mesh_takes_roles_and_gives_them_back(bpy: ModuleType, field: Any) -> None:
    assert not bpy.ops.neural_fields.set_proxy.poll()
    mesh = bpy.data.objects.new("Surface", bpy.data.meshes.new("Surface"))
    bpy.context.scene.collection.objects.link(mesh)
    field.neural_field.mesh_object = mesh
    for role, state in (
        ("SHADOW", (False, False, True)),
        ("HOLDOUT", (False, True, False)),
        ("HIDDEN", (True, False, False)),
        ("NONE", (False, False, False)),
    ):
        bpy.ops.neural_fields.set_proxy(role=role)
        assert (mesh.hide_render, mesh.is_holdout, mesh.is_shadow_catcher) == state
    bpy.ops.neural_fields.composite()
