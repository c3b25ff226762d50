# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects the operators about shapes work on."""

import bpy

from .. import shape_results


def shape_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The learned shape in question: the active object or what it hangs on, or the only one."""
    found = context.object
    while found is not None and not found.neural_field.shape.run:
        found = found.parent
    if found is None:
        shapes = [item for item in context.scene.objects if item.neural_field.shape.run]
        found = shapes[0] if len(shapes) == 1 else None
    return found


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
        if context.scene is not None and shape_of(context) is not None:
            return True
        cls.poll_message_set(  # type: ignore[attr-defined]
            "Select a neural shape, or fit one to a mesh first"
        )
        return False
