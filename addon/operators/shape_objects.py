# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects the operators about shapes work on."""

import bpy

from .. import shape_results
from ..scene.chosen import is_linked, shape_of

__all__ = [
    "OnShape",
    "owner_of",
    "parts_of_results",
    "select_only",
    "selected",
    "selected_meshes",
    "shape_of",
]


def owner_of(item: bpy.types.Object) -> bpy.types.Object:
    """The shape or solid whose result an object is, or else the object itself."""
    above = item.parent
    while above is not None:
        results = (above.neural_field.mesh_object, above.neural_field.sequence_object)
        if shape_results.is_shape(above) and item in results:
            return above
        above = above.parent
    return item


def parts_of_results(item: bpy.types.Object) -> bool:
    """Whether an object is the mesh of a shape or solid."""
    return owner_of(item) != item


def selected(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected objects by their names, the order in which they were selected being unknown."""
    # Until Blender has looked again there is nothing in the place of what was deleted.
    objects = [item for item in context.view_layer.objects if item is not None]
    return sorted((item for item in objects if item.select_get()), key=lambda item: item.name)


def select_only(context: bpy.types.Context, chosen: bpy.types.Object) -> None:
    """Makes one object the selected and the active one."""
    for item in selected(context):
        item.select_set(False)
    chosen.select_set(True)
    context.view_layer.objects.active = chosen


def selected_meshes(context: bpy.types.Context) -> list[bpy.types.Object]:
    """Those of them that are meshes."""
    return [item for item in selected(context) if item.type == "MESH"]


class OnShape:
    """Poll of the operators that work on a learned shape."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        shape = shape_of(context) if context.scene is not None else None
        if shape is None:
            problem = "Select a neural shape, or fit one to a mesh first"
        elif is_linked(shape):
            problem = f"{shape.name} is linked from another file and cannot be changed here"
        else:
            return True
        cls.poll_message_set(problem)  # type: ignore[attr-defined]
        return False
