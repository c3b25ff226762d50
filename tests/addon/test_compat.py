# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender calls by other names, or lacks, in one version or another: each does what it is for.

Other rows of docs/BLENDER_VERSIONS.md are tested where the add-on uses them.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat
from neural_fields.addon.operators import volume
from PIL import Image

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def test_volumes_are_written_by_the_module_that_blender_brings_if_it_brings_one(
    bpy: ModuleType,
) -> None:
    python = Path(bpy.utils.resource_path("LOCAL")) / "python"
    brought = [*python.rglob("openvdb*.so"), *python.rglob("openvdb*.pyd")]
    module = compat.vdb_module()
    assert (module is not None) == bool(brought)
    if module is not None:
        assert Path(module.__file__) in brought
        assert compat.vdb_module() is module


def test_where_blender_brings_none_extracting_a_volume_says_so(
    bpy: ModuleType, studio: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume, "vdb_module", lambda: None)
    (tmp_path / "run.json").write_text('{"state": "trained"}', encoding="utf-8")
    field = bpy.data.objects.new("Field", None)
    field.neural_field.run = str(tmp_path)
    bpy.context.scene.collection.objects.link(field)
    bpy.context.view_layer.objects.active = field
    with pytest.raises(RuntimeError, match=r"no OpenVDB module.*Use Blender from blender\.org"):
        bpy.ops.neural_fields.extract_volume()


def test_materials_and_worlds_have_nodes_without_a_warning(bpy: ModuleType) -> None:
    """Warnings are errors in tests; since 5.0 asking for nodes that are there anyway gives one."""
    for block in (bpy.data.materials.new("Paint"), bpy.data.worlds.new("Sky")):
        tree = compat.shader_nodes(block)
        assert {"OUTPUT_MATERIAL", "OUTPUT_WORLD"} & {node.type for node in tree.nodes}
        tree.nodes.clear()
        assert compat.shader_nodes(block) == tree
        assert not len(tree.nodes)
        assert compat.used_shader_nodes(block) == tree


def test_nodes_that_are_switched_off_are_not_what_is_shown(bpy: ModuleType) -> None:
    world = bpy.data.worlds.new("Sky")
    tree = compat.shader_nodes(world)
    if getattr(world.bl_rna.properties["use_nodes"], "is_deprecated", False):
        return  # it cannot be switched off
    world.use_nodes = False
    assert world.node_tree == tree
    assert compat.used_shader_nodes(world) is None


def test_what_is_linked_to_the_compositors_output_is_what_is_rendered(
    bpy: ModuleType, tmp_path: Path
) -> None:
    """0.5 - 0.25 as an even grey, mixed half with black."""
    scene = bpy.context.scene
    assert compat.scene_compositor(scene) is None
    assert not compat.uses_compositor(scene)
    tree = compat.compositor_tree(scene)
    assert compat.compositor_tree(scene) == compat.scene_compositor(scene) == tree
    assert compat.uses_compositor(scene)
    output = compat.composite_output(tree)
    assert compat.composite_output(tree) == output
    less = compat.compositor_node(tree, "Math")
    less.operation = "SUBTRACT"
    less.inputs[0].default_value, less.inputs[1].default_value = 0.5, 0.25
    tree.links.new(less.outputs[0], output.inputs[0])
    seen = _rendered_grey(bpy, tmp_path / "seen.png")
    np.testing.assert_allclose(seen, 0.25, atol=1 / 255)


def _rendered_grey(bpy: ModuleType, path: Path) -> Any:
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.cycles.samples = 1
    scene.render.resolution_x = scene.render.resolution_y = 4
    scene.render.dither_intensity = 0.0
    scene.view_settings.view_transform = "Raw"
    compat.set_still_png(scene.render.image_settings, "RGB")
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    with Image.open(path) as picture:
        return np.asarray(picture) / 255


def test_a_strip_begins_and_ends_where_blender_plays_it(bpy: ModuleType, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    strips = compat.strips_of(bpy.context.scene)
    strip = strips.new_image("one", str(tmp_path / "one.png"), 3, 21)
    for _ in range(4):
        strip.elements.append("one.png")
    assert compat.strip_range(strip) == (21, 26)
    assert list(compat.strips_of(bpy.context.scene)) == [strip]
