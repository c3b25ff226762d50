# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered views on the timeline: on a plane before the camera, as a movie clip, as a strip."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from ..compat import shader_nodes, strip_range, strips_of
from .errors import SceneError
from .images import load_sequence, relative_path
from .placing import link_beside

_PLANE = "Neural Field Plane"
DISTANCE = "distance"
"""Custom property of the plane: how far before the camera it stands."""

_CHANNEL = 1
_CORNERS = ((-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0))


def put_plane(
    camera: bpy.types.Object, scene: bpy.types.Scene, files: Sequence[Path], frames: Sequence[int]
) -> bpy.types.Object:
    """A plane that hangs on the camera and fills its view with the pictures; renewed in place.

    Drivers keep it filling the view while the lens, its shift and the plane's distance, a custom
    property, change.
    """
    image, timing = load_sequence(files, frames)
    name = f"{camera.name} {_PLANE}"
    plane = next((item for item in camera.children if item.get("neural_field_plane")), None)
    if plane is None:
        plane = _new_plane(name, camera, scene)
    material = plane.data.materials[0]
    node = next(node for node in material.node_tree.nodes if node.type == "TEX_IMAGE")
    node.image = image
    timing.apply(node.image_user)
    return plane


def put_clip(files: Sequence[Path], frames: Sequence[int]) -> bpy.types.MovieClip:
    """The pictures as a movie clip at their frames; the one that shows them is renewed."""
    first = files[0]
    clip = next((one for one in bpy.data.movieclips if _same(one.filepath, first)), None)
    if clip is None:
        try:
            clip = bpy.data.movieclips.load(str(first))
        except RuntimeError as error:
            raise SceneError(f"{first} cannot be read as a clip.", "Check the file.") from error
        clip.name = f"{first.parent.name} clip"
        # No editor may show it yet, and without a user it would not be saved.
        clip.use_fake_user = True
    clip.filepath = relative_path(first)
    # Blender finds all numbered pictures by itself, and begins to play at frame 1.
    clip.frame_start = frames[0]
    clip.frame_offset = 0
    return clip


def put_strip(scene: bpy.types.Scene, files: Sequence[Path], frames: Sequence[int]) -> Any:
    """The pictures as a strip of the scene's sequencer; the one that shows them is renewed.

    It is put into the lowest channel that is free at these frames.
    """
    strips = strips_of(scene)
    folder = files[0].parent
    last = frames[0] + len(files)
    for strip in list(strips):
        if strip.type == "IMAGE" and _same(strip.directory, folder):
            strips.remove(strip)
    taken = {
        strip.channel
        for strip in strips
        if strip_range(strip)[0] < last and strip_range(strip)[1] > frames[0]
    }
    channel = next(number for number in range(_CHANNEL, 129) if number not in taken)
    strip = strips.new_image(
        name=f"{folder.name} views",
        filepath=str(files[0]),
        channel=channel,
        frame_start=frames[0],
    )
    for file in files[1:]:
        strip.elements.append(file.name)
    strip.directory = relative_path(folder)
    return strip


def _same(stored: str, path: Path) -> bool:
    return bool(stored) and Path(bpy.path.abspath(stored)).resolve() == path.resolve()


def _new_plane(name: str, camera: bpy.types.Object, scene: bpy.types.Scene) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(_CORNERS, [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    for loop, corner in zip(mesh.loops, _CORNERS, strict=True):
        layer.data[loop.index].uv = (corner[0] + 0.5, corner[1] + 0.5)
    mesh.materials.append(_plane_material(name))
    plane = bpy.data.objects.new(name, mesh)
    plane["neural_field_plane"] = True
    plane.parent = camera
    link_beside(plane, camera)
    plane.visible_shadow = False
    plane[DISTANCE] = 0.5 * (camera.data.clip_start + min(camera.data.clip_end, 100.0))
    _fill_view(plane, camera, scene)
    return plane


def _fill_view(plane: bpy.types.Object, camera: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Drivers of the plane's place and size by the camera's lens and the scene's resolution.

    They use arithmetic alone, which Blender runs where scripts are not allowed as well.
    """
    data = camera.data
    vertical = data.sensor_fit == "VERTICAL"
    fitted = {
        "HORIZONTAL": "(x * ax)",
        "VERTICAL": "(y * ay)",
        "AUTO": "max(x * ax, y * ay)",
    }[data.sensor_fit]
    sensor = "sensor_height" if vertical else "sensor_width"
    variables = {
        "away": (plane, "OBJECT", f'["{DISTANCE}"]'),
        "lens": (data, "CAMERA", "lens"),
        "size": (data, "CAMERA", sensor),
        "x": (scene, "SCENE", "render.resolution_x"),
        "y": (scene, "SCENE", "render.resolution_y"),
        "ax": (scene, "SCENE", "render.pixel_aspect_x"),
        "ay": (scene, "SCENE", "render.pixel_aspect_y"),
    }
    reach = f"away * size / lens / {fitted}"
    shift = {
        "sx": (data, "CAMERA", "shift_x"),
        "sy": (data, "CAMERA", "shift_y"),
    }
    _drive(plane, "scale", 0, f"{reach} * x * ax", variables)
    _drive(plane, "scale", 1, f"{reach} * y * ay", variables)
    _drive(plane, "location", 0, "away * size / lens * sx", variables | shift)
    _drive(plane, "location", 1, "away * size / lens * sy", variables | shift)
    _drive(plane, "location", 2, "-away", variables)


def _drive(
    plane: bpy.types.Object,
    path: str,
    index: int,
    expression: str,
    variables: dict[str, tuple[Any, str, str]],
) -> None:
    driver = plane.driver_add(path, index).driver
    driver.type = "SCRIPTED"
    for name, (owner, kind, data_path) in variables.items():
        if name not in expression:
            continue
        variable = driver.variables.new()
        variable.name, variable.type = name, "SINGLE_PROP"
        target = variable.targets[0]
        target.id_type = kind
        target.id, target.data_path = owner, data_path
    driver.expression = expression


def _plane_material(name: str) -> bpy.types.Material:
    """Shows the picture as it is, and nothing where it is transparent."""
    material = bpy.data.materials.new(name)
    if hasattr(material, "surface_render_method"):
        material.surface_render_method = "BLENDED"
    tree = shader_nodes(material)
    nodes, links = tree.nodes, tree.links
    nodes.clear()
    picture = nodes.new("ShaderNodeTexImage")
    picture.extension = "CLIP"
    light, clear = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeBsdfTransparent")
    mix, output = nodes.new("ShaderNodeMixShader"), nodes.new("ShaderNodeOutputMaterial")
    for column, node in enumerate((picture, light, mix, output)):
        node.location = (column * 240 - 480, 0)
    clear.location = (-240, 140)
    links.new(picture.outputs["Color"], light.inputs["Color"])
    links.new(picture.outputs["Alpha"], mix.inputs[0])
    links.new(clear.outputs["BSDF"], mix.inputs[1])
    links.new(light.outputs["Emission"], mix.inputs[2])
    links.new(mix.outputs["Shader"], output.inputs["Surface"])
    return material
