# SPDX-License-Identifier: GPL-3.0-or-later
"""A field's surface as a Blender mesh that shows its colours wherever it is looked at."""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..compat import shader_nodes
from .images import load_image
from .placing import link_beside, still_there
from .ply import MeshArrays

COLOR_ATTRIBUTE = "Col"
MATERIAL = "Neural Field Colors"
UV_LAYER = "UVMap"
SMOOTH_BIT = "sharp_face"
TEXTURE_OF = "neural_field_texture"
"""Custom property of the materials that show a field's texture."""


def fill_mesh(mesh: bpy.types.Mesh, arrays: MeshArrays) -> None:
    """Replaces a mesh's geometry, colours and normals; its materials and users stay."""
    materials = list(mesh.materials)
    put_geometry(mesh, arrays.vertices, arrays.faces)
    if arrays.colors is not None and len(arrays.colors) == len(mesh.vertices):
        _set_colors(mesh, arrays.colors)
    if arrays.corner_uvs is not None and len(arrays.corner_uvs) == len(mesh.polygons):
        layer = mesh.uv_layers.new(name=UV_LAYER)
        layer.uv.foreach_set("vector", np.ascontiguousarray(arrays.corner_uvs, np.float32).ravel())
    if arrays.normals is not None and len(arrays.normals) == len(mesh.vertices):
        set_normals(mesh, arrays.normals)
    else:
        mesh.shade_smooth()
    mesh.update()
    if not list(mesh.materials):
        for material in materials:
            mesh.materials.append(material)


def put_geometry(
    mesh: bpy.types.Mesh, vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> None:
    """Replaces a mesh's geometry: (V, 3) places and (F, corners) vertices of each face. Faces that
    Blender cannot have are left out.
    """
    count, corners = faces.shape
    mesh.clear_geometry()
    mesh.vertices.add(len(vertices))
    mesh.loops.add(faces.size)
    # Attributes are copied as they are; `vertices` and `loops` take their numbers one by one.
    places, corner_vertices = mesh.attributes["position"], mesh.attributes[".corner_vert"]
    places.data.foreach_set("vector", np.ascontiguousarray(vertices, np.float32).ravel())
    corner_vertices.data.foreach_set("value", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(count)
    starts = np.arange(0, faces.size, corners, dtype=np.int32)
    mesh.polygons.foreach_set("loop_start", starts)
    if is_sound(faces, len(vertices)):
        mesh.update(calc_edges=True)
    else:
        mesh.validate()


def is_sound(faces: NDArray[np.integer], num_vertices: int) -> bool:
    """Whether Blender's own check, which takes longer than all the rest, would leave the mesh as it
    is: the corners of each face are vertices of their own, and no two faces have the same ones.
    """
    if not len(faces):
        return True
    if faces.min() < 0 or faces.max() >= num_vertices:
        return False
    ordered = np.sort(faces, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        return False
    # One number for each face; where they are too large for their bits, faces that differ may share
    # one, and Blender looks.
    numbers = np.zeros(len(faces), dtype=np.uint64)
    for column in ordered.T:
        numbers = numbers * np.uint64(num_vertices) + column.astype(np.uint64)
    numbers.sort()
    return not (numbers[1:] == numbers[:-1]).any()


def _set_colors(mesh: bpy.types.Mesh, srgb: NDArray[np.float32]) -> None:
    """As bytes in sRGB, which is what the fields learn; Blender converts them for shading."""
    colors = mesh.color_attributes.new(COLOR_ATTRIBUTE, "BYTE_COLOR", "POINT")
    colors.data.foreach_set("color_srgb", np.ascontiguousarray(srgb, np.float32).ravel())
    index = mesh.color_attributes.find(COLOR_ATTRIBUTE)
    mesh.color_attributes.active_color_index = index
    mesh.color_attributes.render_color_index = index


def set_normals(mesh: bpy.types.Mesh, normals: NDArray[np.float32]) -> None:
    """Shades with the given vertex normals; vectors of no length take the surface's own normal."""
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    unit = np.nan_to_num(normals / np.maximum(length, 1e-6)).astype(np.float32)
    none = ~(length[:, 0] > 1e-6)
    if none.any():
        own = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("normal", own)
        unit[none] = own.reshape(-1, 3)[none]
    mesh.shade_smooth()
    # An attribute of this name counts as custom normals where Blender stores free ones: at once
    # instead of in seconds.
    attribute = mesh.attributes.new("custom_normal", "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", np.ascontiguousarray(unit).ravel())
    if not mesh.has_custom_normals:
        mesh.attributes.remove(mesh.attributes["custom_normal"])
        mesh.normals_split_custom_set_from_vertices(unit.tolist())


def color_material() -> bpy.types.Material:
    """The material that shows the colour attribute as it was learned, light included.

    Made once a file and then left as the artist has changed it. Its Mix Shader goes from the
    learned look (0) to a surface that the scene's lights shade (1).
    """
    material = bpy.data.materials.get(MATERIAL)
    if material is not None:
        return material
    material = bpy.data.materials.new(MATERIAL)
    nodes = shader_nodes(material).nodes
    nodes.clear()
    color = nodes.new("ShaderNodeVertexColor")
    color.layer_name = COLOR_ATTRIBUTE
    _show_color(material, color)
    return material


def texture_material(name: str, image: bpy.types.Image) -> bpy.types.Material:
    """A material that shows a texture as `color_material` shows the attribute."""
    material = bpy.data.materials.new(name)
    nodes = shader_nodes(material).nodes
    nodes.clear()
    picture = nodes.new("ShaderNodeTexImage")
    picture.image = image
    _show_color(material, picture)
    material[TEXTURE_OF] = True
    return material


def _show_color(material: bpy.types.Material, color: bpy.types.Node) -> None:
    """Goes from the learned look (0) to a surface that the scene's lights shade (1)."""
    nodes, links = material.node_tree.nodes, material.node_tree.links
    emission = nodes.new("ShaderNodeEmission")
    surface = nodes.new("ShaderNodeBsdfPrincipled")
    surface.inputs["Roughness"].default_value = 0.8
    mix = nodes.new("ShaderNodeMixShader")
    mix.label = "Learned Look to Scene Lights"
    mix.inputs[0].default_value = 0.0
    output = nodes.new("ShaderNodeOutputMaterial")
    for column, node in enumerate((color, emission, mix, output)):
        node.location = (column * 220 - 440, 0)
    surface.location = (-220, -160)
    links.new(color.outputs["Color"], emission.inputs["Color"])
    links.new(color.outputs["Color"], surface.inputs["Base Color"])
    links.new(emission.outputs["Emission"], mix.inputs[1])
    links.new(surface.outputs["BSDF"], mix.inputs[2])
    links.new(mix.outputs["Shader"], output.inputs["Surface"])


def show_texture(surface: bpy.types.Object, picture: Path | None) -> None:
    """Has a mesh show its texture, or its color attribute again where there is none.

    Only materials that were made here are exchanged; those of the artist stay.
    """
    slots = surface.data.materials
    own = [
        index
        for index, material in enumerate(slots)
        if material is not None and (material.get(TEXTURE_OF) or material.name == MATERIAL)
    ]
    if picture is None:
        for index in own:
            slots[index] = color_material()
        return
    image = load_image(picture)
    image.reload()
    image.colorspace_settings.name = "sRGB"
    if not own and len(slots):
        return
    shown = next((slots[index] for index in own if slots[index].get(TEXTURE_OF)), None)
    if shown is None:
        shown = texture_material(f"{surface.name} Texture", image)
    for node in shown.node_tree.nodes:
        if node.type == "TEX_IMAGE":
            node.image = image
    for index in own or [0]:
        if index < len(slots):
            slots[index] = shown
        else:
            slots.append(shown)


def show_colors_in_solid_view() -> None:
    """Has Solid viewports that still show material colours show the colour attribute."""
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D" and area.spaces.active.shading.color_type == "MATERIAL":
                area.spaces.active.shading.color_type = "VERTEX"


def add_field_empty(name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """The empty that stands for a field: moving it moves the mesh and turns the views.

    Axes, as a cube would look like the field's bounds.
    """
    empty = bpy.data.objects.new(name, None)
    empty.empty_display_type = "PLAIN_AXES"
    empty.empty_display_size = 0.5
    collection.objects.link(empty)
    return empty


def put_mesh(
    field: bpy.types.Object,
    existing: bpy.types.Object | None,
    arrays: MeshArrays,
    picture: Path | None = None,
) -> bpy.types.Object:
    """The field's mesh object with new data; a new one is made where `existing` is none.

    Modifiers, materials, transforms and name of an existing one stay. `picture` is the texture that
    belongs to the mesh's coordinates.
    """
    existing = still_there(existing)
    if existing is not None and isinstance(existing.data, bpy.types.Mesh):
        fill_mesh(existing.data, arrays)
        show_texture(existing, picture)
        return existing
    mesh = bpy.data.meshes.new(f"{field.name} Mesh")
    fill_mesh(mesh, arrays)
    if arrays.colors is not None and len(arrays.colors):
        mesh.materials.append(color_material())
        linear = np.mean(arrays.colors[:, :3], axis=0) ** 2.2
        mesh.materials[0].diffuse_color = (*linear.tolist(), 1.0)
    surface = bpy.data.objects.new(mesh.name, mesh)
    surface.parent = field
    if picture is not None:
        show_texture(surface, picture)
    link_beside(surface, field)
    show_colors_in_solid_view()
    return surface
